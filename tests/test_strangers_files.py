"""Files of strangers that are not submissions: zips of photos, model folders, folders of pictures."""

import base64
import json
import shutil
import struct
import time
import zipfile
import zlib

import cv2
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import HUB
from PIL import Image

import zoo
from leaderboard.predictions import Predictions
from zoo import files
from zoo.errors import DataError, InkError, ZooError
from zoo.files import read_arrays
from zoo.ingest import labelled_folders, normalise
from zoo.portable import c_header, javascript, package, page
from zoo.published import MOST_LABELS, PublishedFolder, WrongField, check_preprocessor, parse_json
from zoo.serving import by_script
from zoo.settings import PRETRAINED
from zoo.tabs import read
from zoo.tabs.space import Space

PNG = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()


def zipped(path, compression=zipfile.ZIP_DEFLATED, name="a.png"):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, PNG * 20)
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("how", ["deflate", "lzma", "bzip2", "name", "zip64", "cut", "encrypted", "method"])
def test_a_damaged_zip_gets_a_sentence(tmp_path, how):
    path = tmp_path / "photos.zip"
    methods = {"lzma": zipfile.ZIP_LZMA, "bzip2": zipfile.ZIP_BZIP2}
    content = zipped(path, methods.get(how, zipfile.ZIP_DEFLATED), "ab.png")
    start, directory = 30 + len("ab.png"), content.index(b"PK\x01\x02")
    if how in ("deflate", "lzma", "bzip2"):
        content[start : start + 12] = b"\xff" * 12
    elif how == "name":  # says that its names are UTF-8
        content[directory + 9] |= 8
        content[directory + 46 : directory + 48] = b"\xff\xfe"
    elif how == "zip64":
        content[directory + 42 : directory + 46] = b"\xff" * 4  # an offset of 4 GB
    elif how == "cut":
        content = content[: len(content) // 2]
    elif how == "encrypted":
        content[directory + 8] |= 1
    else:
        content[directory + 10] = 97
    path.write_bytes(content)
    with pytest.raises(InkError, match="not a zip that can be opened"):
        list(read.pictures_in([path]))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93])
