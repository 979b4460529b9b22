"""Mirrors: tiny originals in every form and state, the real ones where they are, and `datasets` reading them back."""

import gzip
import io
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import yaml
from conftest import HUB_HOME, ROOT, real_data
from hub_server import Account
from PIL import Image

import zoo
from zoo import data
from zoo.data import unpacking
from zoo.ingest import file_formats, originals

PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
TOKEN = "hf_NobodyMayEverReadThisToken"


def glyphs(name: str, each: dict[str, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return made-up splits in the contract and in the authors' order; the class of the stroke is taller than wide."""
    spec, original = data.get(name), originals.ORIGINALS[name]
    height, width, _ = spec.image_shape
    rng = np.random.default_rng(0)
    splits = {}
    for split, count in each.items():
        labels = np.repeat(np.arange(len(spec.labels)), count) if name == "ahcd" else np.arange(10 * count) % 10
        images = np.zeros((len(labels), height, width), np.uint8)
        images[:, 8:20, 6:20] = rng.integers(100, 256, (len(labels), 12, 14))
        stroke = labels == original.upright
        images[stroke] = 0
        images[stroke, 4:22, 12:15] = 255
        splits[split] = images, labels
    return splits


def text(table: np.ndarray, header: str | None = None) -> str:
    file = io.StringIO()
    np.savetxt(file, table.reshape(len(table), -1), fmt="%d", delimiter=",", header=header or "", comments="")
    return file.getvalue() if header else file.getvalue().lstrip("\n")


def as_idx(folder: Path, splits) -> None:
    for split, (images, labels) in splits.items():
        prefix = {"train": "train", "test": "t10k"}[split]
        for kind, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))


def as_csv(folder: Path, splits, header: bool = False) -> None:
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        for split, (images, labels) in splits.items():
            size = images[0].size
            names = ",".join(map(str, range(size))) if header else None
            archive.writestr(f"csv{split.title()}Images {len(labels)}x{size}.csv", text(images, names))
            archive.writestr(f"csv{split.title()}Label {len(labels)}x1.csv", text(labels, "label" if header else None))


def as_matlab(folder: Path, splits) -> None:
    variables = {}
    for split, (images, labels) in splits.items():
        variables[f"{split}_images"] = np.moveaxis(images, 0, -1)
        variables[f"{split}_labels"] = labels[:, None] + 1
    scipy.io.savemat(folder / "AHCD.mat", variables)


def as_bitmaps(folder: Path, splits) -> None:
    for split, (images, labels) in splits.items():
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            writer = row // 100 + (1 if split == "train" else 601)
            path = folder / f"Part{writer:02d}" / f"writer{writer:03d}_pass{row % 100 // 10 + 1:02d}_digit{label}.bmp"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), image)


def as_png_zips(folder: Path, splits) -> None:
    for split, (images, labels) in splits.items():
        with zipfile.ZipFile(folder / f"{split.title()} Images {len(labels)}x32x32.zip", "w") as archive:
            for row, (image, label) in enumerate(zip(images, labels, strict=True)):
                png = cv2.imencode(".png", image)[1].tobytes()
                archive.writestr(f"{split}/id_{row + 1}_label_{label + 1}.png", png)


AHCD, DIGITS = {"train": 8, "test": 2}, {"train": 20, "test": 10}


