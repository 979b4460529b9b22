"""Answers of several networks are compared by the same rule on the server and in the page."""

import json
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from scripts.bench import node
from zoo.serving import by_script

LATIN, ARABIC = tuple("0125IJLOSUVZ"), tuple("٠١٢٣٤٥٦٧٨٩")


def network(labels, accepts=0.4, **chances):
    """Return a network and its answer: what is left of 1 goes to all labels alike."""
    rest = (1 - sum(chances.values())) / len(labels)
    return SimpleNamespace(labels=labels, accepts=accepts), np.array([chances.get(one, 0) + rest for one in labels])


CASES = {
    "a stroke": (network(LATIN, **{"1": 0.4, "I": 0.3, "L": 0.25}), network(ARABIC, **{"١": 0.9})),
    "an Arabic one": (network(LATIN, **{"1": 0.3, "I": 0.2}), network(ARABIC, **{"١": 0.97})),
    "a clear five": (network(LATIN, **{"5": 0.99}), network(ARABIC, 0.6, **{"٩": 0.4})),
    "five or S": (network(LATIN, **{"5": 0.6, "S": 0.35}), network(ARABIC, 0.6, **{"٩": 0.4})),
    "a circle": (network(LATIN, None, **{"0": 0.55, "O": 0.43}), network(ARABIC, **{"٥": 0.96})),
    "two answers alone": (network(tuple("0123456789"), **{"5": 0.99}), network(tuple("ABS"), **{"S": 0.9})),
    "nothing": (network(LATIN), network(ARABIC, 0.9999)),
}
RUN = """
import fs from 'node:fs';
import { certainty, choose, rivals } from './comparing.mjs';
const { cases, groups } = JSON.parse(fs.readFileSync('cases.json'));
console.log(JSON.stringify(cases.map(answers => {
  const certainties = answers.map(one => certainty(one, one.probabilities, groups));
  return [certainties, choose(certainties), answers.map(one => rivals(one.label, answers, groups))];
})));
"""


def in_python(answers):
    certainties = [float(by_script.certainty(*answer)) for answer in answers]
    known = [(one.labels, chances) for one, chances in answers]
    alike = [list(by_script.rivals(one.labels[chances.argmax()], known)) for one, chances in answers]
    return certainties, by_script.choose(certainties), alike


@pytest.mark.skipif(not (shutil.which("node") or "CI" in os.environ), reason="no Node: install nodejs")
def test_the_page_compares_as_the_server_does(tmp_path):
    shutil.copy(ROOT / "zoo/tabs/comparing.js", tmp_path / "comparing.mjs")
    cases = [
        [
            {**vars(one), "probabilities": chances.tolist(), "label": one.labels[chances.argmax()]}
            for one, chances in answers
        ]
        for answers in CASES.values()
    ]
    (tmp_path / "cases.json").write_text(json.dumps({"cases": cases, "groups": by_script.LOOK_ALIKES}))
    for name, (certainties, chosen, alike) in zip(CASES, json.loads(node.run(RUN, tmp_path)), strict=True):
        expected = in_python(CASES[name])
        assert certainties == pytest.approx(expected[0]), name
        assert (chosen, alike) == expected[1:], name


@pytest.mark.parametrize(
    ("case", "chosen", "rivals"),
    [
        ("a stroke", 0, ["I", "L", "١"]),
        ("an Arabic one", 1, ["1", "I"]),
        ("a clear five", 0, []),
        ("five or S", 0, ["S"]),
        ("a circle", 0, ["O", "٥"]),
        ("two answers alone", 0, ["S"]),
    ],
)
def test_look_alikes_count_together_and_are_named_where_they_compete(case, chosen, rivals):
    _, index, alike = in_python(CASES[case])
    assert index == chosen
    assert alike[index] == rivals
    assert in_python(CASES["nothing"])[1] is None


def test_a_page_tells_what_a_glyph_alone_does_not():
    seen = {"2": 0.9}, {"5": 0.9}, {"2": 0.9}, {"O": 0.6, "0": 0.3}, {"J": 0.9}
    rows = [network(LATIN, **chances)[1] for chances in seen]
    told = by_script.told_by_page(LATIN, np.array(rows))
    assert [LATIN[best] for best in told.argmax(axis=1)] == ["2", "5", "2", "0", "J"]
    assert told.sum(axis=1) == pytest.approx(np.ones(5))
    unsettled = np.array([rows[0], rows[4]])
    assert by_script.told_by_page(LATIN, unsettled) is unsettled
