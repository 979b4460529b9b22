"""Folders of pictures as people have them: splits with other names, odd tables, files of any kind."""

import contextlib
import io
import os
import shutil

import cv2
import numpy as np
import pandas
import pytest
from PIL import Image

import zoo
from zoo import ink
from zoo.ingest import labelled_folders, normalise


def digit(seed=0):
    picture = np.full((60, 50), 235, np.uint8)
    cv2.putText(picture, "5", (8, 48), cv2.FONT_HERSHEY_SIMPLEX, 1.6, 30, 4 + seed % 2)
    return picture


def write(root, *splits, classes=("a", "b")):
    for split in splits or (".",):
        for name in classes:
            (root / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(2):
                Image.fromarray(digit(number)).save(root / split / name / f"{number}.png")
    return root


def test_known_splits_are_splits_and_others_are_left_out(tmp_path):
    found = labelled_folders.read_folders(str(write(tmp_path, "train", "test", "unlabelled")))
    assert (sorted(found.splits), found.labels) == (["test", "train"], ("a", "b"))
    assert found.notes == ("Folders that are no split are left out: unlabelled.",)


@pytest.mark.parametrize(
    ("splits", "sentence"), [(("test", "val"), "has the split test and val but no train"), (("dev",), "but no train")]
)
def test_splits_without_train_are_no_classes(tmp_path, splits, sentence):
    with pytest.raises(zoo.DataError, match=sentence):
        labelled_folders.read_folders(str(write(tmp_path, *splits)))


def test_pictures_without_class_folders_lack_labels(tmp_path):
    write(tmp_path, "train")
    (tmp_path / "test").mkdir()
    Image.fromarray(digit()).save(tmp_path / "test" / "0.png")
    with pytest.raises(zoo.DataError, match="their labels are missing"):
        labelled_folders.read_folders(str(tmp_path))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("heading", ["writer", "Writer"])
def test_writers_are_found_whatever_divides_the_table(tmp_path, delimiter, heading):
    write(tmp_path)
    lines = [delimiter.join((f"{name}/{n}.png", f"w{n}")) for name in "ab" for n in range(2)]
    (tmp_path / "metadata.csv").write_text("\ufeff" + "\n".join([delimiter.join(("File_Name", heading)), *lines]))
    found = labelled_folders.read_folders(str(tmp_path))
    assert found.splits["train"].groups == ["w0", "w1", "w0", "w1"]
    (tmp_path / "metadata.csv").write_text("file_name,mood\na/0.png,good\n")
    with pytest.raises(zoo.DataError, match="no column that says who wrote a picture"):
        labelled_folders.read_folders(str(tmp_path))


def test_what_read_takes_training_takes_and_upright(tmp_path):
    write(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(digit()).transpose(Image.Transpose.ROTATE_90)
    turned.save(tmp_path / "a" / "turned.png", exif=exif)
    Image.fromarray(digit()).convert("RGB").save(tmp_path / "a" / "photo.jfif", "JPEG", quality=95)
    Image.fromarray(digit().astype(np.float32)).save(tmp_path / "a" / "deep.tiff")
    Image.fromarray(digit().astype(np.int32) * 257).save(tmp_path / "b" / "deeper.TIFF")
    source = labelled_folders.read_folders(str(tmp_path))
    assert len(source.splits["train"]) == 8
    images, *_ = normalise.fit(source.splits, ink.MNIST)
    reference = ink.from_picture(digit(), ink.MNIST).astype(int)
    assert abs(images["train"].astype(int) - reference).mean(axis=(1, 2, 3)).max() < 16


def test_a_folder_is_a_folder_with_or_without_a_dot(tmp_path, monkeypatch):
    shipped = zoo.settings.PRETRAINED / "lenet5.mnist"
    monkeypatch.chdir(shipped.parent.parent)
    assert zoo.load_predictor(f"{shipped.parent.name}/lenet5.mnist").name == "lenet5.mnist"
    assert zoo.load_predictor(str(shipped / "model.onnx")).labels == zoo.load_predictor("lenet5.mnist").labels
    with pytest.raises(zoo.ZooError, match="is a file of Keras"):
        zoo.load_predictor("model.keras")


TABLES = {
    "columns times rows": (
        lambda path: path.write_text("file_name,writer" + "," * 2000 + "\n" + "a\n" * 2000),
        "columns",
    ),
    "columns of a later row": (lambda path: path.write_text("file_name,writer\na" + ";" * 9 + "," * 2000), "columns"),
    "one cell": (lambda path: path.write_text('file_name,writer\n"' + "a" * 200_000), "field larger than"),
    "a hole": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 10**12), "the most is"),
    "a link to a hole of the system": (lambda path: path.symlink_to("/proc/self/maps"), "a file outside"),
    "no text": (lambda path: path.write_bytes(b"file_name,writer\n\xff\xff"), "can't decode"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_larger_than_it_looks_is_refused(tmp_path, name):
    """20 kB of the first kind took 23 s and 0.6 GB."""
    make, sentence = TABLES[name]
    make(write(tmp_path) / "metadata.csv")
    with pytest.raises(zoo.DataError, match=sentence):
        labelled_folders.read_folders(str(tmp_path))


def test_a_table_may_say_more_than_there_is(tmp_path):
    """Other files, further columns, quotes, blank lines, and a writer who is called NA."""
    rows = [f'"{name}/{n}.png", "N\nA" , x, y' for name in "abc" for n in range(3)]
    (write(tmp_path) / "metadata.csv").write_text("file_name,writer , mood\n\n" + "\n".join(rows).replace("\nA", "A"))
    assert labelled_folders.read_folders(str(tmp_path)).splits["train"].groups == ["NA "] * 4


@pytest.mark.parametrize("to", ["outside", "here"])
@pytest.mark.parametrize("place", ["c", "train", "train/a", "train/a/b"])
def test_a_link_to_a_folder_is_not_followed(tmp_path, monkeypatch, place, to):
    """A class that linked to `/` took 70 s; many that link to their root hold as many times all pictures."""
    link = tmp_path / "here" / place
    write(tmp_path / "outside", "deep")
    write(tmp_path / "here", "train" if "train/" in place else ".")
    shutil.rmtree(link, ignore_errors=True)
    link.symlink_to(tmp_path / to, target_is_directory=True)
    seen = []
    walk = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (seen.append(str(path)), walk(path))[1])
    with pytest.raises(zoo.DataError, match="is a link to a folder") if "b" not in place else contextlib.nullcontext():
        labelled_folders.read_folders(str(tmp_path / "here"))
    assert not [path for path in seen if path.startswith(str(link))]


def repeated(root, form):
    """Write one picture of 16 megapixels many times, in few bytes."""
    (root / "data").mkdir()
    frames = [Image.new("1", (4000, 4000) if form != "gif" else (500, 500), n % 2) for n in range(40)]
    options = {"gif": {"save_all": True, "append_images": frames[1:]}, "tiff": {"compression": "group4"}}
    frames[0].save(encoded := io.BytesIO(), form, **options.get(form, {}))
    count = 2000 if form == "gif" else 40
    rows = [{"bytes": encoded.getvalue(), "path": None}] * count
    pandas.DataFrame({"image": rows, "label": [0, 1] * (count // 2)}).to_parquet(root / "data" / "train.parquet")
    return root / "data"


@pytest.mark.parametrize("form", ["png", "gif", "tiff"])
def test_pixels_of_pictures_are_counted_before_they_are_decoded(tmp_path, monkeypatch, form):
    """1.7 kB of parquet, one picture again and again, took as long as all of them."""
    source = labelled_folders.read_folders(str(repeated(tmp_path, form)))
    assert source.stored < 1_000_000
    monkeypatch.setattr(normalise, "pixels", None)
    with pytest.raises(zoo.DataError, match=r"row \d+: the pictures up to here have more pixels"):
        normalise.fit(source.splits, ink.MNIST, stored=source.stored if form == "png" else 0)


def test_files_may_have_many_pixels_where_they_are_large(tmp_path):
    source = labelled_folders.read_folders(str(write(tmp_path)))
    assert source.stored == sum(path.stat().st_size for path in tmp_path.rglob("*.png"))
    normalise._check_pixels(source.splits, 4 * 60 * 50)
    with pytest.raises(zoo.DataError, match=r"b/1\.png: the pictures up to here"):
        normalise._check_pixels(source.splits, 4 * 60 * 50 - 1)
