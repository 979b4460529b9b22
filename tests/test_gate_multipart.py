"""Forms whose content takes long to parse: the event loop parses them, while all others wait."""

import asyncio
import time

import pytest
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException

from zoo.gate import multipart
from zoo.gate.multipart import Form

HEAD = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
MUCH = 3_000_000
LONG_NAMES = b"".join(
    b'--b\r\nContent-Disposition: form-data; name="%d"' % n + b';"' * 2000 + b"\r\n\r\nx\r\n" for n in range(40)
)


def parsed(body, media="multipart/form-data; boundary=b", size=1_000_000):
    """Return the parts of a form that arrives in pieces of so many bytes."""

    async def arriving():
        for place in range(0, len(body), size):
            yield body[place : place + size]

    async def read():
        form = await Form(Headers({"content-type": media}), arriving(), max_files=8, max_fields=40).parse()
        return [(name, one if isinstance(one, str) else await one.read()) for name, one in form.multi_items()]

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (HEAD + b"\r\n--bx" * (MUCH // 6), "boundary=b"),
        (HEAD + b"\r\n--b-" * (MUCH // 6), "boundary=b"),
        (HEAD + b"\r\n--b\r" * (MUCH // 6), "boundary=b"),
        (HEAD + b"\r\n--b" + b" " * MUCH, "boundary=b"),
        (HEAD + b"\r\n--b" + b"\t" * MUCH, "boundary=b"),
        (HEAD + b"\r\n--" * (MUCH // 4), "boundary="),
        (LONG_NAMES, "boundary=b"),
        (HEAD, "boundary=b" + ';"' * 30_000),
        (HEAD.replace(b'; filename="a"', b"") + b".".join([b"xn--tda"] * 100_000), "boundary=b; charset=idna"),
        (HEAD.replace(b'; filename="a"', b"") + b"x", "boundary=b; charset=punycode"),
    ],
    ids=["false", "hyphen", "return", "spaces", "tabs", "empty", "names", "type", "charset", "other charset"],
)
@pytest.mark.parametrize("size", [1_000_000, 65_537])
def test_a_form_that_takes_long_to_parse_is_refused_at_once(body, media, size):
    began = time.thread_time()
    with pytest.raises(MultiPartException):
        parsed(body + b"\r\n--b--\r\n", f"multipart/form-data; {media}", size)
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("boundary", ["b", "----WebKitFormBoundary7MA4YWxkTrZu0gW"])
def test_an_ordinary_form_is_read_in_any_pieces(boundary, size):
    content = b"\r\n--" + bytes(range(256)) * 20 + b"\r\n-" + b"\r\n"
    body = HEAD + content + b"\r\n" + HEAD.replace(b'; filename="a"', b"") + "é".encode() + b"\r\n--b--\r\n"
    body = body.replace(b"--b\r\n", f"--{boundary}\r\n".encode()).replace(b"--b--", f"--{boundary}--".encode())
    assert parsed(body, f"multipart/form-data; charset=UTF-8; boundary={boundary}", size) == [
        ("image", content),
        ("image", "é"),
    ]


@pytest.mark.parametrize("size", [1000, multipart.SLICE - 1, 10**6])
def test_boundaries_are_counted_wherever_pieces_end(size, monkeypatch):
    monkeypatch.setattr(multipart, "MOST_BOUNDARIES", 3)
    filled = b"x" * 997 + b"\r\n--by"
    assert len(parsed(HEAD + filled * 2 + b"\r\n--b--\r\n", size=size)) == 1
    with pytest.raises(MultiPartException, match="choose a longer one"):
        parsed(HEAD + filled * 3 + b"\r\n--b--\r\n", size=size)
