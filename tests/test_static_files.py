"""Gradio's scripts and styles: compressed once, whatever is asked."""

import re
import time
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles as Folder

from zoo import gate
from zoo.errors import ZooError
from zoo.gate import limits
from zoo.gate.callers import Caller
from zoo.rest.problem_details import NotFound
from zoo.tabs import door
from zoo.tabs.static_files import FILES, Pages, StaticFiles, paths

THERE = "/assets/page.js", "/assets/font.woff2"


class Counted:
    """A folder that counts how often it is asked."""

    def __init__(self, folder: Path):
        self.folder, self.asked = Starlette(routes=[Mount("/", Folder(directory=folder))]), 0

    async def __call__(self, scope, receive, send):
        self.asked += 1
        await self.folder(scope, receive, send)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "page.js").write_text("const a = 1;\n" * 100_000)
    (tmp_path / "assets" / "font.woff2").write_bytes(bytes(1000))
    return Counted(tmp_path)


def answers(app, *asked):
    """Return the answers to requests that are sent at the same time."""

    async def ask():
        found = {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://zoo") as client:

            async def one(number, path, headers):
                found[number] = await client.get(path, headers=headers)

            async with anyio.create_task_group() as tasks:
                for number, (path, headers) in enumerate(asked):
                    tasks.start_soon(one, number, path, headers)
        return [found[number] for number in range(len(asked))]

    return anyio.run(ask)


def test_a_script_is_compressed_once(folder):
    app = StaticFiles(folder, THERE)
    found = answers(app, *[("/assets/page.js", {})] * 30, ("/assets/page.js", {"Range": "bytes=0-9"}))
    assert folder.asked == 1
    for answer in found:
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        assert int(answer.headers["content-length"]) < 20_000
        assert answer.text == "const a = 1;\n" * 100_000
        assert "javascript" in answer.headers["content-type"]
    (again,) = answers(app, ("/assets/page.js", {"If-None-Match": found[0].headers["etag"]}))
    assert (again.status_code, again.content, folder.asked) == (304, b"", 1)
    started = time.process_time()
    answers(app, *[("/assets/page.js", {"Accept-Encoding": "identity"})] * 200)
    assert time.process_time() - started < 5  # of which nearly all is the client's
    assert folder.asked == 1


def test_the_bytes_of_files_are_counted_by_address(folder, monkeypatch):
    monkeypatch.setattr(limits, "LIMITER", limits.Limiter(lambda: 0.0))
    monkeypatch.setattr(limits, "FILES", 1)
    app, sent = StaticFiles(folder, THERE), ("/assets/page.js", {})
    with gate.entered(Caller("192.0.2.1")) as caller:
        limits.check_files(caller, 990_000)
        answers(app, sent)
        with pytest.raises(ExceptionGroup) as refused:
            answers(app, sent, sent, sent)
    assert refused.group_contains(limits.TooMany, match="megabytes of files")
    with gate.entered(Caller("192.0.2.2")):
        answers(app, sent)


def test_what_is_no_text_is_not_kept(folder):
    app = StaticFiles(folder, THERE)
    (font,) = answers(app, ("/assets/font.woff2", {}))
    assert "content-encoding" not in font.headers
    assert app._kept == {}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["assets/nope.js", "assets/nope.woff2", "static/page.js", "assets/page.js/", "assets"])
def test_what_is_not_there_is_refused_before_anybody_waits(folder, method, path):
    app = StaticFiles(folder, THERE)

    async def ask():
        async with app._packing:  # as while a file is compressed
            with anyio.fail_after(5), pytest.raises(NotFound):
                await app({"type": "http", "method": method, "path": f"/{path}", "headers": []}, None, None)

    anyio.run(ask)
    assert folder.asked == 0


def test_a_file_has_one_name():
    assert len(paths()) > 500
    assert [name for name in paths() if not re.fullmatch(FILES, name)] == []
    for other in ("/assets/./a.js", "/assets//a.js", "/assets/b/../a.js", "/assets/../a.js", "/assets/a.js\n",
                  "/assets/a\u00e9.js", "/assets/", "/static/a b.js"):  # fmt: skip
        assert not door.is_open("GET", other), other


class Page:
    """A page of Gradio, in the form in which it has the host; it counts how often it is made."""

    def __init__(self, status=200):
        self.status, self.made = status, 0

    async def __call__(self, scope, receive, send):
        self.made += 1
        said = f"{scope['scheme']}://{dict(scope['headers'])[b'host'].decode()} {scope['query_string'].decode()}"
        headers = [(b"content-type", b"text/html"), (b"content-length", str(len(said)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": said.encode()})


def test_a_page_is_made_once_whatever_the_request_says():
    page = Page()
    asked = [
        (path, {"Host": host}) for path in ("/", "/?deep_link=a", "/?page=zzz") for host in ("a.example", "[::1]:80")
    ]
    forwarded = {"Host": "a", "X-Forwarded-Host": "b.example, c", "X-Forwarded-Proto": "https"}
    found = answers(Pages(page), *asked, ("/?x", forwarded))
    assert page.made == 1
    for (_, headers), answer in zip(asked, found, strict=False):
        assert (answer.text, answer.status_code) == (f"http://{headers['Host']} ", 200)
        assert int(answer.headers["content-length"]) == len(answer.text)
    assert found[-1].text == "https://b.example "
    answers(Pages(page), ("/config/", {}), ("/config", {}))
    assert page.made == 2


@pytest.mark.parametrize("host", ["a<b", 'a"', "a b", "a/b", "", "a:b", "user@a", "a\u00e9", "[a]x"])
def test_a_host_is_a_name_or_an_address(host):
    with pytest.raises(ExceptionGroup) as refused:
        answers(Pages(Page()), ("/", {"Host": host.encode()}))
    assert refused.group_contains(ZooError, match="names the host")


def test_a_page_that_was_not_made_is_not_kept():
    page = Page(500)
    app = Pages(page)
    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            answers(app, ("/", {}))
    page.status = 200
    assert answers(app, ("/", {}))[0].status_code == 200
    assert page.made == 3