@pytest.mark.parametrize("kind", ["photos", "results", "arrays"])
def test_what_python_unpacks_as_a_whole_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, kind, method):
    """A zip of 1.2 kB with 1.5 GB of zeros took 3 GB, though no more than 20 MB of it were read; 93 is Zstandard."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("first.npy" if kind == "arrays" else "first.png", PNG)
        archive.writestr("last.npy" if kind == "arrays" else "last.png", PNG, 14 if method == 93 else method)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 10] = method
    path.write_bytes(content)
    monkeypatch.setattr(zipfile, "_get_decompressor", lambda *_: pytest.fail("unpacked"))
    monkeypatch.setattr(zipfile, "_check_compression", lambda *_: None)  # as a Python that knows them all
    if kind == "photos":
        with pytest.raises(InkError, match="not a zip that can be opened"):
            list(read.pictures_in([path]))
    elif kind == "results":
        with pytest.raises(zipfile.BadZipFile, match="another method than Deflate"):
            files.opened_zip(path, 10)
    else:
        with pytest.raises(ZooError, match="another method than Deflate"):
            read_arrays(path)


@pytest.mark.parametrize("form", ["entries", "zip64", "disk"])
def test_a_zip_of_very_many_entries_is_refused_before_they_are_listed(tmp_path, monkeypatch, form):
    """Whatever its end says: `ZipFile` takes the last word on the size of the list, and so does the check."""
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(8000):
            archive.writestr(f"{number}", b"")
    content = bytearray(path.read_bytes())
    end = len(content) - 22
    if form == "disk":
        content[end + 4 : end + 8] = b"PK\5\6"
    elif form == "zip64":
        size, start = struct.unpack_from("<LL", content, end + 12)
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 8000, 8000, size, start)
        few = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 50, 0, 0)
        content[end:] = record + struct.pack("<4sLQL", b"PK\6\7", 0, end, 1) + few
    path.write_bytes(content)
    assert len(zipfile.ZipFile(path).infolist()) == 8000
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(InkError, match="more than 1,000 entries"):
        list(read.pictures_in([path]))


def test_files_are_few_and_each_is_read_once(tmp_path):
    path = tmp_path / "a.zip"
    zipped(path)
    assert len(list(read.pictures_in([path] * 10))) == 1
    with pytest.raises(InkError, match="At most 40 files"):
        list(read.pictures_in([path] * 41))


def test_a_frame_of_the_camera_is_decoded_as_other_pictures_are(tmp_path, own_uploads):
    """By this package, in the formats that it allows: not by Gradio, in all that Pillow knows."""
    camera = next(one for one in _camera().fns.values() if one.fn is not None and one.fn.__name__ == "respond_live")
    assert not camera.preprocess
    path = tmp_path / "frame.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert "cannot be read" in read.respond_live({"path": str(path)}, {"models": ["lenet5.mnist"]})
    digit = np.full((64, 64), 255, np.uint8)
    cv2.line(digit, (32, 10), (32, 50), 0, 6)
    path.write_bytes(cv2.imencode(".png", digit)[1].tobytes())
    uri = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
    for frame in ({"path": str(path)}, {"path": None, "url": uri}, {"path": uri}):
        assert 'data-text="1"' in read.respond_live(frame, {"models": ["lenet5.mnist"]}), frame
    assert "uploaded to this Space" in read.respond_live(
        {"path": None, "url": "http://x/y.png"}, {"models": ["lenet5.mnist"]}
    )


def _camera():
    with Space() as blocks:
        read.tab()
    return blocks


@pytest.fixture
def published(tmp_path):
    """A published folder that may be spoiled."""
    return shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / "model")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metadata.json", b"[]"),
        ("metadata.json", b"null"),
        ("metadata.json", b'{"architecture": 1}'),
        ("metadata.json", b"\xff\xfe"),
        ("metadata.json", b"[" * 100_000),
        ("preprocessor_config.json", b"7"),
        ("preprocessor_config.json", b'{"view": "glyph", "labels": 5}'),
        ("preprocessor_config.json", b'{"view": "glyph", "labels": [1, 2]}'),
        ("preprocessor_config.json", b'{"view": [], "labels": ["a"]}'),
        ("model.onnx", b"\x08\x07"),
    ],
)
def test_a_model_with_other_types_in_its_json_gets_a_sentence(published, file, content):
    (published / file).write_bytes(content)
    with pytest.raises(ZooError) as error:
        zoo.load_predictor(published)
    assert str(published) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("threshold", "0.5", "its 'threshold' must be"),
        ("script", None, "its 'script' must be"),
        ("contract", [1], "its 'contract' must be"),
        ("view", 3, "its 'view' must be"),
        ("labels", list("012345678"), "its network has 10 classes, its 'labels' are 9"),
        ("labels", list("0123456789a"), "its network has 10 classes, its 'labels' are 11"),
        ("labels", list("0123456788"), "its 'labels' must differ; '8' is there twice"),
        ("labels", [], "its 'labels' must be a list of str, one a class"),
        ("contract", {"height": 32}, r"its network sees \(28, 28, 1\), its preprocessor makes \(32, 28, 1\)"),
        ("contract", {"channels": True}, "A contract's channels is 1; got True"),
        ("contract", {"box_width": 20.0}, "A contract's box_width is 1 to 28; got 20.0"),
        ("contract", {"stroke": 1000}, "A contract's stroke is 0.25 to 10 pixels; got 1000"),
        ("contract", {"stroke": 0}, "A contract's stroke is 0.25 to 10 pixels; got 0"),
        ("contract", {"stroke": 3, "box_width": 4}, "A contract's stroke is 0.25 to 2 pixels; got 3"),
        ("contract", None, "it must have a 'contract' where its 'view' is 'glyph'"),
        ("view", "page", "it must have a 'contract' where its 'view' is 'glyph'"),
    ],
)
def test_a_field_that_does_not_fit_is_named(published, key, value, sentence):
    path = published / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ZooError, match=sentence):
        zoo.load_predictor(published)


def test_labels_are_checked_and_compared_in_linear_time():
    """Up to as many as a network may have; processor time, for the machine may be busy."""
    labels = [chr(0x4E00 + number) for number in range(MOST_LABELS - 10)] + list("IlO0123456")
    said = {"script": "chinese", "dataset": "mnist", "view": "glyph", "contract": {}}
    answers = np.eye(len(labels), dtype=np.float32)[:2]
    started = time.process_time()
    check_preprocessor({**said, "labels": labels})
    with pytest.raises(WrongField, match="is there twice"):
        check_preprocessor({**said, "labels": [*labels[1:], labels[-1]]})
    with pytest.raises(WrongField, match="'' is there twice"):
        check_preprocessor({**said, "labels": ["", ""]})
    with pytest.raises(WrongField, match="must be at most 10,000, not 10,001"):
        check_preprocessor({**said, "labels": [*labels, "x"]})
    np.testing.assert_array_equal(by_script.told_by_page(labels, answers), answers)
    kinds = by_script._kinds(tuple(labels))
    assert (kinds.shape, len(set(kinds))) == ((MOST_LABELS,), MOST_LABELS - 2)  # I and 1, O and 0
    assert time.process_time() - started < 2


@pytest.mark.parametrize("left_out", [["height"], ["width", "stroke"], ["channels", "centre_x", "height", "width"]])
def test_an_export_has_all_of_a_contract_that_leaves_out_what_is_usual(published, tmp_path, left_out):
    whole, path = javascript.network_file(published), published / "preprocessor_config.json"
    said = json.loads(path.read_text())
    said["contract"] = {key: value for key, value in said["contract"].items() if key not in left_out}
    path.write_text(json.dumps(said))
    assert javascript.network_file(published) == whole
    page.write(published, tmp_path / "page.html")
    package.write(published, tmp_path / "package")


@pytest.mark.parametrize("write", [c_header.header, javascript.network_file], ids=["c", "javascript"])
@pytest.mark.parametrize(
    ("labels", "height", "width"), [(10, 28, 14), (10, 56, 14), (10, 1000, 1000), (8, 28, 28), (11, 28, 28)]
)
def test_what_is_exported_takes_the_image_that_it_says(published, write, labels, height, width):
    """Else a C program reads memory behind its caller's image, and names classes that are not there."""
    path = published / "preprocessor_config.json"
    said = json.loads(path.read_text())
    said["contract"] |= {"height": height, "width": width, "box_height": 4, "box_width": 4}
    path.write_text(json.dumps({**said, "labels": [str(n) for n in range(labels)]}))
    with pytest.raises(ZooError, match=r"its network takes images of|A contract"):
        write(published)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kind": "peek"}, "There is no kind of view 'peek'"),
        ({"kind": []}, "There is no kind of view"),
        ({"zoom": 2}, "got zoom as well"),
        ({"pooling": "maximum"}, "has the pooling 'mean'; got 'maximum'"),
        ({"side": "300"}, "A view's side is 8 to 1024; got '300'"),
        ({"side": 100_000}, "A view's side is 8 to 1024; got 100000"),
        ({"blur": 4}, "A view's blur is 1 to 31 in steps of 2; got 4"),
        ({"even": 0}, "A view's even is 1 to 100; got 0"),
        ({"clip": -1.0}, "A view's clip is more than 0 and at most 100"),
        ({"side": 299}, r"its network sees \(300, 300, 1\), its preprocessor makes \(299, 299, 1\)"),
    ],
)
def test_a_view_that_is_none_is_named(tmp_path, changed, sentence):
    folder = shutil.copytree(PRETRAINED / "mobilenet_v2.pages70", tmp_path / "model")
    path = folder / "preprocessor_config.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "view": {**said["view"], **changed}}))
    with pytest.raises(ZooError, match=sentence):
        zoo.load_predictor(folder)


