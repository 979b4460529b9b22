"""The gate: who calls, which files they may name, how often, and that nothing gets around it."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor

import cv2
import gradio as gr
import httpx
import numpy as np
import pytest
from conftest import HUB
from gate_calls import API, agent, call, file, queue, upload
from gradio import routes
from hub_server import Account
from networks import onnx_file
from space import serve

from leaderboard import service
from leaderboard.submissions.store import LocalStore
from zoo import gate
from zoo.rest.application import is_api
from zoo.tabs import door
from zoo.tabs.space import Space

OWN = "hf_TokenOfTheSpaceItself"
ON_HUB = {"SYSTEM": "spaces", "SPACE_ID": "me/handwriting-zoo", "HF_TOKEN": OWN}
SAID = {"name": "net", "datasets": ["optdigits"], "licence": "mit", "declaration": "optdigits", "user": "owner"}
NETWORK = onnx_file()
FOREIGN = "uploaded to this Space by its sender"
ADDRESSES = {"X-Forwarded-For": "8.8.8.8"}, {"X-Forwarded-For": "9.9.9.9"}
UP = "/.." * 30


def data_uri(content: bytes) -> str:
    """Return a file as text."""
    return "data:application/octet-stream;base64," + base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def on_hub(tmp_path_factory):
    """A Space of the Hub that has a token of its own, and its store."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    with serve(ZOO_SUBMISSIONS=str(store.root), **ON_HUB) as space:
        yield space.url, store


@pytest.fixture
def people(hub):
    """Let the Hub know the owner of the Space and a visitor."""
    hub.tokens.update({OWN: Account("owner"), "hf_OfAnn": Account("ann", "read")})


@pytest.fixture(scope="module")
def demo():
    """The Space's functions, by which a test finds all of them."""
    import spaces_app

    return spaces_app.demo


# Who calls


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {OWN}"}, {"x-gradio-user": "owner"}])
def test_an_agent_is_not_who_the_space_is(on_hub, people, headers):
    """Gradio's own MCP server calls with the Space's token; here only the caller's own counts, and that is not it."""
    url, store = on_hub
    sent = {**SAID, "source": "hf://no/where"}
    known = {"id": "20200101-00000000", "secret": "x"}
    for tool, arguments in (("submit", sent), ("withdraw", known), ("retry", known)):
        answer = agent(url, f"handwriting_zoo_{tool}", arguments, **headers)
        assert not answer.fine
        assert ("Sign in" if "Authorization" not in headers else "belongs to the Space") in answer.text
    assert store.all() == []


def test_an_agent_acts_as_whose_token_it_sends(on_hub, people):
    url, store = on_hub
    sent = agent(url, "handwriting_zoo_submit", {**SAID, "file": data_uri(NETWORK)}, Authorization="Bearer hf_OfAnn")
    assert sent.fine, sent
    receipt = json.loads(sent.text)
    assert receipt["user"] == "ann"  # neither the Space's owner, nor who the arguments name
    gone = agent(url, "handwriting_zoo_withdraw", {"id": receipt["id"]}, Authorization="Bearer hf_OfNobody")
    assert "does not accept the token" in gone.text
    assert "Sign in" in agent(url, "handwriting_zoo_withdraw", {"id": receipt["id"]}).text
    assert store.get(receipt["id"]).open


def test_the_plain_endpoint_knows_its_caller_too(on_hub, people):
    url = on_hub[0]
    data = [*list(SAID.values())[:4], None, "hf://no/where", "", {}, "ann", ""]
    assert "Sign in" in call(url, "submit", data).text
    assert "belongs to the Space" in call(url, "submit", data, **{"x-hf-authorization": f"Bearer {OWN}"}).text
    assert "no repo no/where" in call(url, "submit", data, Authorization="Bearer hf_OfAnn").text


# Which files


@pytest.fixture(scope="module")
def foreign(on_hub, tmp_path_factory):
    """Values that stand for files which the caller did not upload: of the server, of others, and of other servers."""
    picture = np.full((64, 64), 255, np.uint8)
    cv2.line(picture, (32, 10), (32, 50), 0, 6)
    folder = tmp_path_factory.mktemp("server")
    secret = folder / "secret.png"
    cv2.imwrite(str(secret), picture)
    theirs = upload(on_hub[0], "theirs.png", secret.read_bytes(), **ADDRESSES[1])
    link = folder / "link.png"
    link.symlink_to(secret)
    paths = [str(secret), str(link), f"{theirs}/../theirs.png", theirs, "/proc/self/environ", "/etc/passwd", "file:///etc/passwd",
             "../../etc/passwd", "/dev/zero", f"{HUB.url}/secret.png", "",
             f"data:{UP}{theirs}", f"data:x/y;base64,{UP}{theirs}"]  # fmt: skip
    values: list[object] = [file(path) for path in paths]
    values += [
        {"path": str(secret)},
        {"path": None, "url": f"{HUB.url}/secret.png", "meta": {"_type": "gradio.FileData"}},
    ]
    values += [{**file(str(secret)), "url": "data:image/png;base64,AAAA", "is_stream": True}, [file(str(secret))]]
    return values, [value["path"] for value in values if isinstance(value, dict) and value["path"]], theirs, secret


