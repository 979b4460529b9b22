"""A user's own pictures: real digits as folders, parquet and repos; what is bad is named, and nothing is left of it."""

import json
import shutil

import cv2
import datasets
import numpy as np
import pyarrow.parquet
import pytest
from sklearn.datasets import load_digits

import zoo
from zoo import data, ink
from zoo.data import held_out
from zoo.files import write_json
from zoo.ingest import labelled_folders, normalise, user_data

DIGITS = load_digits()
IMAGES = np.round(DIGITS.images * (255 / 16)).astype(np.uint8)  # light on dark, 8 x 8


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    """The folder of users' datasets, empty."""
    monkeypatch.setenv("ZOO_USER_DATASETS", str(tmp_path / "kept"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "kept"


@pytest.fixture
def folder(tmp_path):
    """200 digits, dark on light: pictures/<class>/<number>.png."""
    return write(tmp_path / "pictures", range(200), lambda image: 255 - image)


def write(root, rows, look=lambda image: image):
    for row in rows:
        path = root / str(DIGITS.target[row]) / f"{row:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), look(IMAGES[row]))
    return root


def prepared(where, contract=ink.MNIST, group=None, **options):
    return user_data.prepare(labelled_folders.read_folders(str(where), group), "mine", contract, **options)


def test_a_folder_becomes_a_dataset_of_the_zoo(folder, kept):
    (folder / "3" / ".DS_Store").write_bytes(b"x")
    (folder / "3" / "notes.txt").write_text("x")
    made = prepared(folder)
    assert user_data.keep(made) == kept / "mine"
    spec = data.get("mine")
    assert (spec, spec.labels, spec.image_shape, spec.scored) == (
        made.spec,
        tuple("0123456789"),
        (28, 28, 1),
        "validation",
    )
    train, validation = data.load("mine", "train"), data.load("mine", "validation")
    assert (len(train) + len(validation), train.fingerprint) == (200, spec.fingerprints["train"])
    assert set(train.labels) == set(validation.labels) == set(range(10))
    assert 18 <= len(validation) <= 22  # a tenth of each class
    corner = np.concatenate([train.images[:, :2].ravel(), train.images[:, -2:].ravel()])
    assert (corner.max(), train.images.max()) == (0, 255)  # ink is 255 on 0 now
    said = " ".join(made.notes)
    assert "Dark ink on light paper" in said
    assert "notes.txt" in said
    assert "8 x 8 pixels (200 grey): each glyph found and placed in 28 x 28" in said
    with pytest.raises(zoo.DataError, match="mine has no test split"):
        data.load("mine", "test")
    assert user_data.keep(prepared(folder)) == kept / "mine"  # the same again is the same
    shutil.copy(folder / "3" / "0003.png", folder / "3" / "again.png")
    with pytest.raises(zoo.ZooError, match="mine is already the name of other data"):
        user_data.keep(prepared(folder))
    assert data.get("mine") == spec


def test_size_colour_polarity_and_margin_make_no_difference(tmp_path):
    rows = range(80)
    looks = (
        lambda image: image,  # light on dark
        lambda image: cv2.resize(255 - image, (40, 40), interpolation=cv2.INTER_NEAREST),
        lambda image: np.pad(255 - image, ((3, 9), (5, 1)), constant_values=255),
        lambda image: cv2.merge([np.full_like(image, 255), 255 - image, 255 - image]),  # blue on white
        lambda image: cv2.merge([np.zeros_like(image)] * 3 + [image]),  # paint on nothing
        lambda image: (255 - image).astype(np.uint16) * 257,
    )
    folder = write(tmp_path / "pictures", rows, lambda image: 255 - image)  # dark on light
    plain = prepared(folder).splits["train"].images.astype(float)
    for number, look in enumerate(looks):
        root = write(tmp_path / f"look{number}", rows, look)
        differs = np.abs(prepared(root).splits["train"].images - plain).mean(axis=(1, 2, 3))
        assert np.median(differs) < 12, number  # of 255; another digit differs by 40 and more
    mixed = tmp_path / "mixed"
    for number, look in enumerate(looks):
        write(mixed, rows[number :: len(looks)], look)
    made = prepared(mixed)
    assert len(made.splits["train"]) == len(rows)
    assert any("6 x" not in note and "grey" in note and "RGBA" in note for note in made.notes)


def test_tight_cuts_do_not_turn_ink_into_paper(tmp_path):
    """A bar that fills its picture: its border is ink, but the other pictures say what paper is."""
    for row in range(40):
        write(tmp_path / "cuts", [row], lambda image: 255 - image)
    block = np.full((20, 20), 255, np.uint8)
    block[:, :18] = 0
    fractions = []
    for picture in (255 - IMAGES[1], block):
        assert cv2.imwrite(str(tmp_path / "cuts" / "1" / "last.png"), picture)
        images = prepared(tmp_path / "cuts").splits["train"].images
        fractions.append((images > 127).mean(axis=(1, 2, 3)).max())
    assert fractions[0] < 0.4
    assert fractions[1] > 0.15  # as ink, if of a narrower pen; the strip of paper would be 0.05


def test_whole_frames_are_resized_and_their_contract_is_measured(tmp_path):
    split = data.load("optdigits", "train+validation")
    placed = np.stack([ink.from_picture(image[..., 0], ink.AHDD) for image in split.images[:100]])
    assert normalise.measured(placed, ink.MNIST).box_height == pytest.approx(20, abs=1)
    assert normalise.measured(placed, ink.MNIST).centre_x == pytest.approx(13, abs=0.5)
    root = tmp_path / "frames"
    for row, image in enumerate(placed):
        path = root / str(split.labels[row]) / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), 255 - image)
    made = prepared(root, fit="resize")
    kept_rows = {image.tobytes() for image in made.splits["train"].images}
    assert kept_rows == {image.tobytes() for image in placed}  # nothing is moved or scaled that is right already
    cv2.imwrite(str(root / "0" / "odd.png"), np.zeros((9, 30), np.uint8))
    with pytest.raises(zoo.DataError, match=r"odd\.png is 30 x 9 pixels, grey, most others are 28 x 28 pixels, grey"):
        prepared(root, fit="resize")