@pytest.mark.parametrize(
    ("name", "each", "write", "change", "told"),
    [
        ("mnist", DIGITS, as_idx, None, []),
        ("mnist", DIGITS, as_idx, "inverted", ["Ink was dark on light paper"]),
        ("ahdd", DIGITS, as_bitmaps, "inverted", ["Ink was dark on light paper"]),
        ("ahdd", DIGITS, as_csv, None, []),
        ("ahdd", DIGITS, lambda f, s: as_csv(f, s, header=True), "transposed", ["header row", "Rows and columns"]),
        ("ahcd", AHCD, as_matlab, "transposed", ["counted from 1", "Rows and columns were exchanged"]),
        ("ahcd", AHCD, as_png_zips, "both", ["counted from 1", "Ink was dark", "Rows and columns were exchanged"]),
        ("ahcd", AHCD, lambda f, s: (as_csv(f, s), as_matlab(f, s)), None, ["compared with CSV files"]),
    ],
)  # fmt: skip
def test_every_form_and_state_becomes_the_same_samples(name, each, write, change, told, tmp_path):
    wanted = glyphs(name, each)
    changed = {
        split: (
            {None: images, "inverted": 255 - images, "transposed": images.transpose(0, 2, 1),
             "both": 255 - images.transpose(0, 2, 1)}[change],
            labels,
        )
        for split, (images, labels) in wanted.items()
    }  # fmt: skip
    write(tmp_path, changed)
    mirror = originals.read_original(name, tmp_path)
    for split, (images, labels) in wanted.items():
        np.testing.assert_array_equal(mirror.splits[split].images, images)
        np.testing.assert_array_equal(mirror.splits[split].labels, labels)
        assert mirror.fingerprints[split] == data.fingerprint(images, labels)
    for sentence in told:
        assert sentence in " ".join(mirror.done)
    assert len(mirror.done) >= 1 + len(told)
    if change is None:
        assert not any(word in " ".join(mirror.done) for word in ("inverted", "exchanged", "header"))
    if name == "ahdd":
        assert mirror.splits["train"].columns["writer"] == [1] * 100 + [2] * 100
        assert set(mirror.splits["test"].columns["writer"]) == {601}
    if name == "ahcd":
        assert set(mirror.splits["train"].columns["block"]) == {0}


def test_pages_keep_their_size_and_name(tmp_path):
    pages = {}
    for person in range(1, 71):
        for kind, serials in ((1, [630 + person]), (2, [280 + person, 490 + person])):
            for serial in serials:
                page = np.full((4 + person % 3, 6), person, np.uint8)
                pages[f"{person:02d}_{kind}_{serial}.png"] = page
                cv2.imwrite(str(tmp_path / f"{person:02d}_{kind}_{serial}.png"), page)
    mirror = originals.read_original("pages70", tmp_path)
    assert (len(mirror.splits["train"]), len(mirror.splits["test"])) == (70, 140)
    assert mirror.splits["test"].columns["filename"][:3] == ["01_2_281.png", "01_2_491.png", "02_2_282.png"]
    for image, name in zip(mirror.splits["test"].images, mirror.splits["test"].columns["filename"], strict=True):
        np.testing.assert_array_equal(image, pages[name])


def break_gzip(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])


