"""The card of a model, and the scores of it that the Hub shows."""

from collections.abc import Mapping, Sequence

from zoo.cards import wording
from zoo.cards.seal import sealed
from zoo.cards.wording import as_yaml, code, dataset_link, in_line, kilobytes, percent, plain, table
from zoo.published import PublishedFolder
from zoo.types import Facts, Json

WORST_PAIRS = 5  # confusions that are listed


def render(facts: Facts, scores: Facts) -> str:
    """Return the card of a model, sealed.

    Args:
        facts: what the model is. Plain JSON types:
            model, repo, title, licence, parameters, seed, labels, script; input_shape (height, width, channels);
            parameters_as_trained (None: unknown);
            notes: Markdown, the description of the network; "" if there is none;
            contract, the fields of `ink.Contract` (None: pages); recipe, those of `Recipe` (none of what is not
            trained by steps);
            dataset: name, title, hub_id (None: it is on no Hub), repos (hub_id, or those of its parts), revision
            (the commit of hub_id; None: the newest), source,
            terms (of use), limits (a list of sentences), scored (the split that scores are of, "test" or "validation");
            training: samples (train, validation), epochs, seconds, commit, versions, processor, command (to do it
            again), start (None, or model and revision of the published weights that it began with);
            board: the address of the leaderboard;
            files: path in the repo -> bytes; figures: path -> caption, only those that there are.
        scores: what it was measured at; fractions in [0, 1]:
            metrics: name -> mean, std (None for one seed), shipped (of the weights in the repo);
            readings (how many trainings or designs the test set has judged), disclosed (a list of sentences);
            seeds (how many), interval (low, high) of the mean accuracy, as on the board;
            per_class (label, precision, recall, f1, support), confusion (rows are the true classes),
            date (ISO 8601), fingerprint (of the test split);
            dont_know, None where no threshold was chosen: threshold, cost, test (coverage, accuracy);
            folds (None, or the summary of a cross-validation, see `crossvalidation.summary`).

    Both may hold more; what a card does not know is left out of it.
    """
    front = as_yaml(metadata(facts, scores), width=120)
    command = " ".join(facts["training"]["command"].replace("`", "").split())
    ours = {key: facts["dataset"][key] for key in ("terms", "limits") if key in facts["dataset"]}
    written = {
        "notes": facts["notes"],
        "dataset": {**plain(facts["dataset"]), **ours},
        "training": {**plain(facts["training"]), "command": command},
    }
    facts, scores = {**plain(facts), **written}, {**plain(scores), "disclosed": scores.get("disclosed", ())}
    sections = (
        _headline(facts, scores),
        facts["notes"] and f"## The network\n\n{facts['notes']}\n",
        _scores(facts, scores),
        _classes(facts, scores),
        _confidence(facts, scores),
        _loading(facts),
        _contract(facts),
        _training(facts, scores),
        _inside(facts),
        _limits(facts, scores),
        _licence(facts),
    )
    return sealed(f"---\n{front}---\n\n" + "\n".join(filter(None, sections)))


def metadata(facts: Facts, scores: Facts) -> Json:
    """Return a model card's front matter: the Hub's own fields, with the scores of the weights in the repo."""
    dataset = facts["dataset"]
    return {
        "license": facts["licence"],
        "library_name": "keras",
        "pipeline_tag": wording.TASK,
        "tags": ["keras", "onnx", "handwriting", facts["script"], "computer-vision"],
        **({"datasets": dataset["repos"]} if dataset["repos"] else {}),
        "metrics": [family for name, family in wording.METRICS.items() if name in scores["metrics"]],
        "model-index": [
            {
                "name": facts["model"],
                "results": [
                    {
                        "task": {"type": wording.TASK, "name": "Image classification"},
                        "dataset": {
                            "type": dataset["hub_id"] or dataset["name"],
                            "name": dataset["title"],
                            "split": dataset["scored"],
                        },
                        "metrics": [
                            {
                                "type": family,
                                "value": scores["metrics"][name]["shipped"],
                                "name": wording.METRIC_TITLES[name],
                            }
                            for name, family in wording.METRICS.items()
                            if name in scores["metrics"]
                        ],
                    }
                ],
            }
        ],
    }


