"""The page of one model: its scores, its mistakes, how it was trained and measured, and how to load it."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from leaderboard import report_store, results, table
from leaderboard.memorization import MemorizationGap
from leaderboard.predictions import Predictions
from leaderboard.results import Broken, Result
from leaderboard.tabs import report_page
from leaderboard.tabs.charts import Axis, Line, Mark, plot
from leaderboard.tabs.markup import address, badge, esc, facts, grid, link, message, name, picture, written
from zoo import data
from zoo.cards import worst_pairs
from zoo.types import Json

KEY = ("errors", "macro_f1", "balanced_accuracy", "top2_accuracy", "robustness", "expected_calibration_error",
       "negative_log_likelihood", "parameters", "multiply_adds", "file_size", "latency", "throughput", "training_time",
       "efficiency_score")  # fmt: skip
HARDEST = 24  # pictures on the page
CONFUSIONS = 6  # that are listed


def index(rows: pd.DataFrame) -> str:
    """Return links to the pages of all measured models, by dataset, the best first."""
    known = rows[rows["status"].isin([table.VERIFIED, table.LOCAL, table.STALE])]
    if known.empty:
        return message("There are no records yet: run python scripts/train_all.py.")
    groups = []
    for dataset, found in known.groupby("dataset", sort=False):
        title = data.DATASETS[dataset].title if dataset in data.DATASETS else str(dataset)
        cards = "".join(
            link(
                f"<strong>{name(row['model'])}</strong><b>{written('accuracy', row['accuracy'])}%</b>"
                f"<small>{written('parameters', row['parameters'])} parameters{badge(row['status'])}</small>",
                css="card",
                model=row["model"],
            )
            for row in found.sort_values("accuracy", ascending=False).to_dict("records")
        )
        groups.append(f'<section><h3>{esc(title)}</h3><div class="cards">{cards}</div></section>')
    return f'<article class="page index" data-address="{esc(address(tab="models"))}">{"".join(groups)}</article>'


def page(model: str, rows: pd.DataFrame, folder: Path | None = None) -> str:
    """Return a model's page as HTML, or a message if its record is missing or broken.

    Args:
        model: its name on the board.
        rows: the frame.
        folder: of the records.
    """
    row = rows[rows["model"] == model]
    if row.empty:
        return message(f"There is no row {model!r} on the board. Choose one from the list.")
    row = row.iloc[0]
    if row["status"] == table.CLAIMED:
        return message(
            f"{model} was not measured here: its {written('claimed', row['claimed'])}% are claimed by {row['note']}."
        )
    result = results.read_record(results.path_of(model, row["dataset"], folder))
    if isinstance(result, Broken):
        return message(f"This record is broken. {result.reason}")
    predictions, kept = results.predictions(result, folder), report_store.read_report(result, folder)
    return (
        f'<article class="page" data-address="{esc(address(model=model))}">{_head(result, row)}'
        f"<section>{facts((table.BY_NAME[key].title, written(key, row[key]) or '–') for key in KEY)}</section>"
        f"{_use(result)}{_classes(result)}{_read(result, predictions, kept)}"
        f"{report_page.confidence(predictions, kept)}{_corruptions(result)}"
        f"{report_page.training(kept, result.model)}{report_page.inside(kept)}{_provenance(result)}</article>"
    )


def card(published: Path | None) -> str:
    """Return the Markdown of a published folder's card, without its front matter and pictures; "" if it has none."""
    path = None if published is None else published / "README.md"
    if path is None or not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    if text.startswith("---"):
        text = text.split("---", 2)[2]
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("![", "<img")))


def _head(result: Result, row: pd.Series) -> str:
    low, high = result.accuracy_interval
    spread = result.spread("accuracy")
    place = f"rank {written('rank', row['rank'])}" if row["rank"] == row["rank"] else "no rank"
    place += f" on {link(esc(result.dataset), dataset=result.dataset)}"
    claimed = result.claimed
    claim = f"<p>Claimed: {100 * claimed['accuracy']:.2f}% ({esc(claimed['source'])}).</p>" if claimed else ""
    stale = f'<p class="warning">Stale: {esc(result.stale)}.</p>' if result.stale else ""
    over = f" ± {100 * spread:.2f} over {len(result.seeds)} seeds" if spread is not None else ", one seed"
    return (
        f"<header><h2>{name(result.model)} {badge(row['status'])}</h2><p>{esc(result.title)}</p>"
        f'<p class="score"><strong>{100 * result.mean("accuracy"):.2f}%</strong>{over}; {place}</p>'
        f"<p>Shipped: seed {result.shipped_seed}, {100 * result.shipped('accuracy'):.2f}% of {result.samples:,} test "
        f"samples, 95% interval {100 * low:.2f} to {100 * high:.2f}; macro F1 {result.macro_f1_interval[0]:.4f} to "
        f"{result.macro_f1_interval[1]:.4f} (bootstrap).</p>{claim}{stale}</header>"
    )


