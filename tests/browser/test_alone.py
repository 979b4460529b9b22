"""One file from a disk, in a browser without a network: the pad, the network and what is known of it."""

import pytest
from strokes import ARABIC_SEVEN, THREE

from browser.test_draw import draw, draw_by_finger, on_sheet
from zoo import hub
from zoo.portable import page as alone

LETTER = [[(0.30, 0.80), (0.33, 0.22), (0.50, 0.60), (0.67, 0.22), (0.70, 0.80)]]  # an M


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that writes a network as a file and opens it offline; it asks for nothing and errs nowhere."""
    contexts, asked, errors = [], [], []

    def opened(model, **screen):
        path = tmp_path / f"{model}.html"
        alone.write(hub.resolve(model), path)
        context = browser.new_context(offline=True, **screen)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(path.as_uri())
        page.wait_for_selector("[data-ready]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize(
    ("model", "strokes", "label", "language"),
    [
        ("glyphnet_5k.mnist", THREE, "3", "en"),
        ("glyphnet_100k.unipen_letters", LETTER, "M", "en"),
        ("glyphnet_100k.ahdd", ARABIC_SEVEN, "٧", "ar"),
    ],
)
def test_a_file_reads_what_is_drawn(opened, model, strokes, label, language):
    page = opened(model, locale=language, viewport={"width": 1000, "height": 800})
    draw(page, strokes)
    page.wait_for_selector(f'.reading[data-label="{label}"]')
    assert page.locator(".glyph").inner_text() == label
    assert page.locator(".bars .top .label").inner_text() == label
    assert page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "")
    page.get_by_label("Clear the pad").click()
    page.wait_for_selector(".message")
    assert not page.locator(".reading").is_visible()


def test_it_answers_before_the_pen_is_lifted_on_a_phone_too(opened):
    phone = opened("glyphnet_5k.mnist", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    draw_by_finger(phone, THREE)
    phone.wait_for_selector('.reading[data-label="3"]')
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.get_by_label("Clear the pad").click()
    first, *rest = on_sheet(phone, THREE[0])
    phone.mouse.move(*first)
    phone.mouse.down()
    for point in rest:
        phone.mouse.move(*point, steps=2)
    phone.wait_for_selector('.reading[data-label="3"]')
    phone.mouse.up()


def test_it_doubts_what_is_none_of_its_classes(opened):
    page = opened("glyphnet_100k.mnist", viewport={"width": 1000, "height": 800})
    note = page.locator(".note")
    draw(page, THREE)
    page.wait_for_selector('.reading[data-label="3"]')
    assert not note.is_visible()
    page.get_by_label("Clear the pad").click()
    page.wait_for_selector(".message")
    draw(page, [[(0.1 + 0.8 * (i % 2), 0.1 + 0.04 * i) for i in range(20)]])  # a zigzag over the whole pad
    note.wait_for()
