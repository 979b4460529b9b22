"""Drawing with real pointer events, by mouse and by finger."""

from places import place_of
from strokes import ARABIC_SEVEN, FOUR, LETTER_R, SEVEN, THREE

from zoo.portable import page as page_of_a_network
from zoo.tabs import choice

ANY = ".reading.any"
LATIN = '.reading[data-model$=".mnist"]'
ARABIC = '.reading[data-model$=".ahdd"]'
LETTER = '.reading[data-model$=".unipen_letters"]'

# Notes, for every lifted pen, how long it takes until a label stands on the page; ms.
STOPWATCH = """() => {
    window.delays = [];
    let lifted = null;
    document.querySelector('#draw-pad .sheet').addEventListener('pointerup', () => lifted = performance.now(), true);
    new MutationObserver(() => {
        if (lifted === null || !document.querySelector('#draw-answer .reading .glyph')) return;
        window.delays.push(performance.now() - lifted);
        lifted = null;
    }).observe(document.querySelector('#draw-answer'), {subtree: true, childList: true});
}"""


def on_sheet(page, stroke):
    """Points of a stroke in pixels of the page, once the pad has stopped moving."""
    page.locator("#draw-pad .sheet").hover()  # waits for that
    box = place_of(page.locator("#draw-pad .sheet"))
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]


def draw(page, strokes):
    for stroke in strokes:
        first, *rest = on_sheet(page, stroke)
        page.mouse.move(*first)
        page.mouse.down()
        for point in rest:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def draw_by_finger(page, strokes):
    finger = page.context.new_cdp_session(page)

    def touch(kind, points):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]})

    for stroke in strokes:
        first, *rest = on_sheet(page, stroke)
        touch("touchStart", [first])
        for point in rest:
            touch("touchMove", [point])
        touch("touchEnd", [])


def read(page, card, label):
    """Wait until a card says a label."""
    page.wait_for_selector(f'{card}[data-label="{label}"]')


def clear(page):
    page.get_by_label("Clear the pad").click()
    page.get_by_text("nothing on the pad yet").wait_for()


def ask(page, script):
    """Say what is written."""
    page.locator("#draw-choice").get_by_label(script, exact=True).check()