def as_repo(root, rows, **columns):
    """Write a dataset repo as people publish them."""
    path = root / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    encoded = [{"bytes": cv2.imencode(".png", 255 - IMAGES[row])[1].tobytes(), "path": None} for row in rows]
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[f"digit {n}" for n in range(10)])}
        | {name: datasets.Value("string") for name in columns}
    )
    labels = [int(DIGITS.target[row]) for row in rows]
    datasets.Dataset.from_dict({"image": encoded, "label": labels, **columns}, features=features).to_parquet(path)
    return path


def test_parquet_and_repos_are_read_and_writers_are_never_on_both_sides(tmp_path):
    writers = [f"writer {row // 20}" for row in range(200)]
    file = as_repo(tmp_path / "repo", range(200), writer=writers)
    for where in (tmp_path / "repo", file):
        made = prepared(where)
        assert made.spec.labels == tuple(f"digit {n}" for n in range(10))
        train = made.splits["train"]
        validates = train.groups[-made.spec.validation :]
        assert not set(validates) & set(train.groups[: -made.spec.validation])
        assert np.array_equal(np.sort(np.unique(train.groups)), np.arange(10))
    assert prepared(file, group="none").spec.group is None
    user_data.keep(prepared(file))
    tests = []
    for number in range(1, 6):
        name = data.fold("mine", number, 5)
        train, validation, test = (data.load(name, split) for split in data.SPLITS)
        assert len(train) + len(validation) + len(test) == 200
        groups = [set(split.groups) for split in (train, validation, test)]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 10
        tests.append(len(test))
    assert sum(tests) == 200


