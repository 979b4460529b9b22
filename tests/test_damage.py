"""What training does to images, against plain NumPy: damage, contrast, and images of no class."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from conftest import real_data

from zoo import data
from zoo.backend import keras
from zoo.recipes import Augmentation, Recipe
from zoo.training import objective, samples
from zoo.training.augmentation import Draws, applied, augment, rewritten, scaled
from zoo.training.device_augmentation import augmented, prepared
from zoo.training.job import plan


def reference_damage(image, kind, amount):
    """Return what one kind of damage does to an image (H, W), pixel by pixel, in plain NumPy."""
    image, side = image.astype(float), len(image)
    if kind == "blur":
        radius = 8
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / (amount * side)) ** 2)
        weights /= weights.sum()
        padded = np.pad(image, radius, mode="reflect")
        rows = sum(w * padded[n : n + side] for n, w in enumerate(weights))
        return sum(w * rows[:, n : n + side] for n, w in enumerate(weights))
    grown = []
    for radius in (0, 1, 2):  # strokes grow by whole pixels on either side, or by the mean of two such images
        reach = [(y, x) for y in range(-radius, radius + 1) for x in range(-radius, radius + 1) if inside(y, x, radius)]
        padded = np.pad(image, radius, constant_values=0 if amount > 0 else 255)
        moved = [padded[radius + y : radius + y + side, radius + x : radius + x + side] for y, x in reach]
        grown.append(np.max(moved, 0) if amount > 0 else np.maximum(np.min(moved, 0), image // 3))
    whole, part = divmod(abs(amount) * side / 2, 1)
    return grown[int(whole)] * (1 - part) + grown[int(whole) + 1] * part


def inside(y, x, radius):
    """Return whether a pixel is in OpenCV's disc of that radius."""
    return bool(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)[y + radius, x + radius])


@pytest.mark.parametrize("amount", [0.05, -0.05, 0.08, -0.08])
def test_a_pen_grows_and_shrinks_as_plain_numpy_says(amount):
    for image in data.load("optdigits", "test").images[:20]:
        large = cv2.resize(image, (28, 28), interpolation=cv2.INTER_CUBIC)
        expected = reference_damage(large, "pen", amount)
        np.testing.assert_allclose(rewritten(large[..., None], amount * 28), expected, atol=1)


def test_contrast_fading_and_blur_are_what_plain_numpy_says():
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 1), np.uint8)
    for gain, offset in ((0.4, 26.0), (1.7, -90.0), (1.2, 60.5)):
        expected = np.clip(np.rint(gain * images[0, ..., 0].astype(float) + offset), 0, 255)
        np.testing.assert_allclose(scaled(images[0], gain, offset), expected, atol=1)
    augmented = augment(images, Augmentation(contrast=0.5), np.random.default_rng(1))
    for image, before in zip(augmented[..., 0].astype(float), images[..., 0].astype(float), strict=True):
        mean, inner = before.mean(), (image > 0) & (image < 255)
        gains = (image[inner] - mean) / (before[inner] - mean)
        gain = np.median(gains)
        assert 0.48 <= gain <= 1.52
        np.testing.assert_allclose(image, np.clip(gain * (before - mean) + mean, 0, 255), atol=2)  # dark stays dark
    blurred = cv2.GaussianBlur(images[1], (0, 0), 0.08 * 12)
    np.testing.assert_allclose(blurred, reference_damage(images[1, ..., 0], "blur", 0.08), atol=1.5)


@pytest.mark.parametrize(
    ("bounds", "most"),
    [
        ({"rotation": 15, "scale": 0.1, "shift": 0.1, "shear": 0.1}, 4),
        ({"rotation": 5, "elastic": 0.05}, 4),
        ({"contrast": 0.3, "damaged": 1, "fading": 0.5}, 2),
        ({"damaged": 1, "pen": 0.08}, 1),
        ({"damaged": 1, "erased": 0.4}, 0),
        ({"damaged": 1, "blur": 0.08}, 2),
    ],
)
def test_the_same_draws_give_the_same_images_on_a_device(bounds, most):
    small = data.load("optdigits", "test").images
    glyphs = np.stack([cv2.resize(image, (28, 28), interpolation=cv2.INTER_CUBIC) for image in small])[..., None]
    augmentation, rng = Augmentation(**bounds), np.random.default_rng(0)
    draws = Draws.draw(len(glyphs), (28, 28), augmentation, rng)
    found = on_a_device(glyphs, prepared(draws, rng), augmentation).astype(int)
    differences = np.abs(found - applied(glyphs, draws))
    assert differences.max() <= most  # gray levels: OpenCV's weights have five bits
    assert (differences > 2).mean() < 0.01
    assert np.abs(found - glyphs).mean() > 1  # something was done to them


