"""Declared arguments: any other type gets a sentence that names the argument, what it must be and what came."""

import json

import pytest

from zoo import gate
from zoo.errors import UnknownName, ZooError
from zoo.gate import callers, limits
from zoo.gate.endpoints import check_values, walk
from zoo.gate.uploads import is_data
from zoo.tabs import agents


@gate.endpoint
def some(
    name: str,
    datasets: list[str],
    claimed: dict | None = None,
    file: gate.Upload | None = None,
    deep: bool = False,
    share: float = 1.0,
) -> dict:
    """Say what came.

    Args:
        name: of something,
            on two lines.
        datasets: a few.
    """
    return {
        "name": name,
        "datasets": datasets,
        "claimed": claimed,
        "file": file and file.read().decode(),
        "share": share,
    }


FINE = {"name": "net", "datasets": ["mnist"]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"datasets": None}, '"datasets" must be a list of text; got null.'),
        ({"datasets": "mnist"}, '"datasets" must be a list of text; got text.'),
        ({"datasets": ["mnist", 1]}, '"datasets" must be a list of text; got a list with other things in it.'),
        ({"name": 7}, '"name" must be text; got a whole number.'),
        ({"claimed": []}, '"claimed" must be an object; got a list.'),
        ({"file": 3.5}, '"file" must be an uploaded file or a data URI; got a number.'),
        ({"deep": 1}, '"deep" must be true or false; got a whole number.'),
        ({"share": "1"}, '"share" must be a number; got text.'),
        ({"share": True}, '"share" must be a number; got true or false.'),
        ({"name": "x" * 10_001}, '"name" holds a text of 10,001 characters; at most 10,000 are read.'),
        ({"file": {"path": "/etc/passwd"}}, "uploaded to this Space by its sender"),
        ({"file": "data:x;base64,!"}, "this is not base64"),
    ],
)
def test_a_value_of_another_type_gets_a_sentence(changes, sentence):
    with pytest.raises(ZooError) as error:
        some({**FINE, **changes})
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_arguments_arrive_as_they_were_declared():
    assert some({**FINE, "claimed": None, "share": 1, "file": "data:;base64,aGk="}) == {
        "name": "net", "datasets": ["mnist"], "claimed": None, "file": "hi", "share": 1,
    }  # fmt: skip
    with pytest.raises(UnknownName, match="did you mean datasets"):
        some({**FINE, "dataset": []})
    assert some.schema["required"] == ["name", "datasets"]
    assert some.schema["properties"]["name"] == {"type": "string", "description": "of something, on two lines."}


def test_values_that_would_exhaust_the_server_are_refused():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, {"a": deep}, "half \ud800", {"\udc00": 1}):
        with pytest.raises(ZooError):
            check_values([value])
    assert len(list(walk([[1, 2], {"a": "b"}]))) == 7


@pytest.mark.parametrize(
    "value",
    [
        {"path": "/tmp/a", "meta": {"_type": "gradio.FileData"}},
        {"path": None, "url": "data:image/png;base64,AAAA"},
        {"url": "data:image/png;base64,AAAA"},
        {"path": "data:image/png;base64,AAAA"},
        {"path": None},
    ],
)
def test_a_call_names_few_files(value):
    """However they are named, and wherever; Gradio looks for each on the disk, in the event loop."""
    for values in ([[value] * 41], [[[value]] * 41], {str(n): value for n in range(41)}):
        with pytest.raises(ZooError, match="At most 40 files are read at a time; these are 41"):
            check_values(values)
    if not str(value.get("path")).startswith("/"):
        check_values([value] * 40)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data:image/png;base64,AA+/", True),
        ("data:;base64,", True),
        ("data:application/vnd.ms-x;name=a;base64,AAAA", True),
        ("data:;base64,AAAA/../x", False),
        ("data:/../x;base64,AAAA", False),
        ("data:/../../tmp/gradio/a/mine.png", False),
        ("data:text/plain,hello", False),
        ("data:;base64,AAAA/mine.png", False),
        ("data:;base64,é", False),
        ("data:" + "x" * 400 + ";base64,AAAA", False),
        ("/data:;base64,", False),
        (None, False),
        (["data:;base64,"], False),
    ],
)
def test_what_a_data_uri_is(text, data):
    """Gradio takes any text for a path, so what counts as one leads nowhere."""
    assert is_data(text) is data