def test_a_digit_drawn_by_mouse_is_read_undone_and_cleared(page):
    ask(page, "Digits")
    assert page.locator("#draw-pad .clear").is_disabled()
    draw(page, THREE)
    read(page, LATIN, "3")
    assert page.locator(f"{LATIN} .glyph").inner_text() == "3"
    assert page.locator(f"{LATIN} .bars li").count() == 10
    size = page.locator(f"{LATIN} .seen img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert size == [28, 28]
    clear(page)
    draw(page, [*SEVEN, FOUR[0]])
    page.wait_for_selector(LATIN)
    page.get_by_label("Undo the last stroke").click()
    read(page, LATIN, "7")
    clear(page)
    assert page.locator("#draw-pad .ink path").count() == 0
    draw(page, FOUR)
    read(page, LATIN, "4")


def test_anything_is_read_with_its_script_and_leads_to_the_model(page):
    draw(page, LETTER_R)
    read(page, ANY, "R")
    assert page.locator(f"{ANY} .script").inner_text() == "Letters"
    assert page.locator(f"{ANY} .asked li").count() == 3
    page.get_by_label("Clear the pad").click()
    draw(page, THREE)
    read(page, ANY, "3")
    page.locator(f"{ANY} h3 a").click()
    page.wait_for_selector("#models-page h2:visible, #models-page .notice:visible")
    assert "tab=models&model=" in page.url


def test_what_a_finger_draws_is_read_under_the_pad_and_the_page_stays_put_also_when_it_is_cleared(phone):
    """Also where there are 26 classes; and the page keeps its height when the pad is empty."""
    ask(phone, "Arabic digits")
    draw_by_finger(phone, ARABIC_SEVEN)
    read(phone, ARABIC, "٧")
    assert phone.evaluate("scrollY") == 0
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    assert place_of(phone.locator(".reading .glyph").first)["y"] < 844  # seen without scrolling
    clear(phone)
    ask(phone, "Letters")
    draw_by_finger(phone, LETTER_R)
    read(phone, LETTER, "R")
    pad, glyph = place_of(phone.locator("#draw-pad .sheet")), place_of(phone.locator(f"{LETTER} .glyph"))
    assert glyph["y"] - (pad["y"] + pad["height"]) < 100
    bars = phone.locator(f"{LETTER} .bars li:visible")
    assert bars.count() == page_of_a_network.LIKELIEST
    assert phone.locator(f"{LETTER} .bars .top").evaluate("row => getComputedStyle(row).order") == "0"
    phone.get_by_role("button", name="All 26").click()
    assert bars.count() == 26
    draw_by_finger(phone, [[(0.2, 0.9), (0.22, 0.9)]])  # another answer: all stay
    phone.get_by_role("button", name="Fewer").wait_for()
    assert bars.count() == 26
    phone.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    where = phone.evaluate("scrollY")
    assert where > 0
    phone.locator("#draw-pad .clear").evaluate("button => button.click()")
    phone.get_by_text("nothing on the pad yet").wait_for()
    phone.wait_for_timeout(300)
    assert phone.evaluate("scrollY") == where


def test_several_networks_answer_one_sketch(visit):
    page = visit("?tab=draw&model=lenet5.mnist", viewport={"width": 1280, "height": 900})
    boxes = page.locator("#draw-choice tbody input")
    assert boxes.count() == len(choice.glyph_models())
    page.wait_for_selector("#draw-choice details[open]")  # which moves the pad
    assert page.locator("#draw-choice summary .chosen").inner_text() == "lenet5.mnist"
    draw(page, THREE)
    read(page, '.reading[data-model="lenet5.mnist"]', "3")
    page.locator("#draw-choice").get_by_label("glyphnet_5k.mnist").check()
    page.wait_for_function("document.querySelectorAll('.reading').length === 2")
    ask(page, "Letters")
    page.wait_for_selector(LETTER)
    assert page.locator(".reading").count() == 1
    for script, shown in (("Letters", "letters"), ("Arabic letters", "arabic_letters"), ("Digits", "digits")):
        ask(page, script)
        chip = page.locator("#draw-choice").get_by_label(script, exact=True)
        ticked = page.locator("#draw-choice tbody input:checked").evaluate_all("boxes => boxes.map(box => box.value)")
        assert boxes.first.evaluate("box => getComputedStyle(box).appearance") != "none"  # which would hide the ticks
        assert ticked == chip.get_attribute("data-models").split()
        assert page.locator("#draw-choice summary .chosen").inner_text() == ""
        list_, table = (place_of(page.locator(f"#draw-choice {part}")) for part in (".list", f"[data-script={shown}]"))
        assert table["y"] < list_["y"] + list_["height"]


def test_the_answer_stands_there_150_ms_after_the_pen_lifts(visit):
    page = visit(viewport={"width": 1280, "height": 900}, service_workers="block")  # one would bring the networks
    ask(page, "Digits")
    page.route("**/networks/*", lambda route: route.abort())  # the server's: the browser's own is there before
    page.reload()
    page.wait_for_selector("#draw-pad .listening .sheet")
    page.evaluate(STOPWATCH)
    delays = []
    while len(delays) < 5 or (min(delays) > 150 and len(delays) < 40):  # the machine may be busy with other things
        draw(page, THREE)
        page.wait_for_function("n => window.delays.length === n", arg=len(delays) + 1)
        page.get_by_label("Clear the pad").click()
        page.wait_for_selector("#draw-answer .message")
        delays = page.evaluate("window.delays")
    print("pen lifted to label, ms:", [round(delay) for delay in delays])
    assert min(delays) <= 150  # `make bench` has the median
