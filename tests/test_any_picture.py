"""Any picture that a person has is read: tight crops, desks, shadows, forms, odd files. Rendered from strokes."""

import contextlib
import io
import time

import cv2
import numpy as np
import pytest
from PIL import Image
from strokes import FOUR, SEVEN, THREE

import zoo
from zoo import gate, ink
from zoo.gate.uploads import UPLOADS
from zoo.ink import decoding, paper
from zoo.ink.sheet import find_sheet
from zoo.tabs import draw, read

DIGITS = (THREE, SEVEN, FOUR, SEVEN)
MODEL = "hdr_cnn.mnist"


def drawn(glyphs=DIGITS, pen=14, size=150, border=70):
    """Ink of sketches side by side, float32 (H, W) in [0, 1]."""
    page = np.zeros((size + 2 * border, (size + 60) * len(glyphs) + 2 * border), np.float32)
    for column, strokes in enumerate(glyphs):
        for stroke in strokes:
            points = np.int32(np.array(stroke) * size + (border + column * (size + 60), border))
            cv2.polylines(page, [np.repeat(points, 2, axis=0)], False, 1.0, pen, cv2.LINE_AA)
    return page


def photo(share, paper=215.0, pen=45.0, light=1.0):
    """A picture of ink on paper in some light, uint8 (H, W, 3), with a sensor's noise."""
    gray = (paper * (1 - share) + pen * share) * light
    noise = np.random.default_rng(0).normal(0, 3, gray.shape)
    return np.repeat((gray + noise).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def text(picture, model=MODEL):
    return zoo.read(picture, model).text


def cropped(share, margin):
    rows, columns = (np.flatnonzero((share > 0.5).any(axis=axis)) for axis in (1, 0))
    tight = share[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(tight, round(margin * max(tight.shape)))


@pytest.mark.parametrize("margin", [0, 0.01, 0.04])
@pytest.mark.parametrize("pen", [10, 26])
@pytest.mark.parametrize(("strokes", "label"), [(THREE, "3"), (SEVEN, "7"), (FOUR, "4")])
def test_a_tight_crop_needs_no_margin(strokes, label, pen, margin):
    share = cropped(drawn([strokes], pen), margin)
    assert text(255 - (255 * share).astype(np.uint8)) == label
    assert text((255 * share).astype(np.uint8)) == label  # white on black


def test_the_bar_of_a_seven_is_no_ruled_line():
    picture = np.full((200, 130), 255, np.uint8)
    cv2.polylines(picture, [np.array([[5, 5], [124, 5], [50, 194]])], False, 0, 12)
    assert text(picture) == "7"


@pytest.mark.parametrize("desk", [25, 110, 60])
@pytest.mark.parametrize("fill", [0.9, 0.6, 0.4])
def test_a_sheet_on_a_desk_is_found(fill, desk):
    sheet = photo(drawn())
    height, width = sheet.shape[:2]
    frame = np.full((width, round(width * 1.2), 3), desk, np.uint8)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    seen = (corners - (width / 2, height / 2)) * fill * (1, 1) + (frame.shape[1] / 2, frame.shape[0] / 2)
    seen += [(12, 5), (-8, 0), (0, 9), (4, -6)]
    matrix = cv2.getPerspectiveTransform(corners, seen.astype(np.float32))
    cv2.warpPerspective(sheet, matrix, frame.shape[1::-1], frame, borderMode=cv2.BORDER_TRANSPARENT)
    assert find_sheet(frame) is not None
    found = zoo.read(frame, MODEL)
    assert found.text == "3747"
    assert "sheet" in found.notes[0]
    x, y, *_ = found.glyphs[0].box  # as a fraction of the picture that was sent, not of the sheet
    assert abs(x * frame.shape[1] - (seen[0, 0] + 70 * fill)) < 40
    assert seen[0, 1] < y * frame.shape[0] < seen[3, 1]


def lights(shape):
    x, y = np.meshgrid(np.linspace(-1, 1, shape[1]), np.linspace(-1, 1, shape[0]))
    return {
        "shadow": 1 - 0.5 / (1 + np.exp(-(x + 0.4 * y) * 60)),
        "vignette": 1 - 0.7 * (x**2 + y**2) / 2,
        "lamp": 1 + 0.2 * x,
    }


@pytest.mark.parametrize("kind", ["shadow", "vignette", "lamp"])
def test_uneven_light_is_no_ink(kind):
    share = drawn()
    assert text(photo(share, light=lights(share.shape)[kind])) == "3747"


def test_show_through_and_ruling_are_no_ink():
    share = drawn()
    back = 0.2 * cv2.GaussianBlur(share[:, ::-1], (0, 0), 3)
    assert text(photo(share, paper=215 * (1 - back))) == "3747"
    lines = np.zeros(share.shape)
    lines[::48] = lines[1::48] = 1
    assert text(photo(share, paper=215 * (1 - 0.35 * lines))) == "3747"
    lines[:, ::48] = lines[:, 1::48] = 1
    assert text(photo(share, paper=215 * (1 - 0.3 * lines))) == "3747"


def test_boxes_of_a_form_are_no_glyphs():
    share = drawn()
    for left in range(40, share.shape[1] - 230, 210):
        cv2.rectangle(share, (left, 40), (left + 210, share.shape[0] - 40), 1.0, 3)
    assert text(photo(share)) == "3747"
    assert text(photo(drawn([FOUR]) + 0.0)) == "4"


def test_a_glyph_that_the_border_cuts_is_read_and_costs_no_other(tmp_path):
    share = drawn()[:, :-100]  # through the last digit
    assert text(photo(share)).startswith("374")
    for rows in range(110, 220, 7):  # the border runs through every digit
        zoo.read(photo(drawn()[:rows]), MODEL)
    for index, page in enumerate((photo(share), photo(drawn()))):
        Image.fromarray(page).save(tmp_path / f"{index}.png")
    files = [str(tmp_path / "0.png"), str(tmp_path / "1.png")]
    assert "was uploaded to this Space by its sender" in read.respond(files, {"models": [MODEL]})
    UPLOADS.note(files, gate.caller())
    answer = read.respond(files, {"models": [MODEL]})
    assert 'data-text="3747"' in answer


def test_predict_and_read_see_the_same():
    page = photo(drawn([THREE]))
    (glyph,) = zoo.read(page, MODEL).glyphs
    (reading,) = draw.read(page, [MODEL])
    assert reading.labels[reading.best] == glyph.label == "3"
    np.testing.assert_array_equal(reading.image, glyph.image)


def test_a_page_on_its_side_is_turned_and_it_is_said():
    found = zoo.read(np.rot90(photo(drawn())).copy(), MODEL)
    assert found.text == "3747"
    assert any("turned by 270 degrees" in note for note in found.notes)


ARRAYS = {
    "float in 0 to 1": lambda g: g / np.float32(255),
    "normalized by mean and deviation": lambda g: (g - g.mean()) / g.std(),
    "mask": lambda g: (g > 128).astype(int),
    "0 to 16": lambda g: g.astype(int) // 16,
    "12 bits": lambda g: g.astype(np.int32) * 16,
    "16 bits, big-endian": lambda g: (g.astype(np.uint16) * 257).astype(">u2"),
    "int32": lambda g: g.astype(np.int32),
    "minus one to one": lambda g: g / 127.5 - 1,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_range_are_read_alike(kind):
    gray = photo(drawn([THREE]))[..., 0]
    assert text(ARRAYS[kind](gray)) == "3"


def file_of(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def test_deep_tiffs_pages_and_frames():
    three, seven = (Image.fromarray(photo(drawn([strokes]))) for strokes in (THREE, SEVEN))
    gray = np.asarray(three.convert("L"))
    for deep in (gray.astype(np.float32), gray.astype(np.int32) * 257, gray.astype(np.uint16) * 257):
        assert text(file_of(Image.fromarray(deep), "TIFF")) == "3"
    found = zoo.read(file_of(three, "TIFF", save_all=True, append_images=[seven]), MODEL)
    assert found.text == "3\n\n7"
    assert found.notes == ("Page 1 of 2.",)
    blank = Image.new("RGB", three.size, "white")
    found = zoo.read(file_of(blank, "GIF", save_all=True, append_images=[seven, three]), MODEL)
    assert (found.text, found.notes) == ("7", ("Frame 2, the first with ink.",))


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_every_format_is_turned_as_exif_says(form):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.fromarray(photo(drawn([SEVEN]))).transpose(Image.Transpose.ROTATE_90)
    assert text(file_of(lying, form, exif=exif)) == "7"


def test_postscript_is_refused_whatever_its_name(tmp_path):
    path = tmp_path / "three.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(ink.InkError, match="cannot be read as one"):
        decoding.pixels(path)


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded():
    """Each scan takes as long as the whole picture, and needs a few bytes."""
    for side, sentence in ((4000, "too many scans for its size"), (100, "more than 100 scans")):
        content = file_of(Image.new("L", (side, side), "white"), "JPEG", progressive=True)
        body, end = content[:-2], content[-2:]
        last = content[content.rfind(b"\xff\xda") : -2]
        started = time.process_time()
        with pytest.raises(ink.InkError, match=sentence):
            decoding.pixels(body + 500 * last + end)
        assert time.process_time() - started < 2


@pytest.mark.parametrize(("form", "pages"), [("TIFF", 30), ("GIF", 60)])
def test_pages_without_end_are_not_counted_to_the_end(form, pages):
    blank = Image.new("RGB", (40, 40), "white")
    many = [Image.new("RGB", (40, 40), (255, 255, 250 - n)) for n in range(pages)]
    with contextlib.suppress(ink.Blank):
        found = list(decoding.decode(file_of(blank, form, save_all=True, append_images=many)))
        assert len(found) <= decoding.MAX_PAGES


def test_nothing_but_a_sentence_for_fuzzed_pictures():
    """A sample of what `scripts/bench_field.py --fuzz` tries by the thousand."""
    rng = np.random.default_rng(0)
    whole = file_of(Image.fromarray(photo(drawn([THREE]))), "PNG")
    for index in range(40):
        broken = bytearray(whole[: int(rng.integers(1, len(whole)))])
        for place in rng.integers(0, len(broken), 5):
            broken[place] = int(rng.integers(256))
        shape = tuple(int(n) for n in rng.choice([1, 2, 3, 30, 900], 2))
        for picture in (bytes(broken), rng.integers(0, 256, (*shape, int(rng.choice([1, 3, 4]))), dtype=np.uint8)):
            with contextlib.suppress(zoo.ZooError):
                assert isinstance(zoo.read(picture, MODEL).text, str), index


@pytest.mark.parametrize("shape", [(97, 61, 3), (5, 90)])
def test_closings_are_those_by_whole_squares(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = dict(paper._closings(picture))
    assert tuple(found) == paper.SQUARES
    for square, closed in found.items():
        assert (closed == cv2.morphologyEx(picture, cv2.MORPH_CLOSE, np.ones((square, square), np.uint8))).all()
