"""A small file asks for no more memory or time than its decoder may have: it is refused by what it declares."""

import asyncio
import base64
import contextlib
import io
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from zoo import gate
from zoo.errors import Busy, InkError, ZooError
from zoo.ink import bounds, decoding, turns
from zoo.ink.turns import Turns
from zoo.pages.keypoints import Keypoints
from zoo.serving import reading_budget
from zoo.serving.engine import Engine, Picture
from zoo.serving.reading_budget import Budget, Spent
from zoo.tabs import draw
from zoo.tabs import read as read_tab

WHITE = Image.new("RGB", (64, 64), "white")


def saved(image: Image.Image, form: str, **options) -> bytes:
    """Return an image as a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def directory(*tags: tuple[int, int, int, int], order: str = "<") -> bytes:
    """Return a TIFF of one directory: tags as (tag, type, count, value or offset)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    packed = b"".join(
        struct.pack(f"{order}HHI", *tag[:3]) + struct.pack(order + ("H2x" if tag[1:3] == (3, 1) else "I"), tag[3])
        for tag in tags
    )
    return head + packed + b"\0" * 4


def tiff(*more: tuple[int, int, int, int], width: int = 16, order: str = "<") -> bytes:
    """Return a gray TIFF of 16 rows, without its pixels."""
    tags = [(256, 3, 1, width), (257, 3, 1, 16), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    return directory(*tags, *more, order=order)


def overlapping(order: str = "<") -> bytes:
    """Return tags that all name the same 60 kB, as EXIF has them."""
    return directory(*((tag, 7, 50_000, 100) for tag in range(1000, 5000)), order=order) + b"\0" * 4000


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_exif(exif: bytes, pieces: int = 1) -> bytes:
    """Return a JPEG whose EXIF comes in some pieces, which Pillow joins."""
    size = -(-len(exif) // pieces)
    parts = [segment(0xE1, b"Exif\0\0" + exif[n * size : (n + 1) * size]) for n in range(pieces)]
    content = saved(WHITE, "JPEG")
    return content[:2] + b"".join(parts) + content[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunks(chunks: bytes) -> bytes:
    """Return a PNG with more chunks behind its header."""
    content = saved(WHITE, "PNG")
    return content[:33] + chunks + content[33:]


def run_lengths(width: int, height: int) -> bytes:
    """Return a BMP of run lengths, all of them empty."""
    head = struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 100, 0, 0, 14 + 40 + 1024) + head + b"\0" * 1024 + b"\1\0" * 400_000


BOMBS = {
    "tiff tile": tiff((322, 3, 1, 20_000), (323, 3, 1, 20_000), (324, 4, 1, 8), (325, 4, 1, 100)),
    "tiff tile, other order": tiff((322, 4, 1, 20_000), (323, 4, 1, 20_000), order=">"),
    "tiff tile, given twice": tiff((322, 3, 1, 16), (322, 3, 1, 60_000), (323, 3, 1, 16), (323, 3, 1, 60_000)),
    "tiff tile, of another type": tiff((322, 16, 1, 100), (323, 16, 1, 100)),
    "tiff width, given twice": tiff((256, 3, 1, 60_000)),
    "tiff strips": tiff((273, 4, 1_000_000, 200)) + b"\0" * 4_000_000,
    "tiff tags": directory(*((tag, 3, 1, 0) for tag in range(1000, 8000))),
    "tiff overlap": overlapping(),
    "tiff codec": tiff().replace(struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 259, 3, 1, 34925)),
    "exif": with_exif(overlapping(">")),
    "exif in pieces": with_exif(overlapping(), 4),
    "png exif": with_chunks(chunk(b"eXIf", overlapping())),
    "webp exif": saved(WHITE, "WEBP", exif=b"Exif\0\0" + overlapping()),
    "avif exif": saved(WHITE, "AVIF", exif=overlapping()),
    "png chunks": with_chunks(chunk(b"teSt", b"") * 300_000),
    "png profiles": with_chunks(chunk(b"iCCP", b"k\0\0" + zlib.compress(b"\0" * 900_000)) * 3000),
    "jpeg segments": b"\xff\xd8" + segment(0xFE, b"") * 300_000 + saved(WHITE, "JPEG")[2:],
    "jpeg filling": b"\xff\xd8" + b"\xff" * 300_000 + saved(WHITE, "JPEG")[2:],
    "bmp run lengths": run_lengths(5000, 5000),
    "bmp empty runs": run_lengths(900, 900),
    "pbm text": b"P1 5000 5000\n" + b"1" * 100,
    "ppm text": b"P3 900 900 255\n" + b"1 " * 2_430_000,
    "pgm of another range": b"P5 5000 5000 100\n" + b"\0" * 100,
    "pgm comment": b"P5\n#" + b"#" * 1_000_000,
    "one line": saved(Image.new("L", (1, 5_000_000)), "PNG"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_asks_for_much_is_refused_at_once(name):
    content = BOMBS[name]
    decoding.pixels(saved(WHITE, "PNG"))
    started = time.process_time()
    with pytest.raises(InkError) as error:
        decoding.pixels(content)
    assert time.process_time() - started < 2
    assert str(error.value).endswith(".")


def test_a_jpeg_of_several_pictures_has_its_scans_counted_too():
    """An MPO is a JPEG by its content; the video that follows a phone's picture is none of its scans."""
    image = saved(WHITE, "JPEG", progressive=True)
    mpo = saved(WHITE, "MPO", save_all=True, append_images=[WHITE], progressive=True)
    last = image[image.rfind(b"\xff\xda") : -2]
    end = mpo.index(b"\xff\xd9")
    with pytest.raises(InkError, match="more than 100 scans"):
        decoding.pixels(mpo[:end] + last * 500 + mpo[end:])
    assert decoding.pixels(mpo).shape == decoding.pixels(image + b"\xff\xda\0\0" * 500).shape == (64, 64, 4)


def progressive(width: int, height: int, scans: int) -> bytes:
    """Return a JPEG of so many scans that says it is so large."""
    image = saved(WHITE, "JPEG", progressive=True)
    size = struct.pack(">HH", 64, 64)
    assert image.count(size) == 1
    last = image[image.rfind(b"\xff\xda") : -2]
    more = last * (scans - image.count(b"\xff\xda"))
    return image[:-2].replace(size, struct.pack(">HH", height, width)) + more + image[-2:]


@pytest.mark.parametrize(("side", "scans"), [(7071, 30), (5000, 60), (4000, 90)])
def test_a_large_jpeg_has_fewer_scans(side, scans):
    """A hundred scans of 50 megapixels take 3.5 s, though ninety of them are empty."""
    for content in (progressive(side, side, scans), memoryview(progressive(side, side, scans))):
        with pytest.raises(InkError, match="too many scans for its size"):
            bounds.check_scans(content)
    bounds.check_scans(progressive(side, side, 15))
    bounds.check_scans(progressive(64, 64, scans))


@pytest.mark.parametrize("frames", [60])
def test_frames_of_a_large_canvas_are_few(frames):
    """The frames of a GIF together have about as many pixels as the largest picture."""
    blank = Image.new("P", (5000, 2000))
    content = saved(blank, "GIF", save_all=True, append_images=[Image.new("P", (9, 9), n) for n in range(1, frames)])
    decoded = []
    with contextlib.ExitStack() as patched:
        monkey = patched.enter_context(pytest.MonkeyPatch.context())
        monkey.setattr(decoding, "_page", lambda *_: decoded.append(1) or np.zeros((4, 4, 4), np.uint8))
        assert list(decoding.decode(content))
    assert len(decoded) <= 6


def test_usual_files_of_each_kind_are_still_read():
    """Tiles, strips, EXIF, profiles, text, short run lengths and small text pictures."""
    exif = Image.Exif()
    exif[0x0112], exif[0x9286] = 6, b"x" * 10_000
    wide = WHITE.resize((80, 40))
    files = [
        saved(wide, "TIFF", compression=kind) for kind in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    ]
    files += [saved(wide, "JPEG", exif=exif, icc_profile=b"x" * 200_000), saved(wide, "PNG", exif=exif)]
    files += [saved(wide, "WEBP", exif=exif), saved(wide, "TIFF", exif=exif), saved(wide, "AVIF", exif=exif)]
    files += [b"P3 2 1 255\n255 0 0 0 0 0\n", b"P5 2 1 100\n\0\1", saved(wide.convert("P"), "BMP")]
    for content in files:
        assert sorted(decoding.pixels(content).shape[:2]) in ([40, 80], [1, 2]), content[:40]


def test_large_pictures_take_turns():
    """Decoding one takes up to a gigabyte."""
    running, most, lock = 0, 0, threading.Lock()

    def decode() -> None:
        nonlocal running, most
        with bounds.turn(bounds.LARGE_ONES):
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.02)
            with lock:
                running -= 1

    threads = [threading.Thread(target=decode) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == bounds.AT_ONCE


class Waiting:
    """Calls that wait for places, each in a thread; `begun` has their senders in the order of their turns."""

    def __init__(self, places: int, most_waiting: int | None = None):
        self.turns, self.begun, self.ends, self.threads = Turns(places, most_waiting), [], {}, []

    def send(self, sender: str, check=lambda: None) -> threading.Event:
        """Send a call; it ends when the event is set."""
        end, came = threading.Event(), len(self.turns._waiting) + len(self.begun)

        def call() -> None:
            with contextlib.suppress(InterruptedError), self.turns.taken(sender, check):
                self.begun.append(sender)
                assert end.wait(20)

        self.threads.append(threading.Thread(target=call))
        self.threads[-1].start()
        self.until(lambda: len(self.turns._waiting) + len(self.begun) > came)
        return end

    def until(self, what) -> None:
        deadline = time.monotonic() + 20
        while not what():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def end(self) -> None:
        for thread in self.threads:
            thread.join(20)


def test_one_address_leaves_a_place_to_others():
    """Seven large pictures of one address kept both places, and another one's photo waited for minutes."""
    calls = Waiting(2)
    many = [calls.send("a") for _ in range(7)]
    photo = calls.send("b")
    calls.until(lambda: len(calls.begun) == 2)
    assert calls.begun == ["a", "b"]
    for one in (photo, *many):
        one.set()
    calls.end()
    assert calls.begun == ["a", "b"] + ["a"] * 6
    assert calls.turns._free == 2


def test_who_had_no_turn_yet_comes_before_who_had_some():
    calls = Waiting(1)
    first, *others = [calls.send(sender) for sender in ("a", "a", "b", "b", "c")]
    first.set()
    for one in others:
        one.set()
    calls.end()
    assert calls.begun == ["a", "b", "c", "a", "b"]


def test_who_gives_a_place_back_leaves_it_to_others():
    turns, came = Turns(1), []
    with turns.taken("a"):
        turns.give_back()
        turns.give_back()  # nothing is left to give
        with turns.taken("b"):
            turns.give_back()

            def gone() -> None:
                came.append("a")
                raise InterruptedError

            with contextlib.suppress(InterruptedError), turns.taken("a", gone):
                pytest.fail("a second place for one sender")
        with turns.taken("b"):
            pass
    assert (came, turns._free, turns._busy) == (["a"], 1, set())


def test_few_wait_where_the_number_is_limited_each_of_another_sender():
    calls = Waiting(1, 2)
    many = [calls.send(sender) for sender in ("a", "a", "b")]
    for sender in ("a", "b", "c"):
        with pytest.raises(Busy, match="try again"), calls.turns.taken(sender):
            pass
    for one in many:
        one.set()
    calls.end()
    assert calls.begun == ["a", "b", "a"]
    with calls.turns.taken("c"):
        pass


def test_who_has_gone_waits_no_longer(monkeypatch):
    calls, gone = Waiting(1), threading.Event()

    def check() -> None:
        if gone.is_set():
            raise InterruptedError

    monkeypatch.setattr(turns, "LOOK", 0.01)
    first = calls.send("a")
    left, last = calls.send("b", check), calls.send("c")
    gone.set()
    calls.until(lambda: len(calls.turns._waiting) == 1)
    for one in (first, left, last):
        one.set()
    calls.end()
    assert (calls.begun, calls.turns._free, calls.turns._busy) == (["a", "c"], 1, set())


def test_time_of_waiting_for_a_turn_is_not_time_of_reading(monkeypatch):
    """A photo that had waited for a minute was refused."""
    now = [0.0]
    monkeypatch.setattr("zoo.serving.reading_budget.time.monotonic", lambda: now[0])
    budget = Budget(sender="a")

    class Waits(Turns):
        @contextlib.contextmanager
        def taken(self, *_):
            now[0] += 100
            yield lambda: None
            now[0] += 50

    with budget.turn(Waits(1)):
        budget.take()
    budget.take()
    now[0] += 11
    with pytest.raises(Spent, match="more than 60 seconds"):
        budget.take()
    with pytest.raises(Spent), budget.turn(Waits(1)):  # also where all pictures were refused, and no page was read
        pass


def test_all_ways_share_the_places_of_an_address(monkeypatch):
    """Pages and photos, by REST, the endpoints, agents and the Read tab: each asks for turns in the sender's name."""
    asked = []

    def taken(turns, sender="", check=None):
        asked.append(
            (sender, {bounds.LARGE_ONES: "decodes", bounds.PAGES: "describes", reading_budget.READERS: "reads"}[turns])
        )
        return contextlib.nullcontext(check)

    monkeypatch.setattr(Turns, "taken", taken)
    monkeypatch.setattr(Keypoints, "views", lambda self, page: np.zeros((1, *self.input_shape), np.uint8))
    page = np.full((2000, 2100), 255, np.uint8)
    page[700:1300, 1000:1080] = 0
    photo = saved(Image.fromarray(page), "JPEG")
    uri = "data:image/jpeg;base64," + base64.b64encode(photo).decode()
    for model in ("lenet5.mnist", "rootsift_vlad.pages70"):
        asked.clear()
        engine = Engine(threads=1)
        with contextlib.suppress(ZooError):
            asyncio.run(engine.read(Picture(lambda: photo, (model,)), "192.0.2.7"))
        engine.close()
        with gate.entered(gate.Caller("192.0.2.7")):
            for endpoint, arguments in (
                (read_tab.read, {"image": uri, "model": model}),
                (draw.predict, {"image": uri, "models": [model]}),
            ):
                with contextlib.suppress(ZooError):
                    endpoint(arguments)
            read_tab.respond_live({"url": uri}, {"script": None, "models": [model]})
        assert asked.count(("192.0.2.7", "decodes")) == 4, model
        described = 3 if model.endswith("pages70") else 0  # not by `predict`; photos do not wait for it
        assert asked.count(("192.0.2.7", "describes")) == described, model
        assert asked.count(("192.0.2.7", "reads")) >= 3, model
        assert len({sender for sender, _ in asked}) == 1


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_a_broken_tiff_prints_nothing(capfd, compression):
    """Its library prints a line for each broken line: a picture of 0.3 MB made 71 MB of a server's log."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 400), np.uint8)
    image = Image.fromarray(noise).convert("1" if compression.startswith("group") else "L")
    image.save(packed := io.BytesIO(), "TIFF", compression=compression)
    content = bytearray(packed.getvalue())
    content[200:-400] = np.random.default_rng(1).bytes(len(content) - 600)
    with contextlib.suppress(InkError):
        decoding.pixels(bytes(content))
    assert capfd.readouterr().err == ""
