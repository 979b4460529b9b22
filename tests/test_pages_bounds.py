"""No page takes much more memory or time than a page of handwriting of the largest size."""

import time

import numpy as np
import pytest

from zoo.errors import InkError
from zoo.pages import keypoints
from zoo.pages.keypoints import Keypoints
from zoo.pages.patches import Patches
from zoo.pages.ruled_lines import find_rules, without_rules


def striped(apart: int, thick: int, side: int = 1600) -> np.ndarray:
    """Return a page full of horizontal stripes."""
    page = np.full((side, side), 255, np.uint8)
    page[np.arange(side) % apart < thick] = 0
    return page


@pytest.mark.parametrize("size", [(1, 2400), (2400, 1), (3, 2400), (36, 2400)])
def test_a_strip_too_thin_to_be_enlarged_is_refused(size):
    """One pixel in height would become 300, and 2,400 in width 720,000: 650 MB."""
    with pytest.raises(InkError, match="at most 64 times as long as wide; this one is"):
        Patches().views(np.full(size, 200, np.uint8))


def test_a_line_of_writing_and_the_smallest_picture_are_still_enlarged():
    for size in ((38, 2400), (1, 1)):
        assert Patches().views(np.full(size, 200, np.uint8)).shape == (70, 300, 300, 1)


@pytest.mark.parametrize("kind", ["specks", "squares"])
def test_a_page_full_of_specks_has_no_more_keypoints_than_are_described(kind, monkeypatch):
    """Of squares that are all alike OpenCV would keep all, however few it is asked for."""
    page = np.full((600, 600), 255, np.uint8)
    if kind == "specks":
        page[np.random.default_rng(0).random((75, 75)).repeat(8, 0).repeat(8, 1) < 0.5] = 0
    else:
        page[(np.arange(600) % 24 < 8)[:, None] & (np.arange(600) % 24 < 8)] = 0
    assert len(keypoints._described(page, 0)[1]) > 300
    monkeypatch.setattr(keypoints, "MOST", 200)
    rows, described = keypoints._described(page, 0)
    assert 0 < len(rows) == len(described) <= 200
    assert Keypoints().views(page).shape == (1, 2048, 128, 1)


@pytest.mark.parametrize(("apart", "thick"), [(4, 3), (30, 14)])
def test_a_page_of_stripes_takes_little_longer_than_others(apart, thick):
    """Each of a hundred rules was looked for in all pixels: 14 s, and 31 s on the largest page."""
    page = striped(apart, thick)
    started = time.process_time()
    without_rules(page)
    assert time.process_time() - started < 5


def test_rules_of_a_dark_page_are_found_from_a_part_of_its_pixels():
    ink = 255 - striped(60, 3, 1200)
    ink[800:] = 255  # more than the slope is found from
    found = sorted(float(np.polyval(rule, 600)) for rule in find_rules(ink))
    np.testing.assert_allclose(found[:13], np.arange(13) * 60 + 1, atol=1)