def _use(result: Result) -> str:
    if result.submission:
        return _sent(result)
    load = f'from zoo import load_model, load_predictor\n\nmodel = load_model("{result.model}")  # Keras\n'
    load += f'predictor = load_predictor("{result.model}")  # ONNX Runtime'
    again = f"python scripts/measure.py {result.model} --check"
    return (
        f'<div class="pair"><section><h3>Load it</h3><pre>{esc(load)}</pre></section>'
        f'<section><h3>Measure it again</h3><pre class="again">{esc(again)}</pre>'
        "<p>It measures these weights on the test set and compares the result with this row.</p></section></div>"
    )


def _sent(result: Result) -> str:
    """Return the sender of a submission, and the command that measures it again."""
    sent = result.submission or {}
    link = f'<a href="{esc(sent["paper"])}" rel="nofollow noopener ugc">{esc(sent["paper"])}</a>'
    pairs = [
        ("Sent by", esc(sent["user"])),
        ("Trained on", esc(sent["declaration"])),
        ("Licence", esc(result.licence)),
        *([("Paper", link)] if sent["paper"].startswith(("https://", "http://")) else []),
        *([("From", esc(sent["source"]))] if sent["source"] != "upload" else []),
        *([("Drawn again", esc(MemorizationGap(**sent["memorization"]).sentence))] if "memorization" in sent else []),
        ("Submission", f'<a href="?tab=submit&amp;submission={esc(sent["id"])}">{esc(sent["id"])}</a>'),
    ]
    again = f"python scripts/evaluate_submissions.py --again {sent['id']}"
    return (
        f'<div class="pair"><section class="provenance"><h3>Submission</h3>{facts(pairs)}</section>'
        f'<section><h3>Measure it again</h3><pre class="again">{esc(again)}</pre>'
        "<p>It measures the submission in the sandbox and compares the result with this row.</p></section></div>"
    )


def _classes(result: Result) -> str:
    arabic = result.dataset in data.DATASETS and data.get(result.dataset).script == "arabic"
    lang = ' class="arabic" lang="ar"' * arabic
    labels = [f"<span{lang}>{esc(str(entry['label']))}</span>" for entry in result.per_class]
    scores = grid(
        ("class", "precision", "recall", "F1", "samples"),
        (
            (label, *(f"{entry[key]:.4f}" for key in ("precision", "recall", "f1")), f"{entry['support']:,}")
            for label, entry in zip(labels, result.per_class, strict=True)
        ),
        "classes",
    )
    scores += '<p class="quiet">Recall is also the accuracy within a class.</p>'
    return (
        f'<div class="pair"><section><h3>Class by class</h3>{scores}</section>'
        f"<section><h3>Confusion matrix</h3>{_confusion(result, labels)}"
        f"<h4>Most often</h4>{_confusions(result)}</section></div>"
    )


def _confusion(result: Result, labels: list[str]) -> str:
    matrix = np.array(result.confusion)
    worst = max(int((matrix - np.diag(np.diag(matrix))).max()), 1)
    rows = []
    for i, counts in enumerate(matrix):
        cells = "".join(
            f'<td class="hit">{count}</td>' if i == j
            else f'<td style="--share:{100 * (count / worst) ** 0.5:.0f}%">{count}</td>' if count else "<td></td>"
            for j, count in enumerate(counts)
        )  # fmt: skip
        rows.append(f'<tr><th scope="row">{labels[i]}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{label}</th>' for label in labels)
    return (
        f'<div class="scroll"><table class="confusion"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        f'<p class="quiet">Rows are the true classes, columns the predictions.</p>'
    )


def _confusions(result: Result) -> str:
    pairs = worst_pairs(result.confusion, [str(entry["label"]) for entry in result.per_class], CONFUSIONS)
    most = max((count for _, _, count in pairs), default=1)
    bars = "".join(
        f"<li><span><bdi>{esc(true)}</bdi> → <bdi>{esc(read)}</bdi></span>"
        f'<span class="track"><i style="width:{100 * count / most:.1f}%"></i></span><span>{count}</span></li>'
        for true, read, count in pairs
    )
    return f'<ul class="amounts short">{bars}</ul>' if bars else '<p class="quiet">No mistakes.</p>'


def _read(result: Result, predictions: Predictions | None, kept: report_store.Report | None) -> str:
    """Return stored samples with correct predictions, and the hardest ones."""
    if predictions is None:
        return ""
    right = ""
    if kept is not None and len(kept.right):
        shown = _pictures(result, predictions, kept.right, kept.right_images)
        right = (
            f'<section><h3>Correct predictions</h3><p class="quiet">Test samples of every class.</p>{shown}</section>'
        )
    hardest = samples(result, predictions, range(min(HARDEST, len(predictions.hardest))))
    return (
        f'{right}<section><h3>Hardest samples</h3><p class="quiet">Test samples with the lowest probability of '
        f"the true class: true class → prediction, and its confidence.</p>{hardest}</section>"
    )


def samples(result: Result, predictions: Predictions, which: Iterable[int]) -> str:
    """Return pictures of stored samples; `which` counts among the hardest."""
    which = list(which)
    return _pictures(result, predictions, predictions.hardest[which], predictions.images[which])


