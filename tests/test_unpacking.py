"""Tables that unpack to far more than they are on disk are refused, and take little memory until then."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import cv2
import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from datasets import data_files
from hub_repos import Blob, Repo
from PIL import ExifTags, Image, ImageOps

from zoo import data
from zoo.data import parquet, unpacking
from zoo.errors import DataError
from zoo.ingest import file_formats, labelled_folders

PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
HUGE = b"x" * 500_000


def pictures(values, **columns):
    image = pa.StructArray.from_arrays([values, pa.nulls(len(values), pa.string())], ["bytes", "path"])
    return pa.table({"image": image, "label": pa.array(np.arange(len(values)) % 2), **columns})


def pointing(count, value=HUGE):
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))


def lists(rows, each):
    flat = pa.array(np.zeros(rows * each, np.int8))
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * each), flat)


def written(path, name):
    """Write one of the family: files of a few kB that hold 30 MB and more."""
    plain = pictures(pa.array([PNG] * 150))
    options = {"compression": "zstd"}
    if name == "dictionary":  # of 1 kB
        pq.write_table(pictures(pointing(150).cast(pa.binary())), path, **options)
    elif name == "dictionary that stays one":
        pq.write_table(plain.append_column("writer", pointing(150, "x" * 500_000)), path, **options)
    elif name == "runs":  # of equal numbers and of nothing
        count = 1_000_000
        table = pa.table({"image": pa.nulls(count, pa.binary()), "label": pa.array(np.zeros(count, np.int8))})
        pq.write_table(table, path, **options)
    elif name == "pages":  # each of one huge value, none like another
        parts = [pa.array([bytes([n]) * 500_000], pa.binary()) for n in range(120)]
        with pq.ParquetWriter(path, pictures(parts[0]).schema, use_dictionary=False, **options) as file:
            for part in parts:
                file.write_table(pictures(part))
    elif name == "nested lists":
        pq.write_table(plain.append_column("boxes", lists(150, 10_000)), path, **options)
    elif name == "one huge string":
        one = pa.array(["x" * 60_000_000], pa.large_string())
        pq.write_table(pictures(pa.array([PNG]), note=one), path, use_dictionary=False, **options)
    else:  # many row groups, each of one dictionary
        with pq.ParquetWriter(path, pictures(pa.array([PNG])).schema, **options) as file:
            for _ in range(6):
                file.write_table(pictures(pointing(20).cast(pa.binary())))
    return path


FAMILY = ["dictionary", "dictionary that stays one", "runs", "pages", "nested lists", "one huge string", "row groups"]
READ = """
import json, resource, sys
import datasets
from zoo.data import unpacking
from zoo.errors import DataError
from zoo.ingest import labelled_folders
unpacking.FREE, unpacking.MEMORY = 20_000_000, 300_000_000
said = []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        labelled_folders.read_folders(path)
        said.append("read")
    except DataError as error:
        said.append(str(error))
