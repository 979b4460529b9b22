"""Photos, the camera, the keyboard, explanations and the second language, as a visitor meets them."""

import cv2
import numpy as np
import pytest
from strokes import FOUR, SEVEN, THREE

from zoo.tabs import read

DESK = {"viewport": {"width": 1280, "height": 900}}
FILES, READY = "#read-files input[type=file]", "#read-files button"


@pytest.fixture
def photo(tmp_path):
    """A photo of 374 in blue ink, and under it 47, on paper that one side lights."""
    page = np.zeros((900, 1200))
    for index, strokes in enumerate((THREE, SEVEN, FOUR, FOUR, SEVEN)):
        corner = np.array([200 + 240 * (index % 3), 120 + 380 * (index // 3)])
        for stroke in strokes:
            cv2.polylines(page, [np.int32(np.array(stroke) * 300 + corner)], False, 1.0, 14, cv2.LINE_AA)
    share, light = page[..., None], np.linspace(0.6, 1, 1200)[None, :, None]
    colour = (np.array([200.0, 205, 210]) * (1 - share) + np.array([140.0, 60, 40]) * share) * light  # BGR
    path = tmp_path / "number.jpg"
    cv2.imwrite(str(path), colour.astype(np.uint8))
    return path


def test_a_photo_of_several_digits_is_read_in_order(visit, photo):
    page = visit("?tab=read&model=lenet5.mnist", READY, **DESK)
    page.set_input_files(FILES, photo)
    page.wait_for_selector('.page[data-text="374|47"]')
    assert page.locator(".page rect").count() == 5
    assert page.locator("#read-model input:checked").input_value() == "lenet5.mnist"


def test_the_camera_is_read_as_it_runs(visit):
    page = visit("?tab=read", READY, permissions=["camera"], **DESK)
    page.get_by_text("Camera").click()
    page.locator("#read-webcam").get_by_role("button").first.click()
    page.locator("#read-webcam video").wait_for()
    page.wait_for_function("document.querySelector('#read-webcam video').videoWidth > 0")
    page.locator("#read-webcam button").filter(has_text="Record").click()
    # Chromium's own pattern has no ink on paper: that it was looked at is what counts.
    page.wait_for_function("text => !document.querySelector('#read-answer').innerText.includes(text)", arg=read.WELCOME)


def test_a_digit_drawn_by_keyboard_is_read(page):
    page.locator("#draw-pad .sheet").focus()
    keys = ["ArrowUp"] * 12 + ["Space"] + ["ArrowDown"] * 24 + ["Space"]
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_selector('.reading[data-model$=".mnist"][data-label="1"]')
    page.keyboard.press("Escape")
    page.get_by_text("nothing on the pad yet").wait_for()
    page.get_by_label("Thickness of the pen: medium").click()
    page.get_by_label("Thickness of the pen: broad").wait_for()


def test_a_network_says_why(page):
    page.locator("#draw-pad .sheet").focus()
    for key in ("Space", *["ArrowDown"] * 8, "Space"):
        page.keyboard.press(key)
    page.wait_for_selector(".reading")
    page.get_by_label("Show why").check()
    page.wait_for_selector(".reading .why img")
    assert page.locator(".reading .why").count() == page.locator(".reading").count()


def test_the_page_speaks_arabic_to_an_arabic_browser_and_english_on_request(visit):
    page = visit(locale="ar-EG", **DESK)
    page.get_by_role("tab", name="ارسم").wait_for()
    assert page.locator(".gradio-container").get_attribute("dir") == "rtl"
    page.get_by_role("button", name="English").click()
    page.get_by_role("tab", name="Draw").wait_for()
    assert page.locator(".gradio-container").get_attribute("dir") == "ltr"
    page.get_by_text("Draw a digit here").wait_for()
