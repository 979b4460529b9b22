"""Networks that answer in the browser itself: while the pen moves, and after the connection is lost."""

import re

import pytest
from strokes import ARABIC_SEVEN, LETTER_R, THREE

from browser.test_draw import ANY, clear, draw, draw_by_finger, on_sheet, read

HERE = "Read in this browser"


@pytest.fixture
def sent(page):
    """Return the requests for answers that the page sends from now on."""
    found = []
    page.on("request", lambda request: found.append(request.url) if "queue/join" in request.url else None)
    return found


def everything_is_here(page):
    """Wait until one network of each script is in the browser."""
    page.wait_for_selector("#draw-answer[data-local]", state="attached")
    assert int(page.locator("#draw-answer").get_attribute("data-local")) >= 3


def test_without_a_connection_a_digit_a_letter_and_an_arabic_digit_are_read_also_when_it_is_opened_again(
    page, space, sent
):
    everything_is_here(page)
    page.context.set_offline(True)
    for strokes, label in ((THREE, "3"), (LETTER_R, "R")):
        draw(page, strokes)
        read(page, ANY, label)
        assert page.locator(f"{ANY} .glyph").inner_text() == label
        page.get_by_text(HERE).wait_for()
        clear(page)
    page.locator("#draw-choice .chip", has_text="Arabic digits").click()  # else it may be a V
    draw(page, ARABIC_SEVEN)
    read(page, '.reading:not(.any)[data-model$=".ahdd"]', "٧")
    assert page.locator(".bars li").count() == 10
    assert sent == []

    page.goto(f"{space.url}/?tab=draw")
    page.wait_for_selector("#draw-pad .listening .sheet")
    everything_is_here(page)
    for strokes, label in ((THREE, "3"), (LETTER_R, "R")):
        draw(page, strokes)
        read(page, ANY, label)
        page.get_by_text(HERE).wait_for()
        clear(page)
    page.context.set_offline(False)
    page.reload()
    page.get_by_label("Show why").check()
    draw(page, THREE)
    page.get_by_text("Read by the server").wait_for()


def test_a_page_asks_the_server_for_no_prediction_while_the_pen_moves_and_has_the_same_answer(page, sent):
    """The server answers before the networks are here, and explains."""
    everything_is_here(page)
    first, *rest = on_sheet(page, THREE[0])
    page.mouse.move(*first)
    page.mouse.down()
    for point in rest:
        page.mouse.move(*point, steps=4)
    read(page, ANY, "3")  # the pen is still down
    page.mouse.up()
    read(page, ANY, "3")
    assert sent == []
    page.get_by_label("Show why").check()
    page.wait_for_selector(".why img")
    page.get_by_text("Read by the server").wait_for()
    assert len(sent) == 1

    page.get_by_label("Show why").uncheck()
    clear(page)
    draw(page, LETTER_R)
    read(page, ANY, "R")
    here = page.locator("#draw-answer").inner_text()
    assert HERE in here
    page.get_by_label("Show why").check()
    page.get_by_text("Read by the server").wait_for()
    why = page.locator(".why").inner_text()
    there = page.locator("#draw-answer").inner_text().replace(why, "")
    percent = r"[\d.]+%"  # of an image whose pixels may differ a little
    assert re.sub(percent, "", there).split() == re.sub(percent, "", here.replace(HERE, "Read by the server")).split()
    for one, other in zip(re.findall(percent, there), re.findall(percent, here), strict=True):
        assert float(one[:-1]) == pytest.approx(float(other[:-1]), abs=2)


def test_on_a_phone_in_arabic_it_answers_here_as_well(visit):
    phone = visit(locale="ar", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    everything_is_here(phone)
    phone.context.set_offline(True)
    phone.locator("#draw-choice .chip", has_text="أرقام عربية").click()
    draw_by_finger(phone, ARABIC_SEVEN)
    read(phone, ".reading:not(.any)", "٧")
    phone.get_by_text("قُرئت في هذا المتصفح").wait_for()
    phone.get_by_text("الرقم 7").first.wait_for()
    assert phone.evaluate("document.documentElement.scrollWidth") == 390


def test_a_network_is_taken_from_its_page(visit, browser, tmp_path):
    page = visit("?tab=models&model=lenet5.mnist", awaited=".take .download")
    with page.expect_download() as started:
        page.locator(".take .download").click()
    taken = tmp_path / started.value.suggested_filename
    started.value.save_as(taken)
    assert taken.name == "lenet5.mnist.html"
    assert page.request.get(f"{page.url.partition('?')[0]}networks/lenet6.mnist.html").status == 400
    context = browser.new_context(offline=True)
    alone = context.new_page()
    alone.goto(taken.as_uri())
    alone.wait_for_selector("[data-ready]")
    draw(alone, THREE)
    alone.wait_for_selector('.reading[data-label="3"]')
    assert "test samples" in alone.locator("dl").inner_text()
    context.close()
