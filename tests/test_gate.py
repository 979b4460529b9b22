"""The gate: who calls, which files they may name, how often, and that nothing gets around it."""

import base64
import json

import pytest
from gate_calls import agent, call
from hub_server import Account
from networks import onnx_file
from space import serve

from leaderboard.submissions.store import LocalStore

OWN = "hf_TokenOfTheSpaceItself"
ON_HUB = {"SYSTEM": "spaces", "SPACE_ID": "me/handwriting-zoo", "HF_TOKEN": OWN}
SAID = {"name": "net", "datasets": ["optdigits"], "licence": "mit", "declaration": "optdigits", "user": "owner"}
NETWORK = onnx_file()


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


@pytest.mark.parametrize("headers", [{}, {"Authorization": f"Bearer {OWN}"}, {"x-gradio-user": "owner"}])
def test_an_agent_is_not_who_the_space_is(on_hub, people, headers):
    """Gradio's own MCP server calls with the Space's token; here only the caller's own counts, and that is not it."""
    url, store = on_hub
    sent = {**SAID, "source": "hf://no/where"}
    for tool, arguments in (("submit", sent), ("withdraw", {"id": "20200101-00000000", "user": "owner"}),
                            ("retry", {"id": "20200101-00000000", "user": "owner"})):  # fmt: skip
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
    assert "Sign in" in agent(url, "handwriting_zoo_withdraw", {"id": receipt["id"], "user": "ann"}).text
    assert store.get(receipt["id"]).open


def test_the_plain_endpoint_knows_its_caller_too(on_hub, people):
    url = on_hub[0]
    data = [*list(SAID.values())[:4], None, "hf://no/where", "", {}, "ann"]
    assert "Sign in" in call(url, "submit", data).text
    assert "belongs to the Space" in call(url, "submit", data, **{"x-hf-authorization": f"Bearer {OWN}"}).text
    assert "no repo no/where" in call(url, "submit", data, Authorization="Bearer hf_OfAnn").text