def _headline(facts: Facts, scores: Facts) -> str:
    height, width, _ = facts["input_shape"]
    dataset, accuracy = facts["dataset"], scores["metrics"]["accuracy"]
    tested = sum(map(sum, scores["confusion"]))
    size = facts["files"].get(PublishedFolder.ONNX)
    weight = f", {kilobytes(size)} as ONNX" if size else ""
    seen, numbers = ("view of a page", "numbers") if facts["contract"] is None else ("image", "pixels")
    trained = facts.get("parameters_as_trained")
    before = f" ({trained:,} in training)" if trained and trained != facts["parameters"] else ""
    return "\n".join(
        [
            f"# {facts['model']}",
            "",
            f"**{facts['title']}**, trained on {dataset['title']}.",
            f"One {seen} of {height} x {width} {numbers} in, {len(facts['labels'])} probabilities out; "
            f"{facts['parameters']:,} parameters{before}{weight}.",
            "",
            f"Its accuracy is **{percent(accuracy['shipped'])}** on {tested:,} {dataset['scored']} samples. "
            f"{_interval(scores)}",
            "",
            *_figures(facts, "right", "wrong"),
        ]
    )


def _scores(facts: Facts, scores: Facts) -> str:
    rows = []
    for name, values in scores["metrics"].items():
        if name not in wording.METRIC_TITLES:
            continue
        mean = percent(values["mean"]) + (f" ± {100 * values['std']:.2f}" if values.get("std") is not None else "")
        rows.append((wording.METRIC_TITLES[name], percent(values["shipped"]), mean))
    seeds, others = scores["seeds"], scores.get("readings", 1) - 1
    trainings = "one training" if seeds == 1 else f"mean of {seeds} seeds ± standard deviation"
    chosen = "the only one" if seeds == 1 else "chosen for its accuracy on validation"
    scored = facts["dataset"]["scored"]
    read = (
        f"{'it' if seeds == 1 else 'each seed'} was measured once on the test set"
        + f", which has judged {_versions(others)}" * (others > 0)
        if scored == "test"
        else "there is no test set, so these scores are on validation samples and somewhat too high"
    )
    return "\n".join(
        [
            "## Scores",
            "",
            table((f"{scored} set", "these weights", trainings), rows, "lrr"),
            "",
            f"These weights are seed {facts['seed']}, {chosen}; {read}. "
            f"{_interval(scores)} "
            f"Measured {scores['date'][:10]} with the ONNX file on ONNX Runtime; SHA-256 of the data "
            f"{code(scores['fingerprint'][:16] + '…')}.",
            "",
            *_disclosed(scores),
            *_folds(scores.get("folds")),
        ]
    )


def _versions(count: int) -> str:
    return (
        f"{count} other trainings or designs of this model" if count > 1 else "another training or design of this model"
    )


def _interval(scores: Facts) -> str:
    """Return a sentence with the interval of the mean, which the board has too, for other writers where known."""
    low, high = scores["interval"]
    measured = "one seed" if scores["seeds"] == 1 else f"the mean of {scores['seeds']} seeds"
    return f"The 95% interval of {measured}, as on the leaderboard, is {percent(low)} to {percent(high)}."


def _disclosed(scores: Facts) -> list[str]:
    """Return what a reader of the scores must know, as a list."""
    known = scores.get("disclosed", ())
    return [*(f"- {sentence}" for sentence in known), *[""] * bool(known)]


def _folds(folds: Facts | None) -> list[str]:
    if not folds:
        return []
    accuracy, count = folds["accuracy"], len(folds["folds"])
    by = "equal shares of every class" if folds["held_out_by"] == "class" else f"whole {folds['held_out_by']}s"
    return [
        f"Cross-validation on the training data, {count} folds that hold out {by}: {percent(accuracy['mean'])} ± "
        f"{100 * accuracy['sd']:.2f} (standard deviation over the folds), of networks trained in the same way.",
        "",
    ]


