"""The leaderboard as a visitor uses it, over the made-up rows of `records.write_board`."""

import json

import pytest
from places import place_of

DESK = {"viewport": {"width": 1280, "height": 900}}
PHONE, NARROW = (
    {"viewport": {"width": width, "height": height}, "has_touch": True, "is_mobile": True}
    for width, height in ((390, 844), (360, 740))
)
CELLS = """column => [...document.querySelectorAll(`#board-table tbody [data-column="${column}"]`)]
    .map(cell => cell.innerText.trim())"""
NAMES = "() => [...document.querySelectorAll('#board-table tbody th .model')].map(name => name.innerText.trim())"
OVERLAPS = """() => {
    const boxes = [...document.querySelectorAll('#board-front .label')].map(one => one.getBoundingClientRect())
        .filter(box => box.width), plot = document.querySelector('#board-front .plot').getBoundingClientRect();
    const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
    return [boxes.length, boxes.filter((a, i) => boxes.some((b, j) => i < j && !apart(a, b))
        || a.left < 0 || a.right > innerWidth).length];
}"""
MODELS = ["hdr_cnn.mnist", "mnist_cnn.mnist", "lenet5.mnist", "tiny.mnist"]


@pytest.fixture
def board(visit):
    return visit("?tab=leaderboard", "#board-table tbody tr", **DESK)


def column(page, name):
    """Cells of a column, from top to bottom."""
    return page.evaluate(CELLS, name)


def wait_for_models(page, expected):
    """Wait until the table shows these models, in this order."""
    page.wait_for_function(f"expected => ({NAMES})().join() === expected", arg=",".join(expected))


def test_it_ranks_with_ties_sorts_shows_what_is_chosen_or_broken_and_downloads(board):
    assert column(board, "rank")[:4] == ["=1", "=1", "3", "4"]
    assert board.evaluate(NAMES)[:4] == MODELS
    assert column(board, "negative_log_likelihood") == []
    board.get_by_text("Filters and columns").click()
    board.locator("#board-columns").get_by_text("NLL", exact=True).click()
    board.wait_for_selector('#board-table td[data-column="negative_log_likelihood"]')
    assert column(board, "negative_log_likelihood")[0] == "0.5000"
    head = board.locator('#board-table th[data-column="parameters"]')
    for direction in ("ascending", "descending"):  # as numbers
        head.get_by_role("button").click()
        board.wait_for_selector(f'#board-table th[data-column="parameters"][aria-sort="{direction}"]')
        counts = [int(text.replace(",", "")) for text in column(board, "parameters") if text]
        assert counts == sorted(counts, reverse=direction == "descending")
        assert counts[0] != counts[-1]
    with board.expect_download() as download:
        board.locator("#download-json").click()
    rows = json.loads(download.value.path().read_text())
    assert {row["model"] for row in rows} >= set(MODELS)
    assert download.value.suggested_filename == "leaderboard.json"
    broken = board.locator("#board-table tr.broken")
    assert broken.count() == 1
    broken.get_by_role("link").click()
    board.get_by_text("half.mnist.json: This is not a record").wait_for()


def test_it_filters_by_dataset_words_size_and_status(board):
    board.locator("#board-search textarea, #board-search input").fill("cnn mnist")
    claimed = ["branching CNN ensemble.mnist", "branching CNN.mnist"]
    wait_for_models(board, ["hdr_cnn.mnist", "mnist_cnn.mnist", *claimed])
    board.get_by_text("Filters and columns").click()
    board.locator("#board-status").get_by_text("verified").click()
    wait_for_models(board, ["hdr_cnn.mnist", "mnist_cnn.mnist"])
    board.locator("#board-search textarea, #board-search input").fill("")
    board.locator("#board-size").get_by_text("below 10,000").click()
    wait_for_models(board, ["tiny.mnist"])
    board.get_by_text("Filters and columns").click()  # closed, it still shows what it leaves out
    board.locator("#board-size").wait_for(state="hidden")
    chips = board.locator("#board-table .filters button")
    assert [text.split() for text in chips.all_inner_texts()] == [["below", "10,000", "×"], ["verified", "×"]]
    chips.first.click()
    wait_for_models(board, MODELS)
    chips.first.click()
    board.wait_for_function("() => !document.querySelector('#board-table .filters')")
    board.get_by_text("Filters and columns").click()
    board.locator("#board-size").get_by_text("below 10,000").click()
    board.locator("#board-status").get_by_text("verified").click()
    wait_for_models(board, ["tiny.mnist"])
    board.locator("#board-dataset").get_by_text("Arabic digits", exact=True).click()
    board.get_by_text("No results. Remove a filter").wait_for()