def _pictures(result: Result, predictions: Predictions, rows: np.ndarray, images: np.ndarray) -> str:
    labels = [str(entry["label"]) for entry in result.per_class]
    figures = []
    for sample, image in zip(map(int, rows), images, strict=True):
        truth, read = labels[predictions.labels[sample]], labels[predictions.predicted[sample]]
        alt = f"test sample {sample}: {truth} read as {read}"
        # Isolated, or Arabic letters would reverse the sides of the arrow.
        answer = f"<bdi>{esc(read)}</bdi>"
        answer = f"<b><bdi>{esc(truth)}</bdi></b> → {answer}" if truth != read else f"<b>{answer}</b>"
        caption = f"{answer} <small>{float(predictions.confidence[sample]):.0%}</small>"
        figures.append(f"<figure>{picture(image, alt)}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="samples">{"".join(figures)}</div>'


def _corruptions(result: Result) -> str:
    bars = "".join(
        f"<li><span>{esc(kind.replace('_', ' '))}</span>"
        f'<span class="track"><i style="width:{100 * score:.1f}%"></i></span><span>{100 * score:.1f}</span></li>'
        for kind, score in (("none", result.shipped("accuracy")), *result.corruptions.items())
    )
    return f'<section><h3>Accuracy under corruption, %</h3><ul class="amounts">{bars}</ul></section>'


def _provenance(result: Result) -> str:
    environment, recipe = result.environment, result.recipe
    versions = ", ".join(f"{key} {value}" for key, value in environment.get("versions", {}).items())
    speed = result.speed
    pairs = [
        ("Measured", f"{_when(result.date)} at commit {esc(str(result.evaluation_environment.get('commit')))}"),
        ("Model revision", f"<code>{esc(result.revision[:16])}</code> (SHA-256 of model.onnx)"),
        ("Dataset", f"{esc(result.dataset)}, test <code>{esc(result.dataset_fingerprint[:16])}</code>, "
                    f"training <code>{esc(result.training_fingerprint[:16])}</code>"),
        ("Chosen by", f"{esc(result.selection)}, among seeds {', '.join(str(s.seed) for s in result.seeds)}"),
        ("Recipe", esc(", ".join(f"{key} {_said(value)}" for key, value in recipe.items() if value is not None))),
        ("Trained on", esc(f"{environment['processor']}, {', '.join(environment.get('devices', []))}, at commit "
                           f"{environment.get('commit')}") if environment.get("processor") else "elsewhere"),
        ("Versions", esc(versions) or "–"),
        ("Speed", f"{esc(speed['hardware'])}; {speed['images']} single images and {speed['batches']} batches, load "
                  f"{speed['load']}, {_when(speed['date'])}; again: <code>python -m scripts.chores.measure_speed</code>"
                  if speed else "not measured yet: <code>python -m scripts.chores.measure_speed</code>"),
        ("Licence", esc(result.licence)),
    ]  # fmt: skip
    seeds = grid(
        ("seed", "validation %", "test %", "macro F1", "epochs", "shipped"),
        (
            (str(s.seed), f"{100 * s.validation_accuracy:.2f}", f"{100 * s.metrics['accuracy']:.2f}",
             f"{s.metrics['macro_f1']:.4f}", str(s.epochs), "✓" if s.seed == result.shipped_seed else "")
            for s in result.seeds
        ),
    )  # fmt: skip
    measured = [*result.history, result.summary]
    history = _over_time(measured) + grid(
        ("measured", "accuracy %", "macro F1", "seeds", "commit"),
        (
            (
                _when(h["date"]),
                f"{100 * h['accuracy']:.2f}",
                f"{h['macro_f1']:.4f}",
                str(h["seeds"]),
                esc(str(h["commit"])),
            )
            for h in measured
        ),
    )
    again = link("All models", tab="models")
    return (
        f'<section class="provenance"><h3>Provenance</h3>{facts(pairs)}</section>'
        f'<div class="pair"><section><h3>Every seed</h3>{seeds}</section>'
        f"<section><h3>This row over time</h3>{history}</section></div>"
        f"<p>{link('Compare it with another model', view='compare', first=result.model)} · {again}</p>"
    )


def _over_time(measured: list[Json]) -> str:
    """Return a plot of the accuracy of every measurement if there is more than one."""
    if len(measured) < 2:
        return ""
    days = [datetime.fromisoformat(entry["date"]).timestamp() / 86400 for entry in measured]
    scores = [100 * entry["accuracy"] for entry in measured]
    last = max(days)
    x = Axis.over("days before the last measurement", [last - day for day in days])
    marks = [
        Mark(last - day, score, (f"{score:.2f}%", entry["date"][:10]))
        for day, score, entry in zip(days, scores, measured, strict=True)
    ]
    return plot(
        x.reversed(), Axis.over("accuracy %", scores), [Line([m.x for m in marks], scores)], marks, css="curves"
    )


def _said(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {inner}" for key, inner in value.items()) + ")"
    return str(value)


def _when(date: str) -> str:
    """2026-11-21T03:35:40+00:00 -> 2026-11-21 03:35 UTC."""
    return esc(date[:16].replace("T", " ") + " UTC")
