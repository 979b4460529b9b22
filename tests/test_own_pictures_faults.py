"""Folders of pictures as people have them: splits with other names, odd tables, files of any kind."""

import cv2
import numpy as np
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