def test_a_point_of_the_front_leads_to_its_model(board):
    mark = board.locator("#board-front .mark.front").last
    mark.hover()
    assert mark.locator(".hint").is_visible()
    name = mark.locator("strong").inner_text()
    mark.click()
    board.wait_for_selector(f'.page h2:has-text("{name}")')
    assert f"model={name}" in board.url
    board.get_by_text(f"python scripts/measure.py {name} --check").wait_for()
    assert board.locator("#models-page .samples img").count() == 24
    assert board.locator("#models-page .confusion tbody tr").count() == 10


def test_deep_links_lead_to_their_place(visit):
    page = visit("?tab=leaderboard&dataset=mnist&model=lenet5.mnist", ".page .score", **PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.locator("#models-page h2").inner_text().startswith("lenet5.mnist")
    page = visit("?tab=leaderboard&dataset=ahdd", "#board-table tbody tr", **DESK)
    measured = ["resco_mini.ahdd", "lenet5.ahdd", "old.ahdd", "alexnet.ahdd"]
    claimed = ["averaged CNN ensemble", "single CNN", "VGG of 13 convolutions", "averaged CNN ensemble on validation"]
    wait_for_models(page, [*measured, *(f"{name}.ahdd" for name in claimed)])
    page = visit("?tab=leaderboard&dataset=overall&embed=1", ".board.overall", **DESK)
    assert page.locator(".masthead").is_hidden()


def test_a_model_has_one_page_with_its_report(visit):
    page = visit("?tab=models&__theme=dark", "#models-page .card", **DESK)
    assert page.locator("#models-page .card").count() == 7
    page.locator("#models-page .card", has_text="lenet5.mnist").click()
    page.wait_for_selector("#models-page .layers")
    assert "tab=models&model=lenet5.mnist" in page.url
    assert page.locator("html.dark, body.dark").count() == 1
    page.wait_for_function("""[...document.querySelectorAll('#models-page img')]
        .every(image => image.complete && image.naturalWidth > 0 && image.alt)""")
    assert page.locator("#models-page .mosaic img").count() == 2
    page.get_by_role("link", name="All models").click()
    page.wait_for_selector("#models-page .card")
    page.locator("#models-choice input").click()
    page.get_by_role("option", name="hdr_cnn.mnist").click()
    page.get_by_text("There is no report yet").wait_for()
    page.locator("#models-page").get_by_role("link", name="Compare it with another model").click()
    page.get_by_text("Choose two models").wait_for()
    assert "first=hdr_cnn.mnist" in page.url


def test_two_models_are_compared(visit):
    pair = "first=hdr_cnn.mnist&second=lenet5.mnist"
    page = visit(f"?tab=leaderboard&view=compare&{pair}&__theme=light", "#board-pair .p", **DESK)
    assert page.locator("html.dark, body.dark").count() == 0
    assert float(page.locator("#board-pair .p").inner_text()) < 0.001
    page.locator("#board-second input").click()
    page.get_by_role("option", name="mnist_cnn.mnist").click()
    page.get_by_text("do not differ significantly").wait_for()
    assert "second=mnist_cnn.mnist" in page.url


@pytest.mark.parametrize("locale", ["en", "ar"])
def test_on_a_narrow_phone_rank_model_accuracy_and_parameters_are_seen_without_scrolling(visit, locale):
    """The table scrolls, and not the page; of a front, labels stay apart also where it is wide."""
    page = visit("?tab=leaderboard", "#board-table tbody tr", **NARROW, locale=locale)
    page.locator("#board-dataset").get_by_text({"en": "Digits", "ar": "أرقام"}[locale], exact=True).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for name in ("rank", "model", "accuracy", "parameters"):
        boxes = page.locator(f'#board-table [data-column="{name}"]').all()
        for box in map(place_of, boxes[:4] if name == "parameters" else boxes):
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 360
    if locale == "en":
        for screen in (NARROW, DESK):
            page.set_viewport_size(screen["viewport"])
            shown, overlapping = page.evaluate(OVERLAPS)
            assert shown > 0
            assert overlapping == 0
    else:
        page.locator("#board-search textarea, #board-search input").fill("lenet5 mnist")
        page.locator("#board-table").get_by_text("صف واحد").wait_for()
        field = page.locator("#board-search textarea, #board-search input")
        assert field.evaluate("field => getComputedStyle(field).direction") == "rtl"
        box = place_of(field)
        assert box["x"] == pytest.approx(360 - box["x"] - box["width"], abs=1)  # no margin on one side only
