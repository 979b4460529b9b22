"""A server decodes strangers' pictures in children: what a file does to its decoder, the server does not feel."""

import asyncio
import base64
import contextlib
import dataclasses
import gc
import io
import os
import re
import signal
import struct
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, ImageFile, TiffImagePlugin

from zoo import gate
from zoo.errors import Blank, InkError
from zoo.ink import bounds, decoding
from zoo.processes import spawning
from zoo.processes.spawning import Answer, Limits
from zoo.rest.application import Api
from zoo.serving import apart, reading
from zoo.serving.engine import Engine, Picture
from zoo.serving.model_cache import MODELS
from zoo.serving.reading_budget import Budget
from zoo.serving.seen import see
from zoo.tabs import draw
from zoo.tabs import read as read_tab

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a server decodes by itself")
SPARED = 40_000_000  # bytes that the server may take for a picture, most of them its pages
NETWORK = "lenet5.mnist"


@pytest.fixture(autouse=True, scope="module")
def server():
    """Decode as a server does."""
    with apart.decoding_files():
        yield


def saved(image: Image.Image, form: str, **options) -> bytes:
    image.save(file := io.BytesIO(), form, **options)
    return file.getvalue()


def photo(side: int = 120) -> bytes:
    """Return a picture of a one."""
    pixels = np.full((side, side), 255, np.uint8)
    pixels[side // 5 : -side // 5, side // 2 : side // 2 + side // 12] = 0
    return saved(Image.fromarray(pixels), "PNG")


def one_color(count: int) -> bytes:
    """Return so many equal pixels in GIF's compression, with sub-blocks."""
    bits, filled, out = 0, 0, bytearray()

    def put(code: int, size: int) -> None:
        nonlocal bits, filled
        bits |= code << filled
        filled += size
        while filled >= 8:
            out.append(bits & 255)
            bits >>= 8
            filled -= 8

    size, following, length = 3, 6, 1
    put(4, size)
    put(0, size)
    count -= 1
    while count > 0:
        length += following < 4096
        put(min(following, 4095), size)
        following += following < 4096
        size += following == 1 << size and size < 12
        count -= length
    put(5, size)
    put(0, 8)
    parts = (bytes(out[n : n + 255]) for n in range(0, len(out), 255))
    return b"\x02" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def gif(side: int, frames: int) -> bytes:
    """Return a GIF whose screen is one pixel and whose frames are large."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0xF1, 0, 0) + bytes(12)
    first = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + one_color(1)
    return head + first + frames * (b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + one_color(side**2)) + b";"


def lying(form: str, side: int) -> bytes:
    """Return an AVIF or HEIF that says it has 200 x 200 pixels."""
    if form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener(thumbnails=False)
        content = saved(Image.new("RGB", (side, side), (200, 10, 20)), form, quality=5)
    else:
        image = Image.new("RGBA", (side, side), (200, 10, 20, 77))
        content = saved(image, form, quality=5, speed=10, subsampling="4:4:4", max_threads=1)
    size = struct.pack(">II", side, side)
    assert size in content
    return content.replace(size, struct.pack(">II", 200, 200))


def png(side: int, depth: int, color: int) -> bytes:
    """Return a PNG of zeros: color 3 is a palette, all transparent; 4 is gray and alpha."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = 1 + -(-side * depth * (2 if color == 4 else 1) // 8)
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(bytes(row)) for _ in range(side)) + rows.flush()
    palette = chunk(b"PLTE", bytes(6)) + chunk(b"tRNS", bytes(2)) if color == 3 else b""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + palette + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def one_strip(side: int, pages: int) -> bytes:
    """Return a TIFF of a few kB whose pages, all transparent, have the same rows."""
    strip = zlib.compress(bytes(side * 100 * 4), 9)
    count = -(-side // 100)
    content = bytearray(b"II*\0" + bytes(4) + strip)
    offsets = len(content)
    content += struct.pack(f"<{count}I4H", *[8] * count, 8, 8, 8, 8)
    sizes = len(content)
    content += struct.pack(f"<{count}I", *[len(strip)] * count)
    link = 4
    for _ in range(pages):
        tags = (
            (256, 4, 1, side), (257, 4, 1, side), (258, 3, 4, offsets + 4 * count), (259, 3, 1, 8), (262, 3, 1, 2),
            (273, 4, count, offsets), (277, 3, 1, 4), (278, 4, 1, 100), (279, 4, count, sizes), (317, 3, 1, 2),
            (338, 3, 1, 2),
        )  # fmt: skip
        content[link : link + 4] = struct.pack("<I", len(content))
        content += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        link = len(content)
        content += bytes(4)
    return bytes(content)


def pages_of(image: Image.Image, count: int, compression: str) -> bytes:
    return saved(image, "TIFF", compression=compression, save_all=True, append_images=[image] * (count - 1))


def progressive(side: int, scans: int) -> bytes:
    """Return a JPEG whose last scan comes again and again."""
    content = saved(Image.effect_noise((side, side), 90), "JPEG", progressive=True)
    return content[:-2] + content[content.rfind(b"\xff\xda") : -2] * scans + content[-2:]


LIGHT = {  # name -> what makes the file, and how many pages are read of it
    "gif with large frames": (lambda: gif(2500, 2), 1),
    "gif with too large frames": (lambda: gif(9000, 1), 0),
    "png palette": (lambda: png(3000, 1, 3), 1),
    "avif that lies": (lambda: lying("AVIF", 3000), 1),
    "webp": (lambda: saved(Image.new("L", (3000, 3000), 200), "WEBP", lossless=True, method=0), 1),
}
SLOW = {  # name -> what makes the file, and how many pages are read of it
    "small pages of one strip": (lambda: one_strip(1900, 3), 3),
    "small fax pages": (lambda: pages_of(Image.effect_noise((1900, 1900), 90).convert("1"), 2, "group4"), 2),
    "webp of 4 megapixels": (lambda: saved(Image.effect_noise((1900, 1900), 90), "WEBP", quality=90, method=0), 1),
    "pages of one strip": (lambda: one_strip(3000, 2), 2),
    "progressive jpeg": (lambda: progressive(3000, 9), 1),
    "png of 16 bits": (lambda: png(3500, 16, 0), 1),
    "gif with large frames": (lambda: gif(2500, 4), 1),
}
HEAVY = {
    "tiff cmyk": (lambda: saved(Image.new("CMYK", (3500, 3500)), "TIFF", compression="tiff_lzw"), 1),
    "png of 16 bits": (lambda: png(3500, 16, 0), 1),
    "png palette": (lambda: png(7070, 1, 3), 1),
    "gif 13000": (lambda: gif(13_000, 3), 0),
    "gif frames": (lambda: gif(7000, 49), 1),
    "avif 16000": (lambda: lying("AVIF", 16_000), 0),
    "heif that lies": (lambda: lying("HEIF", 3000), None),
    "gray and alpha": (lambda: png(7070, 8, 4), 1),
    "webp animation": (
        lambda: saved(
            Image.new("RGB", (6000, 6000)), "WEBP", save_all=True, append_images=[Image.new("RGB", (6000, 6000), 9)]
        ),
        1,
    ),
    "tiff float": (lambda: saved(Image.new("F", (7000, 7000)), "TIFF", compression="tiff_adobe_deflate"), 1),
}  # fmt: skip


def peak() -> int:
    """Return the most memory of this process since `forget_peak`, bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * int(next(line.split()[1] for line in file if line.startswith("VmHWM")))


def forget_peak() -> None:
    gc.collect()
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def check_is_spared(make, pages) -> None:
    """Decode a file while another call is answered; the memory of this process stays as it was."""
    content, found = make(), []

    def decode() -> None:
        with contextlib.suppress(InkError):
            found.extend(decoding.decode(content))

    decoding.pixels(photo())
    forget_peak()
    before, thread = peak(), threading.Thread(target=decode)
    thread.start()
    waited = []
    while thread.is_alive() or not waited:
        started = time.monotonic()
        assert decoding.pixels(photo()).shape == (120, 120, 4)
        waited.append(time.monotonic() - started)
        thread.join(0.1)
    assert peak() - before < SPARED
    assert max(waited) < 5  # a decoder that holds the interpreter would let nobody go on, for as long as it likes
    assert pages in (len(found), None)


@pytest.mark.parametrize("name", LIGHT)
def test_a_picture_takes_no_memory_of_the_server_and_holds_up_nobody(name):
    check_is_spared(*LIGHT[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_a_large_picture_takes_no_memory_of_the_server_and_holds_up_nobody(name):
    check_is_spared(*HEAVY[name])


def test_a_child_says_what_decoding_here_says():
    """Pages, notes and sentences; all kinds of sources."""
    turned = Image.Exif()
    turned[0x0112] = 6
    lines = Image.new("L", (300, 200), 255)
    lines.paste(0, (20, 20, 90, 40))
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        file.write(photo())
        file.flush()
        sources = [photo(), io.BytesIO(photo()), file.name, saved(lines, "JPEG", exif=turned), gif(40, 2), b"", b"no"]
        sources += [saved(lines, "TIFF", save_all=True, append_images=[lines] * n) for n in (2, 30)]
        sources += [saved(lines.resize((2600, 2100)), "PNG"), file.name + "x", saved(lines, "TIFF")[:-60_000]]
        for source in sources:
            (pages, error), (here, error_here) = answer(decoding.decode, source), answer(in_this_process, source)
            assert (error, len(pages)) == (error_here, len(here)), source
            for page, same in zip(pages, here, strict=True):
                assert page.note == same.note
                np.testing.assert_array_equal(page.pixels, same.pixels)


def answer(decode, source):
    pages, error = [], ""
    try:
        pages.extend(decode(source))
    except InkError as raised:
        error = f"{isinstance(raised, Blank)} {raised}"
    return pages, error


def in_this_process(source):
    """Decode as a library does."""
    decoders, decoding._decoders[:] = decoding._decoders[:], []
    try:
        yield from list(decoding.decode(source))
    finally:
        decoding._decoders[:] = decoders


def test_every_way_in_decodes_in_a_child(monkeypatch, tmp_path, own_uploads):
    """All that the Space and the REST API answer; a picture that this process opened would be an error."""
    monkeypatch.setattr(decoding, "_opened", lambda *_: pytest.fail("decoded in the server"))
    content = photo()
    uri = "data:image/png;base64," + base64.b64encode(content).decode()
    (plain := tmp_path / "one.png").write_bytes(content)
    with zipfile.ZipFile(packed := tmp_path / "some.zip", "w") as archive:
        archive.writestr("one.png", content)
    chosen = {"script": None, "models": [NETWORK]}
    engine = Engine(threads=1)
    assert asyncio.run(engine.read(Picture(lambda: content, (NETWORK,))))["text"]
    engine.close()
    with gate.entered(gate.Caller("192.0.2.7")):
        ways_in = {
            one for module in (draw, read_tab) for one in vars(module).values() if isinstance(one, gate.Endpoint)
        }
        assert {one for one in ways_in if one.files} == {draw.predict, read_tab.read}  # a new one belongs here
        assert read_tab.read({"image": uri})["text"]
        assert draw.predict({"image": uri, "models": [NETWORK]})["predictions"]
        for html in (
            read_tab.respond([str(plain)], chosen),
            read_tab.respond([str(packed)], chosen),
            read_tab.respond_live({"url": uri}, chosen),
            read_tab.respond_live({"path": str(plain)}, chosen),
        ):
            assert "%" in html
    assert reading.read({"composite": content}, MODELS(NETWORK)).text


def test_nothing_that_is_served_decodes_pictures_by_itself():
    """One module opens files; what else does is not served."""
    opens = re.compile(r"Image\.open|cv2\.im(decode|read)|_pillow\(\)\.open")
    sources = (path for folder in ("zoo", "leaderboard") for path in (ROOT / folder).rglob("*.py"))
    found = {str(path.relative_to(ROOT)) for path in sources if opens.search(path.read_text(encoding="utf-8"))}
    assert found == {"zoo/ink/decoding.py", "zoo/ingest/file_formats.py", "zoo/data/parquet.py", "zoo/reports/style.py"}
    space = (ROOT / "zoo/tabs/space.py").read_text(encoding="utf-8")
    assert "apart.decoding_files()" in space.partition("async def lifespan")[2].partition("yield")[0]


def test_the_rest_api_decodes_in_children_as_long_as_it_runs():
    async def run() -> list:
        api = Api(Engine(threads=1))
        async with api.running():
            return decoding._decoders[:]

    before = len(decoding._decoders)
    assert len(asyncio.run(run())) == before + 1
    assert len(decoding._decoders) == before


@pytest.mark.parametrize(
    "header",
    [
        {"pages": [[10, 10, ""]] * 21}, {"pages": [[10**6, 10**6, ""]]}, {"pages": [[-1, 5, ""]]}, {"pages": 7},
        {"pages": [[True, 1, ""]]}, {"pages": [[100, 100, ""]]}, {"pages": ["abc"]}, {"pages": [[1.5, 2, ""]]},
        {"pages": [], "error": "x" * 10_000}, {"pages": [], "error": ["no"], "blank": {}},
    ],
)  # fmt: skip
def test_a_child_that_was_taken_over_is_not_believed(monkeypatch, header):
    monkeypatch.setattr(apart, "_answer", lambda *_: Answer(header, io.BytesIO(b"\0" * 10), 0, 0.0))
    with pytest.raises(InkError) as raised:
        list(apart.decode(b"x", 1024, 20, bounds.turn))
    assert len(str(raised.value)) <= apart.LONGEST


@pytest.mark.parametrize(
    "answered", [b"[]\n", b"{\n", b"[" * 100_000 + b"\n", b"1\n", b"\xff\xfe\n", b'{"cpu": 1}\n', b""]
)
def test_what_is_no_answer_is_none(monkeypatch, answered):
    monkeypatch.setattr(spawning, "_rest", lambda *_: iter([answered, b"\n"]))
    with pytest.raises(spawning.NoAnswer):
        apart._SPAWNERS.started().run({"task": "decode", "side": 8, "most": 1, "large": True}, photo(), Limits())


def test_a_picture_that_reaches_a_limit_is_one_sentence(monkeypatch):
    for limits in (Limits(memory=1_000_000), Limits(cpu=1, wall=0.01)):
        monkeypatch.setattr(apart, "SMALL", limits)
        monkeypatch.setattr(apart, "LARGE", limits)
        monkeypatch.setattr(apart, "SLOW", limits)
        with pytest.raises(InkError) as raised:
            decoding.pixels(png(7070, 1, 3))
        assert str(raised.value) in (decoding.TOO_MUCH, str(decoding._unreadable(b"")))


@pytest.mark.parametrize("name", SLOW)
def test_a_picture_that_takes_long_gives_its_place_up(name, monkeypatch):
    """Whatever it takes so long for; it is read all the same."""
    make, pages = SLOW[name]
    content, asked = make(), []

    @contextlib.contextmanager
    def turn(turns):
        asked.extend([turns] if turns is not bounds.SEVERAL else [])
        yield lambda: None

    monkeypatch.setattr(apart, "SMALL", dataclasses.replace(apart.SMALL, cpu=0.02))
    monkeypatch.setattr(apart, "LARGE", dataclasses.replace(apart.LARGE, cpu=0.02))
    assert len(list(apart.decode(content, 1024, 20, turn))) == pages
    assert asked[-1] is bounds.SLOW_ONES


def test_what_is_done_at_once_does_not_wait_for_what_is_slow(monkeypatch):
    """Four requests of 6 kB held all places for a minute, by pages that share their rows."""
    monkeypatch.setattr(apart, "SMALL", dataclasses.replace(apart.SMALL, cpu=0.1))
    monkeypatch.setattr(apart, "LARGE", dataclasses.replace(apart.LARGE, cpu=0.2))
    monkeypatch.setattr(apart, "SLOW", dataclasses.replace(apart.SLOW, cpu=0.5))
    files = {"a": one_strip(7000, 20), "b": one_strip(7000, 20), "c": progressive(3000, 60), "d": one_strip(1900, 20)}
    over, come = [], threading.Barrier(len(files) + 1)

    def decode(sender: str, content: bytes) -> None:
        come.wait(60)
        with contextlib.suppress(InkError):
            list(apart.decode(content, 1024, 20, Budget(sender=sender).turn))
        over.append(sender)

    threads = [threading.Thread(target=decode, args=one) for one in files.items()]
    for thread in threads:
        thread.start()
    come.wait(60)
    for sender, content in (("photo", saved(Image.new("L", (2600, 2100)), "PNG")), ("glyph", photo())):
        list(apart.decode(content, 1024, 1, Budget(sender=sender).turn))
        over.append(sender)
    for thread in threads:
        thread.join()
    assert set(over[:3]) >= {"photo", "glyph"}


def test_of_several_pages_few_files_are_kept_at_a_time_one_of_a_sender():
    """Each holds all its pages until the last is read; four addresses so took five gigabytes."""
    page = Image.open(io.BytesIO(photo()))
    pages = [
        saved(page, "TIFF", save_all=True, append_images=[page], **options)
        for options in ({}, {"compression": "tiff_lzw"}, {"big_tiff": True})
    ]
    held = [
        (ThreadPoolExecutor(1), see(content, Budget(sender=sender)))
        for sender, content in zip("abc", pages, strict=True)
    ]
    for thread, seen in held:
        thread.submit(next, seen).result()
    assert len(held) == bounds.SEVERAL_AT_ONCE

    def waits(sender: str, content: bytes) -> bool:
        begun = time.monotonic()
        try:
            next(see(content, Budget(lambda: time.monotonic() < begun + 1, sender=sender)))
        except reading.Unwanted:
            return True
        return False

    assert waits("d", pages[0])
    one_page = [saved(page, "TIFF", **options) for options in ({}, {"compression": "tiff_lzw"}, {"big_tiff": True})]
    for content in (photo(), *one_page, one_page[0] + b"\0" * 99):  # a picture of one page has nothing to wait for
        assert not waits("a", content)
    thread, seen = held.pop()
    thread.submit(seen.close).result()
    assert waits("a", pages[1])
    assert not waits("d", pages[2])
    predictor = MODELS(NETWORK)
    for sender in ("d", "d"):  # read to the end, or given up: the place is free again
        assert len(reading.read(pages[0], predictor, budget=Budget(sender=sender)).following) == 1
    for thread, seen in held:
        thread.submit(seen.close).result()
    assert bounds.SEVERAL._free == bounds.SEVERAL_AT_ONCE


def tiff(begins: bytes, pages: int) -> bytes:
    """Pages of one pixel, as Pillow understands a header that begins so."""
    order, big = "<" if begins.startswith(b"II") else ">", begins[2] == 43
    content = begins + (struct.pack(f"{order}HHQ", 8, 0, 16) if big else struct.pack(f"{order}I", 8))
    tags = (256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (279, 1)
    for page in range(pages):
        head, entry, last = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
        size = struct.calcsize(f"{order}{head}") + len(tags) * struct.calcsize(order + entry) + struct.calcsize(last)
        following = 0 if page + 1 == pages else len(content) + size
        content += struct.pack(order + head, len(tags))
        content += b"".join(struct.pack(order + entry, tag, 4, 1, value) for tag, value in tags)
        content += struct.pack(order + last, following)
    return content


@pytest.mark.parametrize("begins", TiffImagePlugin.PREFIXES)
def test_a_file_has_the_pages_that_pillow_finds(begins):
    """What another order of bytes, or the larger kind, makes of a header is the decoder's to say."""
    for pages in (1, 2, 3):
        content = tiff(begins, pages)
        with Image.open(io.BytesIO(content)) as opened:
            assert opened.n_frames == pages
        assert bounds.has_pages(content) == (pages > 1)
        assert bounds.has_pages(content[:-1])  # nobody knows


def test_a_spawner_that_was_killed_is_started_again():
    decoding.pixels(photo())
    spawner = apart._SPAWNERS.started()
    process = spawner.process
    process.kill()
    process.wait()
    assert decoding.pixels(photo()).shape == (120, 120, 4)
    assert apart._SPAWNERS.started().process.pid != process.pid
    assert spawner.socket.fileno() == -1  # so that children who wait for a request of it end


def test_a_spawner_that_stands_still_is_started_again(monkeypatch):
    decoding.pixels(photo())
    spawner = apart._SPAWNERS.started()
    os.kill(spawner.process.pid, signal.SIGSTOP)  # before its children: it forks no more of them
    children = Path(f"/proc/{spawner.process.pid}/task/{spawner.process.pid}/children").read_text().split()
    for child in map(int, children):
        with contextlib.suppress(ProcessLookupError):  # the one that has just answered
            os.kill(child, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(spawning, "START", 0.1)
        with pytest.raises(spawning.Stopped):
            spawner.run({"task": "decode"}, photo(), Limits())
    assert not spawner.alive
    assert decoding.pixels(photo()).shape == (120, 120, 4)


def test_a_picture_that_nobody_waits_for_is_not_decoded_to_the_end(monkeypatch):
    monkeypatch.setattr(spawning, "LOOK", 0.01)

    def gone() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(apart.decode(png(7070, 1, 3), 1024, 1, lambda turns: contextlib.nullcontext(gone)))


def test_a_refused_picture_is_let_go_at_once(monkeypatch):
    """Where a library decodes: no circle of an error and its frames keeps it until Python looks for circles."""
    gc.collect()
    gc.disable()
    try:
        for content in (gif(9000, 1), photo()[:300], lying("AVIF", 64)[:-40]):
            monkeypatch.setattr(decoding, "_decoders", [])
            with contextlib.suppress(InkError):
                reading.read(content, MODELS(NETWORK))
            assert [one for one in gc.get_objects() if isinstance(one, ImageFile.ImageFile)] == []
    finally:
        gc.enable()


@pytest.mark.slow
def test_the_space_keeps_nothing_of_pictures_by_rest_agents_and_the_page():
    """The reported file, five times each way: the Space took up to 4 GB, and kept it."""
    import httpx
    from space import serve

    uri = "data:image/gif;base64," + base64.b64encode(gif(9000, 2)).decode()
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "read", "arguments": {"image": uri}}}
    accepts = {"Accept": "application/json, text/event-stream"}
    with serve() as space, httpx.Client(base_url=space.url, timeout=240) as client:
        good = "data:image/png;base64," + base64.b64encode(photo()).decode()
        assert client.post("/api/v1/read", json={"image": good}).status_code == 200
        before = space.process.memory_info().rss
        for _ in range(5):
            assert client.post("/api/v1/read", json={"image": uri}).status_code == 422
            assert "megapixels" in client.post("/gradio_api/mcp/", json=call, headers=accepts).text
            event = client.post("/gradio_api/call/read", json={"data": [uri, None]}).json()["event_id"]
            assert "megapixels" in client.get(f"/gradio_api/call/read/{event}").text
        assert space.process.memory_info().rss - before < 150_000_000