def eat_a_row(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    splits = glyphs("ahdd", DIGITS)
    for split, (images, labels) in splits.items():
        (folder / f"csv{split}Images.csv").write_text(text(images[1:]))  # what reading with a header does
        (folder / f"csv{split}Label.csv").write_text(text(labels))


@pytest.mark.parametrize(
    ("name", "damage", "sentence"),
    [
        ("mnist", break_gzip, "train-images-idx3-ubyte.gz is not a whole gzip file"),
        ("mnist", lambda folder: [path.unlink() for path in folder.glob("t10k*")], "holds no original of mnist"),
        ("mnist", lambda folder: (folder / "x.zip").write_bytes(b"half"), "x.zip is not a whole zip file"),
        ("ahdd", eat_a_row, "199 images but 200 labels in train: a row may have been taken for a header"),
        ("ahdd", lambda folder: None, "are not in the authors' order"),
    ],
)
def test_broken_originals_are_named(tmp_path, name, damage, sentence):
    folder = tmp_path / "originals"
    folder.mkdir()
    images, labels = glyphs("mnist", {"train": 20})["train"]
    order = np.random.default_rng(1).permutation(len(labels))
    as_idx(folder, {"train": (images[order], labels[order]), "test": (images[order], labels[order])})
    damage(folder)
    with pytest.raises(zoo.DataError, match=sentence):
        originals.read_original(name, folder)


def zips(*levels: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return zips within each other; the innermost holds a CSV of zeros."""
    content, name = b"0,0\n" * 10**6, "train Images.csv"
    for _ in range(len(levels) + 1):
        with zipfile.ZipFile(packed := io.BytesIO(), "w", method) as archive:
            archive.writestr(name, content)
        content, name = packed.getvalue(), "inner.zip"
    return content


def matlab(array) -> bytes:
    """Return a Matlab file with one variable, packed by zlib."""
    scipy.io.savemat(packed := io.BytesIO(), {"train_images": array}, do_compression=True)
    return packed.getvalue()


BOMBS = {  # of some kB; each unpacks to 4 MB and more
    "train-images-idx3-ubyte.gz": lambda: gzip.compress(b"\0\0\x08\x01\0\x3d\x09\0" + bytes(4 * 10**6)),
    "train-images-idx3-ubyte": lambda: gzip.compress(bytes(4 * 10**6)),
    "train Images.csv": lambda: gzip.compress(b"0,0\n" * 10**6),
    "a.zip": zips,
    "bzip2.zip": lambda: zips(method=zipfile.ZIP_BZIP2),
    "lzma.zip": lambda: zips(method=zipfile.ZIP_LZMA),
    "inner.zip": lambda: zips(b""),
    "deep.zip": lambda: zips(b"", b"", b""),
    "train.mat": lambda: matlab(np.zeros((2, 10**6), np.uint16)),
    "id_1_label_1.png": lambda: cv2.imencode(".png", np.zeros((2000, 2000), np.uint8))[1].tobytes(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_originals_that_unpack_to_very_much_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(unpacking, "FREE", 10**6)
    content = BOMBS[name]()
    assert len(content) < 30_000
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        zoo.DataError, match=r"unpacks to more than 1 MB|is a zip within 2 others|another method than Deflate"
    ):
        originals.read_original("mnist", tmp_path)


def huge(form: str) -> bytes:
    """Return the head of a picture of 900 megapixels, as if the rest were cut off."""
    if form == "png":
        return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBBI", 30_000, 30_000, 1, 0, 0, 0, 0, 0)
    Image.new("L", (8, 8)).save(small := io.BytesIO(), form)
    content = bytearray(small.getvalue())
    if form == "bmp":
        content[18:26] = struct.pack("<II", 30_000, 30_000)
    else:
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", 30_000, 30_000)
    return bytes(content)


HOSTILE = {
    "csvTrainImages.csv": (gzip.compress(b"0," * 3 * 10**6), "or one of more than 1,000,000 letters"),
    "csvTestLabel.csv": (b"\n" * 1001, "more than 1,000 rows"),
    "train-images-idx3-ubyte": (10**9, "ubyte cannot be read: it has 1,000,000,000 bytes, of which"),
    "train.mat": (10**13, "mat cannot be read: .* the most is"),
    "train-labels-idx1-ubyte": (b"\0\0\x08\xff", "does not hold as many values as it says"),
    "id_1_label_1.png": (huge("png"), "unpacks to more than 500 MB"),
    "id_1_label_2.bmp": (huge("bmp"), "unpacks to more than 500 MB|cannot be decoded as a picture"),
    "id_1_label_3.jpg": (huge("jpeg"), "unpacks to more than 500 MB|cannot be decoded as a picture"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_originals_are_counted_before_they_are_held(tmp_path, monkeypatch, name):
    """40 kB of a CSV took 3.3 GB, and a hole of 3 GB as much; another raises no limit."""
    content, sentence = HOSTILE[name]
    monkeypatch.setattr(file_formats, "MOST_LINES", 1000)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    if isinstance(content, int):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, content)
    else:
        (tmp_path / name).write_bytes(content)
    (tmp_path / "another").touch()
    os.truncate(tmp_path / "another", 10**10)
    with pytest.raises(zoo.DataError, match=sentence):
        originals.read_original("ahcd", tmp_path)


@pytest.mark.parametrize(
    "name", ["01_1_1.png", "train_images.csv", "train-images-idx3-ubyte.gz", "a.zip", "x/train.mat"]
)
def test_nothing_is_read_that_a_link_among_originals_leads_to(tmp_path, name):
    """A picture elsewhere was pushed to the Hub as a page, and a cell of a text was in the message."""
    (tmp_path / "secret").write_bytes(PNG)
    link = tmp_path / "originals" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "secret")
    with pytest.raises(zoo.DataError, match=f"{name} is a link to a file outside"):
        originals.read_original("pages70", tmp_path / "originals")


@pytest.mark.parametrize("how", ["encrypted", "method", "cut"])
def test_a_damaged_member_of_a_zip_is_named(tmp_path, how):
    content = bytearray(zips())
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= how == "encrypted"
    content[directory + 10] = 97 if how == "method" else content[directory + 10]
    if how == "cut":
        content[100:120] = bytes(20)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(zoo.DataError, match=r"a\.zip(/train Images\.csv)? is not a whole zip file"):
        originals.read_original("mnist", tmp_path)


@pytest.mark.slow
def test_a_mirror_is_pushed_and_read_back_by_its_id(hub, monkeypatch, run_script, tmp_path):
    hub.tokens[TOKEN] = Account("me")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    command = ["mirror_datasets.py", "optdigits", "--out", "out", "--namespace", "me"]
    dry = run_script(*command, "--dry-run")
    assert "would be me/optdigits: new repo, 4 added" in dry.stdout, dry.stderr
    assert hub.writes == []
    assert "me/optdigits: new repo, 4 added -> " in run_script(*command).stdout
    assert run_script(*command).stdout.endswith("me/optdigits: unchanged\n")
    repo = hub.repo("me/optdigits", "dataset")
    card = repo.files["README.md"].decode()
    assert data.DATASETS["optdigits"].fingerprints["train"] in card
    assert yaml.safe_load(card.split("---")[1])["configs"][0]["data_files"][1] == {
        "split": "test",
        "path": "data/test-*",
    }
    assert [task["id"] for task in yaml.safe_load(repo.files["eval.yaml"])["tasks"]] == [
        "optdigits_accuracy", "optdigits_macro_f1",
    ]  # fmt: skip

    code = (
        "import datasets; from zoo import data; from zoo.data import loading\n"
        "by_id = datasets.load_dataset('me/optdigits', split='test')\n"
        "print(by_id.features['label'].names, by_id[0]['image'].size, len(by_id))\n"
        "loaded = loading._load_source('optdigits', 'test', 'me/optdigits')\n"
        "print(loaded.fingerprint == data.DATASETS['optdigits'].fingerprints['test'])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    for offline in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
            env={**environment, "HF_HUB_OFFLINE": offline},
        )  # fmt: skip
        assert done.stdout.splitlines() == [f"{list('0123456789')} (8, 8) 360", "True"], done.stderr
    assert (HUB_HOME / "hub").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mnsit=."], "There is no dataset 'mnsit'; did you mean mnist"),
        (["mnist"], "Say where the originals of mnist are: mnist=<folder>."),
        (["mnist=nowhere"], "nowhere is not a folder."),
        (["mnist=originals"], "mnist: train (200 samples) is not the known one: fingerprint"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(hub, run_here, tmp_path, arguments, sentence):
    (tmp_path / "originals").mkdir()
    as_idx(tmp_path / "originals", glyphs("mnist", DIGITS))
    done = run_here("mirror_datasets.py", *arguments, "--no-push", "--out", "out")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@real_data
@pytest.mark.parametrize("name", ["ahcd", "pages70"])
def test_a_real_mirror_mirrored_again_keeps_its_fingerprint(name, run_script, tmp_path):
    source = Path(os.environ["ZOO_DATASETS"]) / name
    done = run_script("mirror_datasets.py", f"{name}={source}", "--no-push", "--out", "out")
    assert done.returncode == 0, done.stderr
    again = originals.read_original(name, tmp_path / "out" / name)
    assert dict(again.fingerprints) == dict(data.DATASETS[name].fingerprints)
    assert set(again.splits["train"].columns) == {"ahcd": {"block"}, "pages70": {"filename"}}[name]
