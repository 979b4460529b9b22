"""Writers: ruled lines that go, descriptors that stay, and a network that is fitted, not trained."""

from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
import pytest

from zoo import data, registry, training
from zoo.architectures import _vlad
from zoo.backend import keras
from zoo.data import loading
from zoo.export import export
from zoo.pages import keypoints, ruled_lines, views
from zoo.serving.predictor import Predictor
from zoo.serving.validated import validated
from zoo.tabs import read
from zoo.training import closed_form
from zoo.training.job import view_of

FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)
WORDS = ("quick", "brown", "foxes", "jump", "over", "lazy", "dogs", "while", "zebras", "pack", "my", "box", "with")


@dataclass(frozen=True)
class SmallKeypoints(keypoints.Keypoints):
    """Of pages with lines of 30 pixels."""

    most: int = 300
    strip: int = 90
    step: int = 30


VIEW = SmallKeypoints()


def page(writer: int, seed: int, lines: int = 6, ruled: bool = True) -> np.ndarray:
    """Lines of words in one writer's hand on ruled paper, uint8 (30 * lines, 420)."""
    rng, sheet = np.random.default_rng([writer, seed]), np.full((30 * lines, 420), 255, np.uint8)
    for line in range(lines):
        bottom = 30 * line + 21
        text = " ".join(rng.choice(WORDS, 5))
        cv2.putText(sheet, text, (4, bottom), FONTS[writer], 0.6, 0, 1 + (writer == 0), cv2.LINE_8)
        if ruled:
            cv2.line(sheet, (0, bottom + 3), (419, bottom + 5), 0, 1)
    return np.where(sheet < 160, np.uint8(0), np.uint8(255))  # OpenCV smooths its letters


def test_ruled_lines_go_and_what_crosses_them_stays():
    with_lines, without = page(1, 0), page(1, 0, ruled=False)
    found = ruled_lines.find_rules(255 - with_lines)
    assert len(found) == 6
    assert sorted(float(np.polyval(rule, 210)) for rule in found) == pytest.approx(np.arange(25, 180, 30), abs=1.5)
    ink, cleaned = without == 0, ruled_lines.without_rules(with_lines) == 0
    assert (ink & cleaned).sum() > 0.97 * ink.sum()
    assert (cleaned & ~ink).sum() < 0.03 * ink.sum()


@pytest.mark.parametrize("blank", [np.full((50, 80), 255, np.uint8), np.zeros((50, 80), np.uint8)])
def test_an_empty_page_has_no_rules_and_no_descriptors(blank):
    assert (ruled_lines.without_rules(blank) == 255).all()
    assert not VIEW.views(blank).any()


def test_a_window_shows_what_its_descriptor_describes():
    view = keypoints.Keypoints(most=50, window=24)
    sheet = np.full((400, 400), 255, np.uint8)
    cv2.circle(sheet, (200, 190), 12, 0, -1)
    rows = view.views(sheet)[0, :, :, 0]
    assert np.array_equal(rows[:, :128], keypoints.Keypoints(most=50).views(sheet)[0, :, :, 0])
    pictures = rows[rows.any(axis=1), 128:].reshape(-1, 24, 24)
    dots = [picture for picture in pictures if picture[11:13, 11:13].min() == 255 and picture[0].max() == 0]
    assert dots  # the dot as a whole, in the middle, as ink


def test_a_page_is_a_bag_of_upright_descriptors():
    sheet = page(2, 1)
    (whole,) = VIEW.views(sheet)
    assert whole.shape == VIEW.input_shape == (300, 128, 1)
    assert np.array_equal(whole, VIEW.views(sheet[..., None])[0])
    assert len(VIEW.strips(sheet)) == 4
    turned = VIEW.views(cv2.rotate(sheet, cv2.ROTATE_90_CLOCKWISE))[0]
    assert np.abs(whole.astype(float).mean(axis=0) - turned.astype(float).mean(axis=0)).max() > 3  # which way matters
    real = keypoints.Keypoints(step=100)
    assert views.from_dict(real.to_dict()) == real


@pytest.fixture(scope="module", params=["rootsift_vlad", pytest.param("fused_vlad", marks=pytest.mark.slow)])
def run(tmp_path_factory, request):
    """A network fitted to one page of each of three writers, and its published folder."""
    with pytest.MonkeyPatch.context() as patch:
        labels = np.arange(3)
        split = data.Split(tuple(page(writer, 0)[..., None] for writer in labels), labels, None, "t")
        spec = replace(data.get("pages70"), labels=("01", "02", "03"))
        patch.setattr(loading, "DATASETS", {**data.DATASETS, "pages70": spec})
        patch.setattr(data, "load", lambda name, which: split)
        patch.setitem(views.KINDS, "keypoints", SmallKeypoints)
        patch.setitem(views.VIEWS, "keypoints", SmallKeypoints)
        patch.setitem(views.VIEWS, "keypoints_and_windows", partial(SmallKeypoints, window=12))
        patch.setattr(_vlad, "CENTRES", 8)
        patch.setattr(_vlad, "BOOKS", 1)
        patch.setattr(closed_form, "HELD_OUT", 2)
        folder = tmp_path_factory.mktemp("runs")
        run = training.train(training.plan(request.param, "pages70"), folder)
        yield run, export(run, folder / "export")


def test_a_fitted_network_is_served_like_any_other(run):
    done, folder = run
    predictor = Predictor.load(folder)
    assert predictor.view == view_of(done.job.architecture, data.get("pages70"))
    answers = predictor([page(writer, seed, lines=3) for writer in range(3) for seed in (7, 8)])
    assert answers.argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert done.history["validation"]["accuracy"] == 1
    assert done.history["samples"] == {"train": 12, "validation": 6}


def test_strangers_are_held_out_too_and_choose_what_is_believed(run):
    done, folder = run
    held_out = done.history["held_out"]
    sure, right = np.array(held_out["confidence"]), np.array(held_out["right"])
    assert len(sure) == 12
    assert right.tolist() == [True] * 6 + [False] * 6
    assert sure[right].mean() > sure[~right].mean()
    found = validated(folder)
    assert found.example is None
    assert len(found.confidence) == 12
    assert 0 < found.threshold <= 1


def test_fitting_again_gives_the_same_answers(run):
    done, folder = run
    pages = data.load("pages70", "train")
    view = view_of(done.job.architecture, data.get("pages70"))
    strips = np.concatenate([view.strips(sheet) for sheet in pages.images])
    keras.utils.set_random_seed(done.job.seed)
    model = training.build(done.job)
    registry.get(done.job.architecture).trainer.fit(model, strips, np.repeat(pages.labels, 4), done.job.seed)
    np.testing.assert_allclose(_vlad.outputs(model, strips), Predictor.load(folder).classify(strips), atol=1e-3)


@pytest.mark.parametrize(("threshold", "said"), [(0.9, "none of these"), (0.5, "01")])
def test_a_page_may_be_by_none_of_the_writers(threshold, said):
    found = read.Votes("page.png", "net.pages", ("01", "02"), np.float32([0.6, 0.4]), np.array([1, 0]), threshold)
    assert found.label == (read.UNSURE if said == "none of these" else said)
    shown = said if said == "none of these" else f'<span translate="no">{said}</span>'
    assert f'<p class="said">{shown}</p>' in read.render_votes(found)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (1, 100), (3000, 2), (3, 3)])
def test_a_page_of_a_few_pixels_has_no_keypoints(size):
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    for page in (noise, np.full(size, 255, np.uint8)):
        assert not SmallKeypoints().views(page).any()
