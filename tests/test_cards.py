"""Cards: read back by the Hub's own parsers, equal to the record, and safe against overwriting what people wrote."""

import json
import re

import pytest
import yaml
from huggingface_hub import EvalResult, ModelCard, parse_eval_result_entries
from records import made_up

from zoo import cards, reports
from zoo.hub.eval_results import eval_results
from zoo.recipes import ZOO

RESULT = made_up(
    "lenet5.mnist",
    [0.981, 0.9912, 0.99],
    recipe=ZOO.to_dict(),
    confusion=[[970, 7, 3], [2, 990, 8], [0, 1, 1019]],
    per_class=[
        {"label": str(n), "precision": 0.99, "recall": 0.98, "f1": 0.985 + n / 1000, "support": 1000} for n in range(3)
    ],
)
SCORES = {
    "metrics": {
        name: {"mean": RESULT.mean(name), "std": RESULT.spread(name), "shipped": RESULT.shipped(name)}
        for name in RESULT.seeds[0].metrics
    },
    "seeds": 3,
    "interval": [0.9893, 0.9929],
    "per_class": RESULT.per_class,
    "confusion": RESULT.confusion,
    "date": RESULT.date,
    "fingerprint": "226d568e56fefdff",
}
FACTS = {
    "model": "lenet5.mnist", "repo": "me/lenet5.mnist", "title": "LeNet-5 (LeCun et al., 1998)",
    "notes": "Two convolutions, then *three* layers.",
    "licence": "apache-2.0", "parameters": 61_706, "seed": 1, "labels": ["0", "1", "2"], "script": "latin",
    "input_shape": [28, 28, 1], "recipe": RESULT.recipe,
    "contract": {
        "height": 28, "width": 28, "channels": 1, "polarity": "ink-high", "box_height": 20, "box_width": 20,
        "aspect": "keep", "centring": "mass", "centre_x": 14.0, "centre_y": 14.0, "stroke": 2.25,
    },
    "dataset": {
        "name": "mnist", "title": "MNIST: handwritten digits", "hub_id": "ylecun/mnist",
        "repos": ["ylecun/mnist"], "revision": "77f3", "source": "LeCun, 1998", "scored": "test",
        "terms": "As its authors say.", "limits": ["Its writers are American."],
    },
    "training": {
        "samples": {"train": 55_000, "validation": 5000}, "epochs": 30, "seconds": 191.3, "commit": "c8fb",
        "versions": {"keras": "3.15.1"}, "processor": "2 cores",
        "command": "python scripts/train_all.py --only lenet5.mnist",
    },
    "files": {"model.onnx": 250_570}, "board": "http://127.0.0.1/spaces/us/handwriting-zoo",
    "figures": {"figures/right.png": "Samples", "figures/confusion.png": "Confusion"},
}  # fmt: skip


def test_the_hubs_parser_reads_the_record_back():
    card = ModelCard(cards.render(FACTS, SCORES))
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.license) == ("keras", "image-classification", "apache-2.0")
    assert (data.datasets, data.metrics, data.model_name) == (["ylecun/mnist"], ["accuracy", "f1"], "lenet5.mnist")
    results = {result.metric_type: result for result in data.eval_results}
    assert isinstance(results["accuracy"], EvalResult)
    assert results["accuracy"].metric_value == RESULT.shipped("accuracy") == 0.9912
    assert results["f1"].metric_value == RESULT.shipped("macro_f1")
    assert (results["f1"].dataset_type, results["f1"].dataset_split) == ("ylecun/mnist", "test")

    ((path, text),) = eval_results(FACTS, SCORES).items()
    assert path == ".eval_results/mnist.yaml"
    entries = {entry.task_id: entry for entry in parse_eval_result_entries(yaml.safe_load(text))}
    assert {task: entry.value for task, entry in entries.items()} == {
        "mnist_accuracy": RESULT.shipped("accuracy"), "mnist_macro_f1": RESULT.shipped("macro_f1"),
    }  # fmt: skip
    assert {entry.dataset_id for entry in entries.values()} == {"ylecun/mnist"}
    accuracy = entries["mnist_accuracy"]
    assert (accuracy.date, accuracy.dataset_revision) == (RESULT.date, "77f3")
    assert accuracy.source_url == FACTS["board"]


def test_a_reader_finds_what_a_card_is_for():
    text = cards.render(FACTS, SCORES)
    for told in (
        "LeNet-5 (LeCun et al., 1998)", "61,706 parameters, 251 kB", "**99.12%** on 3,000 test samples",
        "95% interval of the mean of 3 seeds, as on the leaderboard, is 98.93% to 99.29%",
        "| Accuracy | 99.12% | 98.74% ± 0.56 |", "mean of 3 seeds", "1 as 2: 8; 0 as 1: 7",
        "![Confusion](figures/confusion.png)", "0 is background and 255 full", "box of 20 x 20 pixels",
        "python scripts/train_all.py --only lenet5.mnist", "| label smoothing | 0.05 |", "Its writers are American.",
        "## The network\n\nTwo convolutions, then *three* layers.",
        "Most frequent mistake: 1 is predicted as 2", "As its authors say.", 'load_model("hf://me/lenet5.mnist")',
    ):  # fmt: skip
        assert told in text, told