LONG = "http://" + "1." * 100_000


@pytest.mark.parametrize(
    ("method", "params", "passes"),
    [
        ("tools/call", {"name": "read", "arguments": {"image": LONG}}, True),
        ("tools/call", {"name": LONG, "arguments": {}}, False),
        ("tools/call", {"name": "read", "arguments": {}, "_meta": {"progressToken": LONG}}, False),
        ("tools/call", {"uri": LONG}, False),
        ("tools/call", {"name": 5, "arguments": {"image": LONG}}, False),
        ("tools/call", {"name": "read", "arguments": [LONG]}, False),
        ("tools/call", {"arguments": {"image": LONG}}, False),
        ("resources/read", {"uri": LONG}, False),
        ("resources/subscribe", {"arguments": {"image": LONG}, "uri": "a"}, False),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": LONG}}, False),
        (LONG, {}, False),
    ],
)
def test_only_the_arguments_of_a_tool_are_long_in_a_message_of_an_agent(method, params, passes):
    """What else MCP makes addresses of held up all for a second."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    made = agents._message(json.dumps(message).encode())
    assert (made is not None and json.loads(made) == message) is passes


def test_mcp_parses_the_message_that_was_looked_at():
    twice = b'{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"%b"},"params":{}}' % LONG.encode()
    assert json.loads(agents._message(twice)) == {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {}}
    arabic = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{"image":"أ"}}}'.encode()
    )
    assert agents._message(arabic) == arabic, "no longer than it was"
    assert agents._message(arabic.replace("أ".encode(), b"\\ud800")) is None, "half a character"
    call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "read", "arguments": {}}}
    for body in (
        json.dumps(call).encode(),
        b"[]",
        b"{",
        b"1",
        b"[" * 100_000,
        b'{"jsonrpc":"2.0","id":1,"method":1}',
        b"\xff",
    ):
        assert agents._message(body) is None


def test_a_mistake_of_ours_has_an_incident_number_and_a_trace_without_values(caplog):
    picture = "data:image/png;base64," + "".join(["U0VD", "UkVU"])
    try:
        raise KeyError(picture)
    except KeyError as error:
        said = gate.sentence(error)
    incident = said.removesuffix(".").rpartition(" ")[2]
    assert len(incident) == 8
    assert incident in caplog.text
    assert "KeyError" in caplog.text
    assert "test_gate_types" in caplog.text
    assert "U0VDUkVU" not in caplog.text
    assert "U0VDUkVU" not in said


def test_limits_count_by_address_or_user_and_allow_again_with_time():
    now = 0.0
    limiter = limits.Limiter(lambda: now)
    rate = limits.Rate(3, 60.0, "calls")
    for _ in range(3):
        limiter.count("a", rate)
    limiter.count("b", rate)
    with pytest.raises(limits.TooMany, match=r"at most 3 within 1 minute. Try again in 20 seconds"):
        limiter.count("a", rate)
    now = 20.0
    limiter.count("a", rate)
    with pytest.raises(limits.TooMany):
        limiter.count("a", rate)


def test_calls_from_one_address_are_limited(monkeypatch):
    monkeypatch.setenv("ZOO_CALLS_PER_MINUTE", "2")
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter())
    for _ in range(2):
        limits.check_call(callers.Caller("192.0.2.1"))
    with pytest.raises(limits.TooMany, match="calls from your address"):
        limits.check_call(callers.Caller("192.0.2.1", signed_in="another"))
    limits.check_call(callers.Caller("192.0.2.2"))
