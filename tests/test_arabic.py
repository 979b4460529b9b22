"""Every sentence that a visitor can meet is in the catalogue of translations; the browser tests look at the pages."""

import ast
import json
import os
import re
import shutil

import pytest
from conftest import ROOT

from leaderboard import disclosures, table
from scripts.bench.node import run
from zoo import data
from zoo.serving import by_script

CATALOGUE = json.loads((ROOT / "zoo/tabs/arabic.json").read_text(encoding="utf-8"))
COUNTED = json.loads((ROOT / "zoo/tabs/arabic_counted.json").read_text(encoding="utf-8"))
NOT_COUNTED = {  # sentences in which such a word follows something that is not its number
    "{} reads whole pages, not glyphs: choose a network of glyphs.",
    "{} reads whole pages, not sketches: use the Read tab or /read.",
    "{} calls a file or a commit {}: that is no name.",
    "The constant {} holds a part of a number, or one that does not fit its type.",
    "{} holds a whole number beyond 2^53.",
    "{} holds a number that overflows a double.",
    "A picture is a PNG, JPEG or WebP file (HEIC, AVIF, TIFF, GIF and BMP, too), an array or a PIL image; {} cannot be "
    "read as one.",
}
PATTERNS = [re.compile(".+?".join(map(re.escape, key.split("{}"))), re.DOTALL) for key in CATALOGUE]
# What answers a page: pictures and sketches, the form, the limits.
SAID = ["zoo/ink", "zoo/serving/apart.py", "zoo/serving/reading.py",
        "zoo/serving/by_script.py", "zoo/tabs/choice.py", "zoo/tabs/draw.py",
        "zoo/tabs/read.py", "zoo/gate/callers.py", "zoo/gate/limits.py", "zoo/gate/storage.py", "zoo/gate/uploads.py",
        "zoo/gate/traffic.py", "leaderboard/submissions/intake.py", "leaderboard/submissions/names.py",
        "leaderboard/submissions/holdings.py", "leaderboard/submissions/hub_models.py",
        "leaderboard/tabs/submit_form.py", "zoo/hub_transport.py"]  # fmt: skip
RAISED = {"InkError", "Unreadable", "Blank", "Spent", "ZooError", "TooMany", "NotYours", "OutOfBounds", "Busy"}
FOR_PROGRAMS = ("Send either a sketch or an image", "A contract")  # of endpoints and of networks' files


def text_of(node):
    """Return a text of the source, with {} for what is put into it; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(one.value if isinstance(one, ast.Constant) else "{}" for one in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(text_of(side) or "{}" for side in (node.left, node.right))
    return None


def sentences():
    """Yield every sentence that is raised where a page may meet it."""
    for place in SAID:
        for path in sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in RAISED:
                    yield from (text for one in node.args if (text := text_of(one)) and " " in text)


def problems():
    """Yield every sentence that the checks of a submission's file may put on its receipt."""
    folders = "leaderboard/submissions/checks", "zoo/strict"
    for path in sorted(path for folder in folders for path in (ROOT / folder).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        left = [tree]
        while left:
            node = left.pop()
            text = None if id(node) in statements else text_of(node)
            if text is None:
                left += ast.iter_child_nodes(node)
            elif re.match(r"[A-Z{`].* .*\.$", text):
                yield re.sub("`[^`]*`", "{}", text)  # code stays as it is


def translated(text):
    return any(pattern.fullmatch(text.replace("{}", "7")) for pattern in PATTERNS)


def test_translations_have_the_holes_of_their_sentences():
    assert [key for key, arabic in CATALOGUE.items() if key.count("{}") != len(re.findall("{[^}]*}", arabic))] == []
    assert [key for key, arabic in CATALOGUE.items() if not arabic.strip() or key != " ".join(key.split())] == []


def test_what_is_counted_has_every_form_and_is_nowhere_written_in_one():
    assert {noun for arabic in CATALOGUE.values() for noun in re.findall("{([^}]+)}", arabic)} == set(COUNTED)
    assert {tuple(forms) for forms in COUNTED.values()} == {("one", "two", "few", "many", "other")}
    words = {forms[form].removeprefix("{} ") for forms in COUNTED.values() for form in ("few", "many", "other")}
    written = re.compile(rf"{{}} ({'|'.join(map(re.escape, words))})(?!\w)")
    assert {key for key, arabic in CATALOGUE.items() if written.search(arabic)} == NOT_COUNTED


SEEN = {
    "1 row": "صف واحد",
    "4 rows": "4 صفوف",
    "14 rows": "14 صفًا",
    "100 of 1,204 rows \ufffc;": "100 من 1,204 صفوف \ufffc;",
    "2 hours": "ساعتين",
    "1.5 hours": "1.5 ساعة",
    "\ufffc3; writers of the test set.": "\ufffc3; كتّاب في مجموعة الاختبار.",
    "\ufffc2; writers of the test set.": "\ufffc2; كاتب في مجموعة الاختبار.",
    "validation, 0 samples": "التحقق، 0 عينة",
    "All 26": "الكل (26)",
    "Digits": "أرقام",
    "On “Digits on tablets” %": "على «أرقام على لوحات رسم» %",
    "no such sentence": None,
}


@pytest.mark.skipif(not (shutil.which("node") or "CI" in os.environ), reason="no Node: install nodejs")
def test_numbers_have_the_plural_that_arabic_has_for_them(tmp_path):
    script = (ROOT / "zoo/tabs/translation.js").read_text(encoding="utf-8")
    said = json.dumps([CATALOGUE, COUNTED, list(SEEN)])
    asked = f"const [catalogue, nouns, texts] = {said}; const arabicOf = translator(catalogue, nouns);"
    shown = "console.log(JSON.stringify(texts.map(text => arabicOf(text) ?? null)));"
    assert dict(zip(SEEN, json.loads(run(script + asked + shown, tmp_path)), strict=True)) == SEEN


@pytest.mark.parametrize("text", sorted({text for text in sentences() if not text.startswith(FOR_PROGRAMS)}))
def test_what_is_wrong_is_said_in_arabic_too(text):
    assert translated(text)


def test_what_a_file_must_change_is_said_in_arabic_too():
    assert len(found := set(problems())) > 200
    assert {text for text in found if not translated(text)} <= {
        "{} is {}."
    }  # as a pattern it would fit other sentences


def test_columns_scripts_and_datasets_are_named_in_arabic_too():
    named = [*(one for column in table.COLUMNS for one in (column.title, column.description)),
             *by_script.TITLES.values(), *(one.text for one in disclosures.disclosures()),
             *(text for spec in data.DATASETS.values() for text in (spec.title, spec.heading))]  # fmt: skip
    assert [text for text in named if not translated(text)] == [], "translate these in zoo/tabs/arabic.json"
