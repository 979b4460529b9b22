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
    assert page.locator("#read-choice input:checked").input_value() == "lenet5.mnist"


@pytest.fixture
def phone_photo(tmp_path):
    """A phone's photo, 12 megapixels: 374 on a sheet on a desk, the shadow of a hand across it."""
    sheet = np.full((900, 1500, 3), 205.0)
    for index, strokes in enumerate((THREE, SEVEN, FOUR)):
        for stroke in strokes:
            points = np.int32(np.array(stroke) * 360 + (170 + 420 * index, 260))
            cv2.polylines(sheet, [points], False, (95, 50, 40), 18, cv2.LINE_AA)
    x, y = np.meshgrid(np.linspace(-1, 1, 4000), np.linspace(-1, 1, 3000))
    corners = np.float32([(0, 0), (1500, 0), (1500, 900), (0, 900)])
    seen = np.float32([(620, 560), (3350, 700), (3420, 2420), (540, 2300)])
    photo = np.full((3000, 4000, 3), (40.0, 70, 105))
    cv2.warpPerspective(
        sheet, cv2.getPerspectiveTransform(corners, seen), (4000, 3000), photo, borderMode=cv2.BORDER_TRANSPARENT
    )
    photo *= (1 - 0.45 / (1 + np.exp(-(x + 0.5 * y - 0.1) * 50)))[..., None]
    noise = np.random.default_rng(0).normal(0, 4, (3000, 4000, 1))
    path = tmp_path / "phone.jpg"
    cv2.imwrite(str(path), (photo + noise).clip(0, 255).astype(np.uint8))
    return path


def test_a_phones_photo_with_a_shadow_is_read_shown_and_corrected(visit, phone_photo):
    page = visit("?tab=read&model=hdr_cnn.mnist", READY, **DESK)
    page.set_input_files(FILES, phone_photo)
    page.wait_for_selector('.page[data-text="374"]')
    page.get_by_text("How it was read").click()
    assert page.locator(".page .steps .found img").count() == 3
    assert page.locator(".page .steps .saw img").count() == 3
    page.locator(".page svg g").nth(1).click()
    page.get_by_label("Another label").fill("1")
    page.keyboard.press("Enter")
    page.wait_for_selector('.page[data-text="314"]')
    page.locator(".page svg g").nth(0).click()
    page.get_by_role("button", name="Not a glyph").click()
    page.wait_for_selector('.page[data-text="14"]')
    assert page.locator(".page rect").count() == 2


def test_the_camera_is_read_as_it_runs(visit):
    page = visit("?tab=read", READY, permissions=["camera"], **DESK)
    page.get_by_text("Camera").click()
    page.locator("#read-webcam").get_by_role("button").first.click()
    page.locator("#read-webcam video").wait_for()
    page.wait_for_function("document.querySelector('#read-webcam video').videoWidth > 0")
    page.locator("#read-webcam button").filter(has_text="Record").click()
    # Chromium's own pattern has no ink on paper: that it was looked at is what counts.
    page.wait_for_function("text => !document.querySelector('#read-answer').innerText.includes(text)", arg=read.WELCOME)


def test_a_digit_drawn_by_keyboard_is_read_and_explained(page):
    page.locator("#draw-pad .sheet").focus()
    keys = ["ArrowUp"] * 12 + ["Space"] + ["ArrowDown"] * 24 + ["Space"]
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_selector('.reading[data-label="1"], .reading[data-label="I"], .reading[data-label="١"]')
    page.keyboard.press("Escape")
    page.get_by_text("nothing on the pad yet").wait_for()
    page.get_by_label("Thickness of the pen: medium").click()
    page.get_by_label("Thickness of the pen: broad").wait_for()
    page.locator("#draw-pad .sheet").focus()
    for key in ("Space", *["ArrowDown"] * 8, "Space"):
        page.keyboard.press(key)
    page.wait_for_selector(".reading")
    page.get_by_label("Show why").check()
    page.wait_for_selector(".reading .why img")
    assert page.locator(".reading .why").count() == 1


def test_the_page_speaks_arabic_to_an_arabic_browser_and_english_on_request(visit):
    page = visit(locale="ar-EG", **DESK)
    page.get_by_role("tab", name="ارسم").wait_for()
    assert page.locator(".gradio-container").get_attribute("dir") == "rtl"
    page.get_by_role("button", name="English").click()
    page.get_by_role("tab", name="Draw").wait_for()
    assert page.locator(".gradio-container").get_attribute("dir") == "ltr"
    page.get_by_text("Draw here").wait_for()