def test_every_sample_is_held_out_once_and_every_class_in_its_share():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 400, p=[0.7, 0.2, 0.07, 0.03])
    parts = held_out.folds(labels, None, 5)
    for label in range(4):
        counts = np.bincount(parts[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    mask = held_out.validation(labels, None)
    assert np.array_equal(mask, held_out.validation(labels, None))
    assert held_out.missing(labels, mask) is None
    order = held_out.spread(labels, None)
    for tail in (0.1, 0.2, 0.5):  # whatever share a document holds out
        last = labels[order][-int(tail * 400) :]
        assert np.bincount(last, minlength=4) == pytest.approx(tail * np.bincount(labels), abs=1.5)
    long = "1" + "0" * 5000
    assert labelled_folders.sorted_labels(["b", long, "10", "٩", "a2", "a10"]) == ("٩", "10", long, "a2", "a10", "b")


def spoil(folder, how):
    """Do one bad thing to a folder of class folders."""
    three = sorted((folder / "3").iterdir())
    if how == "one image":
        for path in three[1:]:
            path.unlink()
    elif how == "empty class":
        for path in three:
            path.unlink()
    elif how == "unreadable":
        three[1].write_bytes(b"not a picture")
    elif how == "cut off":
        three[1].write_bytes(three[1].read_bytes()[:30])
    elif how == "no bytes":
        three[1].write_bytes(b"")
    elif how == "blank":
        cv2.imwrite(str(three[1]), np.full((9, 9), 255, np.uint8))
    elif how == "one class":
        for path in list(folder.iterdir())[1:]:
            shutil.rmtree(path)
    elif how == "no class folders":
        for path in three:
            shutil.move(path, folder / path.name)
        for path in [path for path in folder.iterdir() if path.is_dir()]:
            shutil.rmtree(path)
    elif how == "nothing":
        shutil.rmtree(folder)
        folder.mkdir()
    elif how in ("another class in test", "class missing from validation"):
        classes = list(folder.iterdir())
        (folder / "train").mkdir()
        for path in classes:
            shutil.move(path, folder / "train" / path.name)
        if how == "another class in test":
            shutil.copytree(folder / "train" / "3", folder / "test" / "X")
        else:
            shutil.copytree(folder / "train" / "3", folder / "validation" / "3")
    elif how == "one writer a class":
        lines = [f"{path.relative_to(folder).as_posix()},{path.parent.name}" for path in folder.rglob("*.png")]
        (folder / "metadata.csv").write_text("file_name,writer\n" + "\n".join(lines))
    elif how == "a class with an escape":
        (folder / "3").rename(folder / "3\x1b]0;owned")
    elif how == "a writer too few":
        (folder / "metadata.csv").write_text("file_name,writer\n3/0003.png,ada\n")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("one image", r"The class '3' has 1 training picture \(.*3/0003\.png\): at least 2 are needed"),
        ("empty class", r"The class folder .*/3 is empty"),
        ("unreadable", r"3/0013\.png is no picture that can be read \(13 bytes\)"),
        ("cut off", r"3/0013\.png is no picture that can be read \(30 bytes\)"),
        ("no bytes", r"3/0013\.png is no picture that can be read \(0 bytes\)"),
        ("blank", r"3/0013\.png: Nothing stands out from the paper"),
        ("one class", r"There is only one class \(\d\)"),
        ("a class with an escape", r"name of the class '3\\x1b\]0;owned' has a control character"),
        ("no class folders", r"has no class folders, but pictures"),
        ("nothing", r"has no class folders, but nothing to read"),
        ("another class in test", r"test/X: 'X' is not one of the training classes \(0, 1, 2"),
        ("class missing from validation", r"The class '0' is missing from the validation split"),
        ("one writer a class", r"The class '\d' has no picture by the writers who"),
        ("a writer too few", r"metadata\.csv does not say the writer of 0/0000\.png"),
    ],
)
def test_a_bad_folder_is_named_and_nothing_is_left(folder, kept, how, sentence):
    spoil(folder, how)
    with pytest.raises(zoo.DataError, match=sentence):
        user_data.keep(prepared(folder))
    assert not kept.exists()


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"image": [b"?"] * 4, "label": [0, 1, 0, 1]}, r"split 'train', row 0 is no picture"),
        ({"image": [None] * 4, "label": [0, 1, 0, 1]}, r"row 0: expected a picture, not NoneType"),
        ({"image": [b"?"] * 4, "label": [0.5, 1.0, 0.5, 1.0]}, r"the column label holds .* expected classes"),
        (
            {"image": [b"?"] * 4, "sort": [0, 1, 0, 1]},
            r"has no column of labels: expected label or .*there is image, sort",
        ),
        ({"digits": [b"?"] * 4, "label": [0, 1, 0, 1]}, r"has no column of pictures: expected image or"),
    ],
)
def test_a_bad_table_is_named(tmp_path, columns, sentence):
    import pandas

    pandas.DataFrame(columns).to_parquet(tmp_path / "bad.parquet")
    with pytest.raises(zoo.DataError, match=sentence):
        prepared(tmp_path / "bad.parquet")