def test_what_a_reader_must_know_stands_with_the_scores():
    scores = {**SCORES, "readings": 3, "disclosed": ["All writers are in training too."]}
    text = cards.render({**FACTS, "parameters_as_trained": 61_900}, scores)
    section = text.partition("## Scores")[2].partition("## By class")[0]
    assert "- All writers are in training too.\n" in section
    assert (
        "each seed was measured once on the test set, which has judged 2 other trainings or designs of this model."
        in section
    )
    assert "61,706 parameters (61,900 in training), 251 kB" in text
    (entries,) = eval_results(FACTS, scores).values()
    assert "versions measured on the test split: 3" in " ".join(entries.split())
    validated = {**FACTS, "dataset": {**FACTS["dataset"], "scored": "validation"}}
    assert "judged" not in cards.render(validated, scores)
    assert "judged another training or design of this model" in cards.render(FACTS, {**SCORES, "readings": 2})
    assert "judged" not in cards.render(FACTS, SCORES)


def test_a_card_of_one_seed_or_without_figures_says_no_more_than_is_known():
    scores = {**SCORES, "seeds": 1, "metrics": {"accuracy": {"mean": 0.9, "std": None, "shipped": 0.9}}}
    text = cards.render({**FACTS, "notes": "", "figures": {}, "files": {}}, scores)
    assert "±" not in text
    assert "95% interval of one seed" in text
    assert "![" not in text
    assert "Macro F1" not in text
    assert "## The network" not in text


def test_a_card_claims_no_choice_no_steps_and_no_commit_that_there_was_not():
    one = {**SCORES, "seeds": 1, "readings": 1}
    assert "These weights are seed 1, the only one; it was measured once on the test set." in cards.render(FACTS, one)
    several = "These weights are seed 1, chosen for its accuracy on validation; each seed was measured once"
    assert several in cards.render(FACTS, SCORES)
    at_once = cards.render({**FACTS, "recipe": {}}, SCORES)
    assert "Computed at once, not by epochs, in 3.2 minutes" in at_once
    assert "| setting | value |" not in at_once
    page = cards.render({**FACTS, "contract": None}, SCORES)
    assert "One view of a page of 28 x 28 numbers in" in page
    assert "one glyph at a time" not in page
    changed = cards.render({**FACTS, "training": {**FACTS["training"], "commit": "c8fb+"}}, SCORES)
    assert "`c8fb`, with changes that were not committed" in changed
    assert "Commit of the code: `c8fb`.\n" in cards.render(FACTS, SCORES)


def test_a_seal_breaks_when_anything_is_changed_but_line_ends():
    text = cards.render(FACTS, SCORES)
    assert cards.is_sealed(text)
    assert cards.is_sealed(text.replace("\n", "\r\n"))
    assert not cards.is_sealed(text.replace("99.12", "99.99", 1))
    assert not cards.is_sealed(text + "more")
    assert not cards.is_sealed("# A card")
    assert cards.render(FACTS, SCORES) == text


def test_a_figure_is_drawn_once_and_again_when_it_shows_something_else(tmp_path):
    drawn = []

    def figure(matrix):
        def draw():
            drawn.append(matrix)
            return reports.confusion(matrix, ["أ", "ب"], "a title")

        return draw

    path = reports.draw(tmp_path / "confusion.png", [1], figure([[5, 1], [0, 4]]))
    first = path.read_bytes()
    reports.draw(path, [1], figure([[5, 1], [0, 4]]))
    assert len(drawn) == 1
    reports.draw(path, [2], figure([[5, 1], [2, 4]]))
    assert len(drawn) == 2
    assert path.read_bytes() != first
    reports.draw(path, [1], figure([[5, 1], [0, 4]]))
    assert path.read_bytes() == first  # the same figure is the same file, so it is not pushed again


HOSTILE = "x\n\n## Notice\n\n<img src=//evil> [click](//evil) `sh` **bold** | 99.99% |"
PLACES = {
    "processor": ("training", "processor"), "a version": ("training", "versions", "keras"),
    "the commit": ("training", "commit"), "the command": ("training", "command"), "the title": ("title",),
    "the dataset": ("dataset", "title"), "its source": ("dataset", "source"), "a label": ("labels", 2),
    "a class": ("per_class", 2, "label"), "the fingerprint": ("fingerprint",), "the date": ("date",),
    "a setting": ("recipe", "optimizer"), "the start": ("training", "start", "model"),
    "its revision": ("training", "start", "revision"), "folds": ("folds", "held_out_by"),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_what_a_file_says_is_one_line_of_a_card(place):
    """A borrowed machine called its processor a section with a command, a link and a picture."""
    facts, scores = json.loads(json.dumps(FACTS)), json.loads(json.dumps(SCORES))
    facts["training"]["start"] = {"model": "a.mnist", "revision": "0" * 64}
    scores["folds"] = {"accuracy": {"mean": 0.9, "sd": 0.1}, "folds": [1, 2], "held_out_by": "class"}
    before = cards.render(facts, scores)
    *path, last = PLACES[place]
    values = scores if PLACES[place][0] in ("per_class", "folds", "fingerprint", "date") else facts
    for key in path:
        values = values[key]
    values[last] = HOSTILE
    _, front, card = cards.render(facts, scores).split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    assert len(card.splitlines()) == len(before.split("---\n", 2)[2].splitlines())
    shown = re.sub(r"\\.|```.*?```", "", card, flags=re.DOTALL)  # without what is escaped, and code
    assert not re.findall(r"^## Notice|<img|\[click\]|`sh`|\*\*bold|99\.99% \|", shown, re.MULTILINE)


def test_an_arabic_letter_does_not_move_the_numbers_behind_it():
    text = cards.render({**FACTS, "labels": ["أ", "ب", "ت"]}, SCORES)
    assert "\u200eب\u200e as \u200eت\u200e: 8" in text