own, childs = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps([said, (own - before) * 1024, childs * 1024]))
"""


@pytest.mark.slow
def test_tables_that_unpack_to_very_much_are_refused_in_little_memory(tmp_path):
    """All are read in one process, whose memory and that of its children is measured."""
    paths = [written(tmp_path / f"{number}.parquet", name) for number, name in enumerate(FAMILY)]
    assert paths[0].stat().st_size < 100_000
    done = subprocess.run([sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True, cwd=ROOT)
    said, more, childs = json.loads(done.stdout.splitlines()[-1])
    for name, sentence in zip(FAMILY, said, strict=True):
        assert "unpacks to more than 20 MB" in sentence, name
        assert "\n" not in sentence
    assert more < 20_000_000  # of the process that reads them
    assert childs < 500_000_000  # Python and Arrow, or the process before it runs them


def test_sizes_are_those_of_every_row(tmp_path):
    """Whatever its encoding, a table of the same values has the same size, but for what each value takes."""
    values = [b"abc" * 1000, b"", b"x" * 50, None] * 20
    plain = pa.array(values)
    wanted = sum(len(value or b"") for value in values)
    forms = [plain, plain.dictionary_encode(), pa.chunked_array([plain[:9], plain[9:]]), plain.cast(pa.large_binary()),
             plain.cast(pa.binary_view()), pa.array([[value] for value in values]),
             pa.array([{"a": value} for value in values])]  # fmt: skip
    for form in forms:
        assert wanted <= unpacking.size(form) <= wanted + 3 * 41 * len(values), form.type
        assert unpacking.size(form[:4]) * 15 < unpacking.size(form) < unpacking.size(form[:4]) * 25, form.type


def test_honest_tables_are_read_and_a_broken_one_gets_its_sentence(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pictures(pa.array([PNG] * 100)), path)
    assert len(labelled_folders.read_folders(str(path)).splits["train"]) == 100
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="cannot be read as a dataset"):
        labelled_folders.read_folders(str(path))


def test_tables_within_archives_are_checked_too(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "FREE", 20_000_000)
    path = written(tmp_path / "train-0.parquet", "dictionary")
    spec = data.get("optdigits")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(path, "train.parquet")
    path.unlink()
    files = file_formats.files_below(tmp_path)
    with pytest.raises(DataError, match=r"all\.zip/train\.parquet unpacks to more than 20 MB"):
        file_formats._read_repo(spec, files, [])


@pytest.mark.parametrize("name", ["dictionary", "row groups", "nested lists", "many files", "a pipe"])
def test_a_mirror_of_a_dataset_is_checked_before_it_is_read(tmp_path, monkeypatch, name):
    """At once, in parts, and for the names of its files."""
    monkeypatch.setattr(unpacking, "FREE", 20_000_000)
    monkeypatch.setenv("ZOO_DATASETS", str(tmp_path))
    folder = tmp_path / "optdigits" / "data"
    folder.mkdir(parents=True)
    if name == "many files":  # each of which alone would do
        for number in range(6):
            pq.write_table(pictures(pointing(20).cast(pa.binary())), folder / f"train-{number}.parquet")
    elif name == "a pipe":  # whoever reads it waits for ever
        os.mkfifo(folder / "train-0.parquet")
    else:
        written(folder / "train-0.parquet", name)
    for read in (data.load, lambda name: list(data.stream(name, "train")), lambda name: data.filenames(name, "train")):
        with pytest.raises(DataError, match=r"unpacks to more than 20 MB|there is no train-\*\.parquet"):
            read("optdigits")


def declaring(width, height):
    """Return the head of a PNG: no more of it is read."""
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBBI", width, height, 1, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "png", "count", "sentence"),
    [
        ("pages70", declaring(30_000, 30_000), 1, "row 0: the pictures have more pixels than a table of this size"),
        ("pages70", declaring(5_000, 5_000), 50, "row 20: the pictures have more pixels"),
        ("pages70", declaring(2**32 - 1, 2**32 - 1), 2, "row 0: the pictures have more pixels"),
        ("pages70", declaring(0, 100), 2, r"row 0: the image cannot be decoded \(33 bytes\)"),
        ("pages70", cv2.imencode(".bmp", np.zeros((8, 8), np.uint8))[1].tobytes(), 2, "row 0: the image cannot be"),
        ("optdigits", declaring(8, 9), 2, r"row 0: the image is \(9, 8\), expected \(8, 8\) pixels"),
        ("mnist", declaring(28, 28), 700_000, r"row 63[78]\d{3}: the pictures have more pixels"),
    ],
)
def test_pictures_of_a_mirror_are_counted_before_they_are_decoded(tmp_path, monkeypatch, name, png, count, sentence):
    """1.2 kB of parquet, 30 pages of a packed 12 kB, took 3.2 GB."""
    monkeypatch.setenv("ZOO_DATASETS", str(tmp_path))
    monkeypatch.setattr(cv2, "imdecode", None)
    folder = tmp_path / name / "data"
    folder.mkdir(parents=True)
    pq.write_table(pictures(pointing(count, png).cast(pa.binary())), folder / "train-0.parquet", compression="zstd")
    assert (folder / "train-0.parquet").stat().st_size < 100_000
    for read in (data.load, lambda *place: list(data.stream(*place, 10**6))):
        with pytest.raises(DataError, match=sentence):
            read(name, "train")


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_that_says_how_it_is_turned_is_shown_upright_or_refused(tmp_path, orientation):
    picture, exif = Image.fromarray(np.arange(6 * 8, dtype=np.uint8).reshape(6, 8)), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    (tmp_path / "data").mkdir()
    picture.save(packed := io.BytesIO(), "png", exif=exif)
    pq.write_table(pictures(pa.array([packed.getvalue()] * 2)), tmp_path / "data" / "train-0.parquet")
    upright = np.asarray(ImageOps.exif_transpose(Image.open(packed)))
    pages, glyphs = (replace(data.get("optdigits"), image_shape=shape) for shape in (None, (6, 8, 1)))
    assert np.array_equal(parquet.read_split(pages, "train", str(tmp_path))[0][0][..., 0], upright)
    if upright.shape == (6, 8):
        assert np.array_equal(parquet.read_split(glyphs, "train", str(tmp_path))[0][0, :, :, 0], upright)
        return
    with pytest.raises(DataError, match=r"row 0: its EXIF data turn the image to \(8, 6\), expected \(6, 8\) pixels"):
        parquet.read_split(glyphs, "train", str(tmp_path))


def test_nothing_of_a_mirror_is_read_but_its_tables(tmp_path, monkeypatch):
    """What a README names lies elsewhere, or is of a form whose size nobody knows."""
    monkeypatch.setenv("ZOO_DATASETS", str(tmp_path))
    folder = tmp_path / "optdigits"
    folder.mkdir()
    (folder / "a.jsonl").write_text('{"image": {"bytes": ""}, "label": 0}')
    (folder / "README.md").write_text("---\nconfigs:\n- config_name: default\n  data_files: a.jsonl\n---\n")
    with pytest.raises(DataError, match=r"there is no train-\*\.parquet"):
        data.load("optdigits")


@pytest.mark.parametrize("name", ["[_]_a.parquet", "_?a.parquet", "_*.parquet", "[!b]_a.parquet"])
def test_the_name_of_a_table_is_no_pattern(tmp_path, name):
    """The name `[_]_a` is also a pattern for `__a`, a link that was read although nobody had checked it."""
    private = tmp_path / "private.parquet"
    pq.write_table(pictures(pa.array([PNG] * 9)), private)
    folder = tmp_path / "{x,y} [old]" / "train"
    folder.mkdir(parents=True)
    pq.write_table(pictures(pa.array([PNG] * 4)), folder / name)
    (folder / "__a.parquet").symlink_to(private)
    assert len(labelled_folders.read_folders(str(folder.parent)).splits["train"].labels) == 4
    shutil.move(folder / name, folder / "a::b.parquet")
    with pytest.raises(DataError, match="call it something else"):
        labelled_folders.read_folders(str(folder.parent))


@pytest.mark.parametrize("place", ["train-0.parquet", "data/train-0.parquet", "a/b/train-1.parquet"])
def test_nothing_is_read_that_a_link_in_a_mirror_leads_to(tmp_path, monkeypatch, place):
    monkeypatch.setenv("ZOO_DATASETS", str(tmp_path))
    monkeypatch.setattr(unpacking, "check", None)
    link = tmp_path / "optdigits" / place
    link.parent.mkdir(parents=True)
    pq.write_table(pictures(pa.array([PNG])), tmp_path / "secret")
    link.symlink_to(tmp_path / "secret")
    for read in (data.load, lambda name: list(data.stream(name, "train")), lambda name: data.filenames(name, "train")):
        with pytest.raises(DataError, match=f"{place} is a link to a file outside"):
            read("optdigits")


@pytest.mark.parametrize("read", [parquet.read_table, lambda *place: list(parquet.stream(*place, 10))])
def test_a_dataset_of_the_zoo_on_the_hub_is_checked_before_it_is_kept(hub, tmp_path, monkeypatch, read):
    monkeypatch.setattr(unpacking, "FREE", 20_000_000)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    content = written(tmp_path / "a.parquet", "dictionary").read_bytes()
    spec = data.get("ahdd")
    repo = hub.repos["dataset", spec.hub_id] = Repo()
    repo.commit("all", {"data/train-00000-of-00001.parquet": Blob(content, True)})
    with pytest.raises(DataError, match="unpacks to more than 20 MB"):
        read(spec, "train", spec.hub_id)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert kept < 10_000_000


def test_a_dataset_of_the_hub_is_checked_before_it_is_kept(hub, tmp_path, monkeypatch):
    """Large files that are not read do not raise the limit for those that are."""
    monkeypatch.setattr(unpacking, "FREE", 20_000_000)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    content = written(tmp_path / "a.parquet", "dictionary").read_bytes()
    repo = hub.repos["dataset", "me/huge"] = Repo()
    unread = {name: Blob(bytes(30_000_000), True) for name in ("video.mp4", "other/junk.parquet", "data/model.onnx")}
    repo.commit("all", {"data/train-00000-of-00001.parquet": Blob(content, True), **unread})
    with pytest.raises(DataError, match="unpacks to more than 20 MB"):
        labelled_folders.read_folders("me/huge")
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert kept < 10_000_000


@pytest.mark.parametrize(
    "read",
    [
        lambda: unpacking.files_of_repo("me/x"),
        lambda: unpacking.check_repo("me/x"),
        lambda: parquet.of_hub("me/x"),
        lambda: list(parquet.stream(data.get("ahdd"), "train", "me/x", 10)),
    ],
)
def test_what_asks_the_hub_is_ended_by_the_clock(hub, monkeypatch, read):
    """To wait takes no time of a processor."""
    monkeypatch.setattr(unpacking, "SLOWEST", (0.1, 1e9))
    started = time.monotonic()
    with pytest.raises(DataError, match=r"was not there within 0 s\. Try again later"):
        read()
    assert time.monotonic() - started < 30


READMES = {
    "a pattern that takes for ever": (
        "configs: [{config_name: default, data_files: 'data/*a*a*a*a*a*a*a*ab'}]",
        "only to find",
    ),
    "aliases": (
        "a: &a [x, x]\nb: &b [*a, *a]\ndataset_info: {features: *b, splits: [{name: train}]}",
        "cannot be read",
    ),
    "no YAML": ("configs: [", "cannot be read"),
    "other files": (
        "configs: [{config_name: default, data_files: {train: /etc/passwd, test: ../x}}]",
        "cannot be read",
    ),
    "an address": (
        "configs: [{config_name: default, data_files: 'simplecache::http://127.0.0.1:9/a.parquet'}]",
        "which is no file of the repo",
    ),
}


@pytest.mark.parametrize(
    ("pattern", "folder"),
    [
        ("http://127.0.0.1:9/a.parquet", ""),
        ("http://127.0.0.1:9/drive.google.com/a.parquet", ""),
        ("zip://*.parquet::http://127.0.0.1:9/a.zip", ""),
        ("hf://datasets/me/x@main/a::http://127.0.0.1:9/a", ""),
        ("hf://datasets/me/other@main/a.parquet", ""),
        ("**", "x::http://127.0.0.1:9/a"),
        ("**", "/etc"),
        ("a/../../../other@main/a.parquet", ""),
        ("data/*.parquet", None),
        ("hf://datasets/me/x@main/data/*.parquet", None),
    ],
)
def test_a_readme_has_nothing_asked_but_its_repo(monkeypatch, pattern, folder):
    asked = []
    monkeypatch.setattr(data_files, "resolve_pattern", lambda *pattern, **more: asked.append(pattern) or [])
    unpacking._keep_to_repo("me/x")
    patterns = data_files.DataFilesPatternsList.from_patterns([pattern])
    base = "hf://datasets/me/x@main/"
    if folder is None:
        assert not patterns.resolve(base)
        assert asked
    else:
        with pytest.raises(ValueError, match="which is no file of the repo"):
            patterns.resolve(os.path.join(base, folder))
        assert not asked


@pytest.mark.slow
@pytest.mark.parametrize("name", READMES)
def test_what_a_readme_says_is_read_in_a_process_with_limits(hub, tmp_path, monkeypatch, name):
    """75 bytes of it hung a training for ever."""
    monkeypatch.setattr(unpacking, "TO_FIND", 8)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "load_dataset_builder", None)
    monkeypatch.setattr(datasets, "load_dataset", None)
    said, sentence = READMES[name]
    pq.write_table(pictures(pa.array([PNG] * 4)), tmp_path / "a.parquet")
    repo = hub.repos["dataset", f"me/{len(name)}"] = Repo()
    files = {"data/train-00000-of-00001.parquet": Blob((tmp_path / "a.parquet").read_bytes(), True)}
    files |= {
        "data/" + "a" * 200 + ".parquet": Blob(b"x", True),
        "README.md": Blob(f"---\n{said}\n---\n".encode(), False),
    }
    repo.commit("all", files)
    with pytest.raises(DataError, match=sentence):
        labelled_folders.read_folders(f"me/{len(name)}")