def on_a_device(images, arrays, augmentation):
    """Return what the compiled step sees, on whatever backend the tests run."""
    tensors = {name: keras.ops.convert_to_tensor(values) for name, values in arrays.items()}
    return keras.ops.convert_to_numpy(augmented(keras.ops.convert_to_tensor(images), tensors, augmentation))


def test_damage_hits_its_share_and_keeps_its_bounds():
    flat = np.full((4000, 12, 12, 1), 100, np.uint8)
    bounds = {"pen": 0.1, "blur": 0.1, "noise": 0.2, "fading": 0.7, "erased": 0.5}
    for kind, value in bounds.items():
        done = augment(flat, Augmentation(damaged=0.6, **{kind: value}), np.random.default_rng(0)).astype(int)
        changed = (done != flat).any(axis=(1, 2, 3)).mean()
        expected = {"pen": 0, "blur": 0, "erased": 0.26}.get(kind, 0.3)  # half of the share; some squares have no pixel
        assert changed == pytest.approx(expected, abs=0.03), kind
    noise = augment(flat, Augmentation(damaged=1, noise=0.2), np.random.default_rng(0)).astype(int)
    assert 0.18 * 255 < noise.std(axis=(1, 2, 3)).max() < 0.23 * 255
    erased = augment(flat, Augmentation(damaged=1, erased=0.5), np.random.default_rng(0))[..., 0] == 0
    assert erased.any(axis=1).sum(axis=1).max() == erased.any(axis=2).sum(axis=1).max() == 6  # half of the side
    assert erased.any(axis=0).all()  # anywhere
    faded = augment(flat, Augmentation(damaged=1, fading=0.7), np.random.default_rng(0)).astype(int)
    assert 30 <= faded.min() <= 32
    assert augment(flat, Augmentation(damaged=0.6), np.random.default_rng(0)).std() == 0


@real_data
def test_the_dots_of_arabic_letters_survive():
    letters = data.load("ahcd", "train")
    dotted = letters.images[letters.labels == 1][:300]  # a beh: the dot lies below the stroke
    bounds = replace(data.get("ahcd").augmentation, rotation=0, scale=0, shear=0, shift=0, damaged=1, noise=0)
    done = augment(dotted, bounds, np.random.default_rng(0)).astype(int)
    seen = []
    for before, after in zip(dotted[..., 0], done[..., 0], strict=True):
        count, parts, stats, _ = cv2.connectedComponentsWithStats((before > 100).astype(np.uint8))
        if count == 3:
            dot = parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmin()
            seen.append(after[dot].max() - np.median(after) > 10)  # gray levels
    assert len(seen) > 200
    assert np.mean(seen) > 0.99


def test_a_recipe_may_set_the_share_of_damaged_images():
    for recipe in (plan(size, "mnist").recipe for size in ("glyphnet_700", "glyphnet_2k")):
        assert recipe.augmentation.damaged == recipe.outliers == 0
    for size in ("glyphnet_5k", "glyphnet_300k", "lenet5"):
        assert plan(size, "ahdd").recipe.augmentation.damaged == data.get("ahdd").augmentation.damaged > 0


def test_outliers_are_of_no_class_and_count_for_no_accuracy():
    spec = data.get("optdigits")
    recipe = Recipe("known", epochs=1, outliers=0.25, learning_rate=0.0)
    seen = samples.of("optdigits", recipe)
    images, targets = seen.epoch(np.random.default_rng(0), None)
    of_none = (targets == np.float32(0.1)).all(axis=1)
    assert (len(images), of_none.sum(), seen.known) == (seen.count, round(0.25 * 1294), 1294)
    assert images[of_none].any(axis=(1, 2, 3)).all()
    counted = objective.accuracy()
    answers = np.where(of_none[:, None], np.eye(10)[0], targets)  # all that can be right is
    counted.update_state(targets, answers)
    assert float(counted.result()) == 1
    known = {image.tobytes() for image in data.load(spec.name, "train").images}
    assert sorted(image.tobytes() for image in images[~of_none]) == sorted(
        image.tobytes() for image in seen.train.images
    )
    assert not known & {image.tobytes() for image in images[of_none]}


def test_in_a_balanced_epoch_each_class_comes_equally_often():
    labels = np.repeat([0, 1, 2], [2, 50, 8])
    split = data.Split(np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1), labels, None, "")
    seen = samples.Glyphs(split, split, samples.one_hot(labels, 3), balanced=True)
    images, targets = seen.epoch(np.random.default_rng(0), None)
    np.testing.assert_array_equal(targets.sum(axis=0), [20, 20, 20])
    np.testing.assert_array_equal(labels[images.ravel()], targets.argmax(axis=1))
    assert np.bincount(images.ravel())[:2].tolist() == [10, 10]  # the two of the smallest class, again and again
    assert len(set(images[targets[:, 1] == 1].ravel())) == 20  # of a large class nobody comes twice