def test_no_endpoint_or_tool_takes_a_file_that_its_caller_did_not_upload(on_hub, foreign, people, demo):
    url, store = on_hub
    values, paths, *_ = foreign
    HUB.log.clear()
    headers = {**ADDRESSES[0], "Authorization": "Bearer hf_OfAnn"}
    tried = 0
    for name, endpoint in demo.endpoints.items():
        for argument in endpoint.files:
            for value in (*values, *paths):
                said = {**(SAID if name == "submit" else {}), argument: value}
                data = [said.get(key) for key in endpoint.parameters]
                answers = agent(url, f"handwriting_zoo_{name}", said, **headers), call(url, name, data, **headers)
                for answer in answers:
                    assert not answer.fine, (name, value)
                    assert FOREIGN in answer.text or "must be an uploaded file" in answer.text, (name, value, answer)
                    tried += 1
    assert tried >= 3 * 2 * len(values)
    assert not [request for request in HUB.log if "secret" in request.path]
    assert store.all() == [one for one in store.all() if one.user == "ann" and one.name == "net"]


def test_no_function_of_the_page_takes_such_a_file(on_hub, foreign, demo):
    """Whatever a function expects: files are looked for in every value."""
    values = foreign[0][0], foreign[0][-3], file(f"data:{UP}{foreign[2]}")  # a path, a URL without one, and both
    tried = [(number, value) for number, fn in demo.fns.items() if fn.inputs for value in values]

    def refused(number: int, value: object) -> None:
        answer = queue(on_hub[0], number, [value] * len(demo.fns[number].inputs), **ADDRESSES[0])
        assert not answer.fine
        assert FOREIGN in answer.text, (demo.fns[number].api_name, value, answer)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(refused, *zip(*tried, strict=True)))


def test_no_route_shows_such_a_file(on_hub, foreign):
    _, paths, theirs, secret = foreign
    for route in ("file=", "file/", "proxy=", "stream/"):
        for path in paths:
            got = httpx.get(f"{on_hub[0]}{API}/{route}{path}", headers=ADDRESSES[0])
            assert got.status_code >= 400, (route, path)
            assert secret.read_bytes() not in got.content
    assert httpx.get(f"{on_hub[0]}{API}/file={theirs}", headers=ADDRESSES[1]).content == secret.read_bytes()


def test_a_caller_has_their_own_uploads(on_hub, foreign):
    path = upload(on_hub[0], "one.png", foreign[3].read_bytes(), **ADDRESSES[0])
    for answer in (
        call(on_hub[0], "predict", [None, file(path), ["lenet5.mnist"]], **ADDRESSES[0]),
        agent(on_hub[0], "handwriting_zoo_read", {"image": file(path)}, **ADDRESSES[0]),
        agent(on_hub[0], "handwriting_zoo_read", {"image": data_uri(foreign[3].read_bytes())}),
    ):
        assert answer.fine
        assert '"1"' in answer.text, answer


# By REST, and what agents read


def test_by_rest_a_caller_is_who_their_token_says_and_has_their_own_uploads(on_hub, people, foreign):
    url, store = f"{on_hub[0]}/api/v1", on_hub[1]
    sent = {**SAID, "name": "by_rest", "file": data_uri(NETWORK)}
    for token, status in ((None, 401), (OWN, 422), ("hf_OfNobody", 422)):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        assert httpx.post(f"{url}/submissions", json=sent, headers=headers).status_code == status
    mine = httpx.post(f"{url}/submissions", json=sent, headers={"Authorization": "Bearer hf_OfAnn"})
    assert (mine.status_code, mine.json()["user"]) == (201, "ann")
    assert store.get(mine.json()["id"]).user == "ann"
    asked = {"image": {"path": upload(on_hub[0], "one.png", foreign[3].read_bytes(), **ADDRESSES[0])}}
    assert httpx.post(f"{url}/read", json=asked, headers=ADDRESSES[0]).json()["text"] in ("1", "١")  # a bar is both
    for value in (asked["image"]["path"], *foreign[1]):
        refused = httpx.post(f"{url}/read", json={"image": {"path": value}}, headers=ADDRESSES[1])
        assert refused.status_code == (403 if value != foreign[2] else 200), value


def test_agents_read_cards_and_rows(on_hub):
    def ask(method: str, **parameters: str):
        asked = {"jsonrpc": "2.0", "id": 1, "method": f"resources/{method}", "params": parameters}
        headers = {"Accept": "application/json, text/event-stream"}
        said = httpx.post(f"{on_hub[0]}{API}/mcp/", json=asked, headers=headers, timeout=60).text
        return json.loads(next(line for line in said.splitlines() if line.startswith("data: ")).removeprefix("data: "))

    listed = {one["uri"]: one for one in ask("list")["result"]["resources"]}
    assert listed["zoo://models/lenet5.mnist"]["mimeType"] == "text/markdown"
    (card,) = ask("read", uri="zoo://models/lenet5.mnist")["result"]["contents"]
    assert card["text"].startswith("# lenet5.mnist")
    (rows,) = ask("read", uri="zoo://leaderboard/mnist")["result"]["contents"]
    assert "lenet5.mnist" in {row["model"] for row in json.loads(rows["text"])}
    assert "did you mean zoo://leaderboard/mnist" in ask("read", uri="zoo://leaderboard/mnits")["error"]["message"]
    assert "no resource" in ask("read", uri="file:///etc/passwd")["error"]["message"]