def _classes(facts: Facts, scores: Facts) -> str:
    rows = [
        (row["label"], percent(row["precision"]), percent(row["recall"]), f"{row['f1']:.4f}", str(row["support"]))
        for row in scores["per_class"]
    ]
    pairs = worst_pairs(scores["confusion"], facts["labels"])
    told = "; ".join(f"{in_line(true)} as {in_line(read)}: {count}" for true, read, count in pairs) or "none"
    return "\n".join(
        [
            "## By class",
            "",
            table(("class", "precision", "recall", "F1", "samples"), rows, "lrrrr"),
            "",
            f"Most frequent confusions, true class first: {told}.",
            "",
            *_figures(facts, "classes", "confusion", "confusions"),
        ]
    )


def _confidence(facts: Facts, scores: Facts) -> str:
    known = scores.get("dont_know")
    if not known:
        return ""
    test, scored = known["test"], facts["dataset"]["scored"]
    return "\n".join(
        [
            "## When to abstain (“don’t know”)",
            "",
            f"Abstain if the probability of the predicted class is below **{known['threshold']:.3f}**. With this "
            f"threshold it answers {percent(test['coverage'])} of the {scored} samples, with an accuracy of "
            f"{percent(test['accuracy'])}. The threshold was chosen on validation, with a wrong answer as costly as "
            f"{known['cost']} abstentions; `load_predictor(…).threshold` has it.",
            "",
            *_figures(facts, "confidence", "coverage"),
        ]
    )


def worst_pairs(
    confusion: Sequence[Sequence[int]], labels: Sequence[str], most: int = WORST_PAIRS
) -> list[tuple[str, str, int]]:
    """Return the most frequent confusions: (true class, read as, how often), most frequent first."""
    pairs = [
        (labels[i], labels[j], count)
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:most]


def _loading(facts: Facts) -> str:
    repo, shape = facts["repo"], ", ".join(map(str, facts["input_shape"]))
    images = f'images = np.zeros((1, {shape}), "uint8")  # 0 is background, 255 full ink'
    return f"""## Load it

With the zoo, by name; use `@<revision>` to pin a commit:

```python
import numpy as np
from zoo import load_predictor  # load_model gives the Keras model
from zoo.published import PublishedFolder

{images}
probabilities = load_predictor("hf://{repo}")(images)
```

With Keras 3 alone, on TensorFlow, JAX or PyTorch:

```python
import keras
import numpy as np

{images}
probabilities = keras.saving.load_model("hf://{repo}").predict(images)
```

With ONNX Runtime alone:

```python
import numpy as np
import onnxruntime
from huggingface_hub import hf_hub_download

{images}
session = onnxruntime.InferenceSession(hf_hub_download("{repo}", "model.onnx"))
(probabilities,) = session.run(None, {{session.get_inputs()[0].name: images}})
```
"""


def _contract(facts: Facts) -> str:
    contract, labels = facts["contract"], " ".join(facts["labels"])
    height, width, channels = facts["input_shape"]
    if contract is None:
        return f"""## Input

- `uint8`, shape (N, {height}, {width}, {channels}), dark ink on light paper, as scanned. No scaling before it: that is
  a layer of the graph. `preprocessor_config.json` defines the views of a page and how their predictions are pooled.
- Classes, in the order of the output: {labels}
"""
    fit = {
        "keep": "scaled, aspect kept, until it touches a box of",
        "stretch": "stretched to fill a box of",
    }[contract["aspect"]]
    centre = {"mass": "center of mass", "box": "bounding box center"}[contract["centring"]]
    return f"""## Input

- `uint8`, shape (N, {height}, {width}, {channels}); **0 is background and 255 full
  ink**, upright. Do not scale it: scaling is a layer of the graph.
- A glyph {fit} {contract["box_height"]} x {contract["box_width"]} pixels, its {centre} at
  ({contract["centre_x"]:g}, {contract["centre_y"]:g}), a pen of about {contract["stroke"]:g} pixels.
- Classes, in the order of the output: {labels}

`preprocessor_config.json` has the same in machine-readable form; `zoo.ink` converts a sketch or a photo to it.
"""