def places(value, path=()):
    """Return the paths of all values within a JSON value that are no containers."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] if not isinstance(value, (dict, list)) else [p for key, v in inside for p in places(v, (*path, key))]


NUMBERS = ["1e400", "-1e400", "9" * 5001, "-" + "9" * 20, "NaN", "Infinity", "-Infinity"]
TEXTS = ['"\\u001b]0;owned\\u0007"', '"a\\nb"', '"\\u009b2J"', '"\\u202eb"', '{"\\u0000": 1}']  # that a terminal obeys


@pytest.mark.parametrize("number", [*NUMBERS, *TEXTS])
def test_a_number_or_a_control_character_gets_a_sentence_wherever_it_is(published, number):
    """In any field of any JSON of the folder, and in a file that was exported."""
    for name in (PublishedFolder.METADATA, PublishedFolder.PREPROCESSOR, PublishedFolder.HISTORY):
        path, read = (
            published / name,
            {"metadata.json": "metadata", "history.json": "history"}.get(name, "preprocessor"),
        )
        text = path.read_text()
        for place in places(json.loads(text))[:60]:
            said = inside = json.loads(text)
            for key in place[:-1]:
                inside = inside[key]
            inside[place[-1]] = "HERE"
            path.write_text(json.dumps(said).replace('"HERE"', number))
            with pytest.raises(ZooError, match=r"can be served: it holds [^\n]{,80}\.$"):
                getattr(PublishedFolder(published), read)
        path.write_text(text)
    with pytest.raises(ZooError, match="it holds"):
        parse_json(f'{{"preprocessor": [1, {number}]}}')


@pytest.mark.parametrize("accuracy", ["0.9", None, -1, 1.5, [1]])
def test_a_history_without_a_score_gets_a_sentence(published, accuracy):
    (published / "history.json").write_text(json.dumps({"validation": {"accuracy": accuracy}}))
    with pytest.raises(ZooError, match="its 'accuracy'"):
        _ = PublishedFolder(published).history


@pytest.mark.parametrize("config", [b"[]", b"{", b'{"class_name": "Nothing", "config": {}}', b"\xff"])
def test_a_model_that_keras_cannot_load_gets_a_sentence(published, config):
    (published / "config.json").write_bytes(config)
    with pytest.raises(ZooError, match="not a model that Keras can load"):
        zoo.load_model(published)


# Folders of pictures


@pytest.fixture
def pictures(tmp_path):
    """A folder of two classes, and a picture next to it that nobody named."""
    for label in "ab":
        for number in range(3):
            path = tmp_path / "pictures" / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    return tmp_path / "pictures"


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_that_leaves_the_folder_is_refused(pictures, tmp_path, link):
    if link == "file":
        (pictures / "a" / "9.png").symlink_to(tmp_path / "secret.png")
    else:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "1.png").write_bytes(PNG)
        (pictures / "c").symlink_to(tmp_path / "other")
    with pytest.raises(DataError, match=r"is a link to a (file outside|folder)"):
        labelled_folders.read_folders(str(pictures))


@pytest.mark.parametrize("path", ["{}/secret.png", "../secret.png", "link.png", "a/../../secret.png"])
def test_a_table_names_only_pictures_of_its_folder(pictures, tmp_path, path):
    (pictures / "link.png").symlink_to(tmp_path / "secret.png")
    rows = [{"bytes": None, "path": path.format(tmp_path)}, {"bytes": PNG, "path": None}]
    pandas.DataFrame({"image": rows, "label": [0, 1]}).to_parquet(pictures / "train.parquet")
    source = labelled_folders.read_folders(str(pictures / "train.parquet"))
    with pytest.raises(DataError, match="is outside what was named"):
        source.splits["train"].encoded(0)
    assert source.splits["train"].encoded(1) == PNG


KINDS = {  # of a column whose values `datasets` would open; each says that it is stored as a picture is
    "image": {"_type": "Image"},
    "sound": {"_type": "Audio"},
    "video": {"_type": "Video"},
    "scan": {"_type": "Nifti"},
    "list": {"_type": "List", "feature": {"_type": "Image"}},
}


def declared(path, column, kind, value):
    """Write a table whose metadata say of which kind a column is."""
    feature = KINDS[kind]
    named = {"bytes": None, "path": value}
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": PNG, "path": None}] * 4, struct),
        "label": pa.array([0, 1] * 2),
        column: pa.array([[named] if kind == "list" else named] * 4, pa.list_(struct) if kind == "list" else struct),
    }
    features = {"image": {"_type": "Image"}, "label": {"dtype": "int64", "_type": "Value"}, column: feature}
    said = json.dumps({"info": {"features": features}})
    pq.write_table(pa.table(columns).replace_schema_metadata({"huggingface": said}), path)


@pytest.mark.parametrize("where", ["{}/secret.png", "{hub}/x.png", "zip://x.png::{hub}/x.zip"])
@pytest.mark.parametrize(("column", "kind"), [("writer", kind) for kind in KINDS] + [("label", "image")])
def test_no_value_of_a_table_is_opened(tmp_path, monkeypatch, column, kind, where):
    (tmp_path / "secret.png").write_bytes(PNG)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("it was opened"))
    declared(tmp_path / "train.parquet", column, kind, where.format(tmp_path, hub=HUB.url))
    HUB.log.clear()
    with pytest.raises(DataError, match=f"the column {column} holds .* expected (who wrote a sample|classes): whole"):
        labelled_folders.read_folders(str(tmp_path / "train.parquet"))
    assert HUB.log == []


@pytest.mark.parametrize("kind", ["Nothing", "pa", 5, None])
def test_a_table_of_columns_of_no_kind_gets_a_sentence(tmp_path, monkeypatch, kind):
    monkeypatch.setitem(KINDS, "none", {"_type": kind})
    declared(tmp_path / "train.parquet", "writer", "none", "x")
    with pytest.raises(DataError, match=r"cannot be read as a dataset: its columns are of no kind"):
        labelled_folders.read_folders(str(tmp_path / "train.parquet"))


@pytest.mark.parametrize("header", ["---\n{}\n---\n", "---\n# ---\n{}\n---\n"])
@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
@pytest.mark.parametrize("data", ["{hub}/x.parquet", "../x.parquet", "/etc/x.parquet", "hf://datasets/a/b/x"])
def test_a_folder_is_read_by_its_files_whatever_it_says(pictures, data, name, header):
    rows = {"image": [{"bytes": PNG, "path": None}] * 4, "label": [0, 1] * 2}
    pandas.DataFrame(rows).to_parquet(pictures / "train-00000-of-00001.parquet")
    files = [{"split": "train", "path": [data.format(hub=HUB.url)]}]
    said = json.dumps({"configs": [{"config_name": "default", "data_files": files}]})
    (pictures / name).write_text(said if name.startswith(".") else header.format(said))
    HUB.log.clear()
    assert len(labelled_folders.read_folders(str(pictures)).splits["train"]) == 4
    assert HUB.log == []


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["a.parquet", "b.parquet"], {"train": 8}),
        (["data/train-0.parquet", "data/train-1.parquet", "data/test-0.parquet"], {"train": 8, "test": 4}),
        (["training/part.parquet", "dev/part.parquet", "extra.parquet"], {"train": 4, "validation": 4}),
        (["easy/train.parquet", "hard/train.parquet"], None),
    ],
)
def test_parquet_files_are_splits_by_their_names(tmp_path, names, splits):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        rows = {"image": [{"bytes": PNG, "path": None}] * 4, "label": [0, 1] * 2}
        pandas.DataFrame(rows).to_parquet(tmp_path / name)
    if splits is None:
        with pytest.raises(DataError, match=r"several train splits, in .*easy and .*hard: name one folder"):
            labelled_folders.read_folders(str(tmp_path))
    else:
        found = labelled_folders.read_folders(str(tmp_path)).splits
        assert {split: len(of_it) for split, of_it in found.items()} == splits


def test_a_picture_of_900_megapixels_is_refused_by_its_header(pictures):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 1000)), chunk(b"IEND", b"")
    huge = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    (pictures / "a" / "0.png").write_bytes(huge)
    source = labelled_folders.read_folders(str(pictures))
    with pytest.raises(DataError, match="at most 50 megapixels"):
        normalise._decode(source.splits["train"], 0)


@pytest.mark.parametrize("kind", ["V0", "S0", "U0"])
def test_arrays_of_values_without_bytes_are_not_read(tmp_path, kind):
    """1 kB held any number of predictions, all of them right."""
    path = tmp_path / "predictions.npz"
    kept = {"hardest": np.zeros(0, np.int32), "images": np.zeros((0, 28, 28), np.uint8)}
    with zipfile.ZipFile(path, "w") as file:
        for name in ("labels", "predicted", "confidence"):
            with file.open(f"{name}.npy", "w") as target:
                header = {"descr": f"|{kind}", "fortran_order": False, "shape": (10**6,)}
                np.lib.format.write_array_header_1_0(target, header)
        for name, values in kept.items():
            with file.open(f"{name}.npy", "w") as target:
                np.save(target, values)
    with pytest.raises(ZooError, match="values have no bytes"):
        Predictions.load(path)
    numbers = {
        "labels": np.zeros(9, np.uint8),
        "predicted": np.zeros(9, np.uint8),
        "confidence": np.ones(9, np.float16),
    }
    np.savez(path, **kept, **numbers)
    assert Predictions.load(path).right.all()
    for name in ("labels", "predicted", "confidence"):
        np.savez(path, **kept, **{**numbers, name: np.zeros(9, "V1")})
        with pytest.raises(ZooError, match="of another type"):
            Predictions.load(path)


def test_arrays_are_unpacked_only_if_they_are_few(tmp_path, monkeypatch):
    """A file of 2 MB held 2 GB of zeros."""
    monkeypatch.setattr(files, "MOST_ARRAYS", 1_000_000)
    for count in (900_000, 1_100_000):
        np.savez_compressed(tmp_path / f"{count}.npz", x=np.zeros(count, np.uint8))
    assert len(read_arrays(tmp_path / "900000.npz")["x"]) == 900_000
    with pytest.raises(ZooError, match="its arrays have more than 1 MB"):
        read_arrays(tmp_path / "1100000.npz")