# That nothing gets around it


def test_every_function_and_every_route_is_behind_the_gate(demo):
    """Each function is called by `Space.process_api` alone; each route of Gradio is listed at the door, or closed."""
    app = routes.App.create_app(demo)
    known = {(method, route.path) for route in _flat(app.routes) for method in getattr(route, "methods", None) or ()}
    assert len(known) > 60
    opened = {path for method, path in known if door.is_open(method, re.sub(r"\{.*?\}", "x", path))}
    assert {f"{API}/{path}" for path in ("call/{api_name}", "queue/join", "upload", "stream/{event_id}")} <= opened
    closed = {path for _, path in known} - opened
    for word in ("run/", "api/{", "proxy=", "component_server", "monitoring", "vibe", "process_recording", "deep_link"):
        assert any(word in path for path in closed), word
        assert not any(word in path for path in opened), word
    inside = {path for path, _ in service.application().app.openapi()["paths"].items()}
    assert all(is_api(path) for path in inside)  # `Api` takes all of them, and tests/test_rest.py asks each
    assert not any(is_api(path) for _, path in known)  # none of Gradio's is taken for one
    public = {fn.api_name for fn in demo.fns.values() if fn.api_visibility != "private"}
    assert public == set(demo.endpoints) == {name.removeprefix("handwriting_zoo_") for name in demo.tools}
    assert all(isinstance(one, gate.Endpoint) for one in demo.endpoints.values())
    assert type(demo).process_api is Space.process_api is not gr.Blocks.process_api


def _flat(found):
    for route in found:
        inner = getattr(route, "original_router", None)  # FastAPI keeps an included router whole
        yield from _flat(inner.routes) if inner else [route]


@pytest.mark.parametrize("route", ["run/predict", "api/predict", "component_server", "vibe-edit", "no/such"])
def test_a_closed_route_is_closed(on_hub, route):
    answer = httpx.post(f"{on_hub[0]}{API}/{route}", json={"data": []})
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing at this address."})


@pytest.mark.parametrize(
    ("route", "body", "sentence"),
    [
        ("call/predict", [1], "takes a JSON object"),
        ("call/predict", {"data": "x"}, "takes a JSON object"),
        ("call/predict", {"data": []}, "takes 3 values (sketch, image, models)"),
        ("call/predikt", {"data": []}, "did you mean predict"),
        ("call/v2/predict", {"picture": 1}, "no argument of predict 'picture'"),
        ("queue/join", {"data": [], "fn_index": 10**6, "session_hash": "a"}, "no function 1000000"),
        ("queue/join", {"data": [], "fn_index": 0, "session_hash": "../a"}, "letters and digits"),
        ("queue/join", {"data": [], "fn_index": 0, "session_hash": "a", "trigger_id": "x"}, "takes a JSON object"),
        ("cancel", {"fn_index": "x"}, "takes a JSON object"),
        ("cancel", {"session_hash": "a" * 20_000}, "at most 10,000 bytes"),
        ("queue/join", {"data": [[]] * 20_001, "fn_index": 0, "session_hash": "a"}, "at most 20,000 values"),
        ("call/read", {"data": [{"a": 1}] * 40_001}, "at most 20,000 values"),
        ("call/read", {"data": ["a\n" * 100_001, None]}, "at most 100,000 quotes, escapes"),
        ("call/read", {"data": ["data:;base64," + "A" * 4_000_000, None]}, "at most 4,000,000 bytes"),
        ("queue/join", {"data": ["A" * 4_000_000]}, "at most 4,000,000 bytes"),
        ("mcp", {"a": "A" * 4_000_000}, "at most 4,000,000 bytes"),
        ("mcp", {"a": '"' * 50_001}, "at most 100,000 quotes, escapes"),
    ],
)
def test_a_request_of_another_form_gets_a_sentence(on_hub, route, body, sentence):
    answer = httpx.post(f"{on_hub[0]}{API}/{route}", json=body)
    assert answer.status_code == (413 if "at most" in sentence else 400)
    assert sentence in answer.json()["detail"]


def test_what_is_no_json_gets_a_sentence(on_hub):
    for content in (b"{", b"\xff", b"[" * 15_000):
        answer = httpx.post(f"{on_hub[0]}{API}/call/read", content=content)
        assert answer.json() == {"detail": "The body of this request is not JSON."}
    answer = httpx.get(f"{on_hub[0]}{API}/queue/data")
    assert "There are no answers under this name" in answer.json()["detail"]