def _training(facts: Facts, scores: Facts) -> str:
    dataset, training, recipe = facts["dataset"], facts["training"], facts["recipe"]
    settings = [(key.replace("_", " "), _setting(value)) for key, value in recipe.items() if value is not None]
    samples = training["samples"]
    versions = ", ".join(f"{name} {version}" for name, version in training.get("versions", {}).items())
    made = [f"on {training['processor']}" if training.get("processor") else "", versions]
    title, hub_id, start = dataset["title"], dataset["hub_id"], training.get("start")
    data = f"[{title}]({dataset_link(hub_id)})" if hub_id else title
    begun = (
        f"The training started from the weights of {start['model']} (SHA-256 {code(start['revision'][:16] + '…')}). "
        if start
        else ""
    )
    taken = f"{training['epochs']} epochs" if settings else "Computed at once, not by epochs,"
    commit, changed = training.get("commit") or "", ""
    if commit.endswith("+"):
        commit, changed = commit[:-1], ", with changes that were not committed: nobody else has them"
    return "\n".join(
        [
            "## Training",
            "",
            f"Data: {data} ({dataset['source']}); "
            f"{samples['train']:,} training samples, {samples['validation']:,} validation samples. "
            f"{begun}{taken} in {training['seconds'] / 60:.1f} minutes "
            + "; ".join(part for part in made if part)
            + ".",
            "",
            *([table(("setting", "value"), settings, "ll"), ""] if settings else []),
            *_figures(facts, "curves", "gap"),
            "This command trains it again with every seed and measures it:",
            "",
            "```sh",
            training["command"],
            "```",
            "",
            *([f"Commit of the code: {code(commit)}{changed}.", ""] if commit else []),
        ]
    )


def _inside(facts: Facts) -> str:
    figures = _figures(facts, "architecture", "filters", "maps")
    return "\n".join(["## Inside", "", *figures]) if figures else ""


def _figures(facts: Facts, *names: str) -> list[str]:
    """Return the Markdown of these figures that exist."""
    paths = {f"figures/{name}.png" for name in names} & facts["figures"].keys()
    return [f"![{facts['figures'][path]}]({path})\n" for path in facts["figures"] if path in paths]


def _limits(facts: Facts, scores: Facts) -> str:
    count = len(facts["labels"])
    pairs = worst_pairs(scores["confusion"], facts["labels"])
    weakest = min(scores["per_class"], key=lambda row: row["f1"], default=None)
    sentences = [
        f"It has {count} classes and always predicts one of them: a blank sheet, another letter or any photo also "
        "gets a prediction, sometimes with high confidence.",
        *[
            "It takes one glyph at a time, cropped and placed as above. Its accuracy on shifted, tiny, inverted or "
            "slanted glyphs is lower than the scores."
        ]
        * (facts["contract"] is not None),
        "The scores are for the writers, pens and scanners of one dataset; expect a lower accuracy on others.",
        *facts["dataset"].get("limits", ()),
    ]
    if pairs and weakest:
        true, read, _ = pairs[0]
        sentences.append(
            f"Most frequent mistake: {in_line(true)} is predicted as {in_line(read)}; "
            f"the weakest class is {in_line(weakest['label'])} (F1 {weakest['f1']:.4f})."
        )
    return "## Limits\n\n" + "\n".join(f"- {sentence}" for sentence in sentences) + "\n"


def _licence(facts: Facts) -> str:
    dataset = facts["dataset"]
    data = f" The data have their own terms: {dataset['terms']}" if dataset.get("terms") else ""
    return f"## License\n\nWeights and code: {facts['licence']}.{data} Cite: {facts['title']}; {dataset['source']}.\n"


def _setting(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_setting(inner)}" for key, inner in value.items())
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
