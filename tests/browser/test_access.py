"""Every tab as a person meets it who needs contrast, a screen reader, Arabic, or has only a phone."""

import pytest
from places import place_of

from leaderboard.submissions.offers import LICENCES
from zoo import data

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}
TABS = {  # address, and what is awaited
    "draw": ("?tab=draw", "#draw-pad .listening .sheet"),
    "read": ("?tab=read", "#read-files button"),
    "ranking": ("?tab=leaderboard", "#board-table tbody tr"),
    "overall": ("?tab=leaderboard&dataset=overall", ".board.overall"),
    "hands": ("?tab=leaderboard&view=hands&dataset=mnist", "#hands-table tbody tr"),
    "compare": ("?tab=leaderboard&view=compare&first=hdr_cnn.mnist&second=lenet5.mnist", "#board-pair .p"),
    "datasets": ("?tab=leaderboard&view=datasets", "#board-datasets h3"),
    "models": ("?tab=models", "#models-page .card"),
    "model": ("?tab=models&model=lenet5.mnist", "#models-page .layers"),
    "submit": ("?tab=submit", "#submit-send"),
}
VIOLATIONS = """async rules => (await axe.run(document, {resultTypes: ['violations'], ...rules})).violations
    .filter(one => ['serious', 'critical'].includes(one.impact))
    .map(one => `${one.id}: ${one.nodes.map(node => node.target.join(' ')).slice(0, 5).join(', ')}`)"""
# What has English words and none in Arabic, and is neither a name, nor code, nor marked as no sentence.
ENGLISH = """names => {
    const other = 'code, pre, script, style, textarea, title, [translate="no"], [lang="en"]', found = new Set();
    const words = text => /[a-z]{2,}/.test(text) && !/[\u0600-\u06ff]/.test(text) && !names.includes(text.trim());
    for (const one of document.querySelectorAll('.gradio-container *')) {
        if (one.closest(other)) continue;
        for (const node of one.childNodes) if (node.nodeType === 3 && words(node.nodeValue)) found.add(node.nodeValue);
        for (const name of ['aria-label', 'placeholder', 'alt', 'title'])
            if (words(one.getAttribute(name) ?? '')) found.add(`${name}: ${one.getAttribute(name)}`);
    }
    return [...found];
}"""
NAMES = [*data.DATASETS, *LICENCES, "zoo", "paper", "API", "MCP"]


def on_phone(one):
    """Whether an element is seen on a phone without scrolling to the side."""
    place = place_of(one)
    return place["x"] >= 0 and place["x"] + place["width"] <= PHONE["width"]


@pytest.mark.parametrize(
    "tab", [pytest.param(tab, marks=[] if tab in ("draw", "ranking") else [pytest.mark.slow]) for tab in TABS]
)
def test_a_tab_is_accessible_in_both_themes_and_complete_in_arabic_and_fits_a_phone(visit, axe, tab):
    page = visit(*TABS[tab], viewport=DESK)
    if tab == "submit":
        page.locator("#submit-send").click()
        page.wait_for_selector("#submit-form .field-error:visible")
    page.evaluate(axe)
    page.add_style_tag(content="* { transition: none !important; }")
    assert page.evaluate(VIOLATIONS, {}) == []
    page.evaluate("document.body.classList.add('dark')")
    assert page.evaluate(VIOLATIONS, {"runOnly": ["color-contrast"]}) == []
    page.get_by_role("button", name="العربية").click()
    page.wait_for_selector('.gradio-container[dir="rtl"]')
    assert page.evaluate(ENGLISH, NAMES) == []
    page.set_viewport_size(PHONE)
    for _ in range(2):  # Arabic, then English
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        shown = page.locator("#tabs > .tab-wrapper [role=tab]").all()
        assert len(shown) == 5
        assert all(map(on_phone, shown))
        page.locator("#language button").click()


def test_the_answer_is_read_out_and_stands_under_the_pad(visit):
    page = visit(viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator("#draw-choice").get_by_label("Arabic digits", exact=True).check()
    page.locator("#draw-pad .sheet").focus()
    for key in ("Space", *["ArrowDown"] * 10, "Space"):
        page.keyboard.press(key)
    page.wait_for_selector("#draw-answer [aria-live=polite] .reading .glyph")
    pad, answer, why = (place_of(page.locator(one).first) for one in ("#draw-pad", ".reading", "#draw-why"))
    assert 0 <= answer["y"] - pad["y"] - pad["height"] < 40
    assert why["y"] > answer["y"]