def test_labels_beyond_the_list_are_named(tmp_path):
    file = as_repo(tmp_path / "repo", range(20))
    table = datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path / "cache"))
    names = {"image": table.features["image"], "label": datasets.ClassLabel(names=["0", "1", "2"])}
    wrong = table.data.table.replace_schema_metadata(datasets.Features(names).arrow_schema.metadata)
    pyarrow.parquet.write_table(wrong, file)
    with pytest.raises(zoo.DataError, match=r"row 3: the label 3 is not in the list of 3 labels"):
        prepared(file)


@pytest.mark.parametrize("called", [list(range(10)), [None] * 10, ["0", "1", "2", {}]])
def test_classes_are_called_by_text(tmp_path, called):
    file = as_repo(tmp_path / "repo", range(20))
    table = pyarrow.parquet.read_table(file)
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": called}}
    said = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pyarrow.parquet.write_table(table.select(["image", "label"]).replace_schema_metadata(said), file)
    with pytest.raises(zoo.DataError, match=r"a class is called .*, expected text|cannot be read as a dataset"):
        prepared(file)


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("./nowhere", "There is no ./nowhere: expected a folder, a parquet file or owner/name"),
        ("nowhere", "There is no nowhere: expected"),
        (__file__, r"is a file: expected a folder of class folders"),
        ("nobody/nothing", "nobody/nothing cannot be read as a dataset"),
    ],
)
def test_what_is_not_there_is_said(where, sentence):
    with pytest.raises(zoo.DataError, match=sentence):
        labelled_folders.read_folders(where)


def test_names_that_cannot_be(folder):
    assert user_data.name_for("./My Letters 2") == "my_letters_2"
    assert user_data.name_for("me/letters") == "letters"
    assert user_data.name_for("./2024") == "data_2024"
    for name, sentence in (
        ("mnist", "zoo's own"),
        ("a_fold1of2", "zoo's own"),
        ("../x", "cannot be"),
        ("Ä", "cannot be"),
    ):
        with pytest.raises(zoo.ZooError, match=sentence):
            user_data.prepare(labelled_folders.read_folders(str(folder)), name, ink.MNIST)
    for name in ("../../etc", "mine_fold7of5", "nothing_fold1of5"):
        with pytest.raises(zoo.ZooError):
            data.load(name)


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "/elsewhere"},
        {"name": "../mine"},
        {"name": "mnist"},
        {"fold": ["mnist", 1, 5]},
        {"parts": {"mnist": 1}},
        {"revision": "main"},
        {"writers_file": True},
        {"transfers": ["mnist"]},
        {"view": "glyph"},
        {"image_shape": [28, 28, 10**9]},
        {"image_shape": None},
        {"contract": None},
        {"validation": 10**12},
        {"validation": "x"},
        {"validation": True},
        {"labels": ["a", "a"]},
        {"labels": [1, 2]},
        {"labels": "ab\n"},
        {"title": "a\n# b"},
        {"repo": "https://elsewhere/x"},
        {"group": "other"},
        {"fingerprints": ["train"]},
        {"augmentation": {"rotation": 1e300}},
        {"augmentation": {"rotation": "x"}},
        {"batch_size": 0},
        {"passes": 10**9},
    ],
    ids=str,
)
def test_an_entry_speaks_of_nothing_but_the_data_next_to_it(tmp_path, monkeypatch, changed):
    """One named another dataset of its reader, which was trained on."""
    spec = data.DatasetSpec(
        "mine", "Mine", ("a", "b"), "latin", (28, 28, 1), {"train": "x"}, "me", None, validation=4, contract=ink.MNIST
    )
    monkeypatch.setenv("ZOO_USER_DATASETS", str(tmp_path))
    entry = tmp_path / "mine" / data.ENTRY
    write_json(entry, spec.to_dict())
    assert data.get("mine") == spec
    write_json(entry, {**spec.to_dict(), **changed})
    with pytest.raises(zoo.DataError, match=r"dataset\.json is not the entry of a dataset: "):
        data.load("mine")


def test_a_broken_entry_is_named(folder, kept):
    user_data.keep(prepared(folder))
    entry = json.loads((kept / "mine" / data.ENTRY).read_text())
    (kept / "mine" / data.ENTRY).write_text(json.dumps(entry | {"colour": "blue"}))
    with pytest.raises(zoo.DataError, match=r"dataset\.json is not the entry of a dataset: .*colour"):
        data.get("mine")
