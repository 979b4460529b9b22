"""Calls to a running Space by every route that a stranger has, as raw requests: no client tidies them first."""

import json
import uuid
from dataclasses import dataclass

import httpx

API = "/gradio_api"
PATIENCE = 240  # seconds
JSON = {"Content-Type": "application/json"}  # written by Python, which also writes what a tidy client would not


@dataclass(frozen=True)
class Answer:
    """What a caller got: the text of the answer, or of the refusal."""

    fine: bool
    text: str


def agent(url: str, tool: str, arguments: object, **headers: str) -> Answer:
    """Call an MCP tool over streamable HTTP."""
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    headers = {"Accept": "application/json, text/event-stream", **headers}
    said = httpx.post(f"{url}{API}/mcp/", content=json.dumps(asked), headers={**JSON, **headers}, timeout=PATIENCE)
    lines = [line.removeprefix("data: ") for line in said.text.splitlines() if line.startswith("data: ")]
    answer = json.loads(lines[-1] if lines else said.text)
    if "detail" in answer:  # refused at the door
        return Answer(False, answer["detail"])
    if "result" not in answer:
        return Answer(False, str(answer["error"].get("message")))
    return Answer(not answer["result"].get("isError"), " ".join(part["text"] for part in answer["result"]["content"]))


def call(url: str, name: str, data: object, **headers: str) -> Answer:
    """Call an endpoint as curl does: an event, then its answer."""
    with httpx.Client(timeout=PATIENCE, headers=headers) as client:
        begun = client.post(f"{url}{API}/call/{name}", content=json.dumps({"data": data}), headers=JSON)
        if begun.status_code != 200:
            return Answer(False, str(begun.json().get("detail") or begun.json().get("error")))
        said = client.get(f"{url}{API}/call/{name}/{begun.json()['event_id']}").text
    event, _, answer = said.strip().rpartition("event: ")[2].partition("\n")
    value = json.loads(answer.removeprefix("data: "))
    return Answer(event == "complete", json.dumps(value) if event == "complete" else str((value or {}).get("error")))


def queue(url: str, function: int, data: object, event_data: object = None, **headers: str) -> Answer:
    """Call any function as the page does: join the queue, then read its messages."""
    session = uuid.uuid4().hex[:10]
    asked = {"data": data, "event_data": event_data, "fn_index": function, "trigger_id": None, "session_hash": session}
    with httpx.Client(timeout=PATIENCE, headers=headers) as client:
        begun = client.post(f"{url}{API}/queue/join", content=json.dumps(asked), headers=JSON)
        if begun.status_code != 200:
            return Answer(False, str(begun.json().get("detail") or begun.json().get("error")))
        with client.stream("GET", f"{url}{API}/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    output = message["output"]
                    fine = message["success"]
                    return Answer(fine, json.dumps(output.get("data")) if fine else str(output.get("error")))
                if message.get("msg") == "unexpected_error":
                    return Answer(False, str(message.get("message")))
    return Answer(False, "no answer")


def upload(url: str, name: str, content: bytes, **headers: str) -> str:
    """Upload a file; return the path under which the Space knows it."""
    said = httpx.post(f"{url}{API}/upload", files={"files": (name, content)}, headers=headers, timeout=PATIENCE)
    return said.json()[0]


def file(path: str) -> dict:
    """Return what stands for an uploaded file in a call."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}}
