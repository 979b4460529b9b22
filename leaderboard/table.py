"""Make the ranked frame from results, for the board, the README, the endpoint and the downloads."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from leaderboard import disclosures, reproductions
from leaderboard.claims import Claim
from leaderboard.results import Broken, Result
from leaderboard.statistics import mean_interval, ranks, tie_groups
from zoo import data
from zoo.types import Json

RULES = 2  # version of how ranks are made of scores: kept boards of another one are computed anew
WORDS = 20  # of a search that count
FLOOR = 0.9  # least accuracy, as a fraction of the best own row's, for an efficiency rank: constants are small too
VERIFIED, LOCAL, STALE, CLAIMED, BROKEN = "verified", "local", "stale", "claimed", "broken"
UNPUBLISHED = "weights not published"
MEASURED = (VERIFIED, LOCAL, STALE, UNPUBLISHED)  # rows with a record that can be read
TRANSFERS = tuple(sorted({other for spec in data.DATASETS.values() for other in spec.transfers}))
Read = Callable[[Result], object]
log = logging.getLogger(__name__)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def _short(value: float) -> str:
    """Format with three significant digits: 1234567 -> 1.23M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _change(ranks: float) -> str:
    """Format how many ranks a row gains or loses."""
    return f"{'▲' if ranks > 0 else '▼'} {abs(ranks):g}" if ranks else "="


def _mean(metric: str) -> Read:
    return lambda r: r.score(metric)


def _speed(metric: str) -> Read:
    return lambda r: None if r.speed is None else r.speed[metric]


@dataclass(frozen=True)
class Column:
    """One column of the frame: how to compute it from a result and how to format it."""

    name: str  # in the frame
    title: str  # on the page
    value: Read
    description: str
    write: Callable[[Any], str] = str
    better: int = 0  # 1: higher is better, -1: lower is better, 0: neither
    number: bool = True
    shown: bool = False  # shown by default
    until: str = ""  # the column with the other end of the range that this one begins; one cell shows both
    interval: bool = False  # whether `<name>_low` and `<name>_high` are its 95% interval, shown below it
    end: bool = False  # whether it is an end of a range or interval
    ranks: bool = False  # whether equal values of the zoo's own rows are ties, and others are in parentheses
    choosable: bool = True  # whether a visitor may add it to the ranking


def _on_other_hands(other: str) -> tuple[Column, ...]:
    """Return the columns of another dataset's test set; `leaderboard.hands` fills all but the first."""
    return (
        Column(other, f"On “{data.heading(other)}” %", lambda r: r.transfers.get(other),
               f"Accuracy of the shipped model on the test set of “{data.heading(other)}”, which other people wrote, "
               "and its 95% interval for other samples by other writers.", _percent, 1, interval=True, choosable=False),
        *(Column(f"{other}_{end}", f"95% {end} there", lambda r: None, "An end of that interval.", _percent, 1,
                 end=True, choosable=False) for end in ("low", "high")),
        Column(f"{other}_rank", "Rank there", lambda r: None,
               f"Rank by the accuracy on “{data.heading(other)}”, by the rule of the rank, among the ranked rows that "
               "were measured on it.", "{:g}".format, -1, ranks=True, choosable=False),
        Column(f"{other}_change", "Rank change", lambda r: None,
               "How many ranks the row gains (▲) or loses (▼) there, among the same rows.", _change, 1,
               choosable=False),
    )  # fmt: skip


COLUMNS = (
    Column("rank", "Rank", lambda r: None,
           "Rank within the dataset by mean accuracy, of the zoo's rows whose weights are published. No two of these "
           "of a rank differ significantly in the paired test of the shipped models' predictions, which takes writers "
           "whole where they are known, at 5% over all pairs of them (Bonferroni). In parentheses: where a submission "
           "stands among them, 2.5 for after two of them. Submissions are not compared with each other.",
           "{:g}".format, -1, shown=True, ranks=True, choosable=False),
    Column("model", "Model", lambda r: r.model, "Network and dataset, and the recipe if it is not the zoo's own.",
           number=False, shown=True, choosable=False),
    Column("dataset", "Dataset", lambda r: r.dataset, "The dataset whose test set the scores are from.",
           data.heading, number=False),
    Column("status", "Status", lambda r: STALE if r.stale else VERIFIED if r.published else UNPUBLISHED,
           "verified: measured by us, and everyone can measure the shipped seed again; weights not published: "
           "measured by us, or by a machine that trained for us, but nobody else can; local: trained on this machine; "
           "stale: on another version of the data or a metric; claimed: published by others, not measured here; "
           "broken: the record cannot be read.",
           number=False),
    Column("accuracy", "Accuracy %", _mean("accuracy"),
           "Fraction of correct predictions on the test set: mean ± standard deviation over the seeds.", _percent, 1,
           shown=True),
    Column("accuracy_std", "± seeds", lambda r: r.spread("accuracy"),
           "Standard deviation of the accuracy over the seeds, in points.", _percent, -1, choosable=False),
    Column("accuracy_low", "95% low", lambda r: None,
           "Lower end of the 95% interval of the mean accuracy over other samples, by other writers where they are "
           "known, and other seeds where there are several.", _percent, 1),
    Column("accuracy_high", "95% high", lambda r: None, "Upper end of that interval.", _percent, 1),
    Column("place_first", "Places", lambda r: None,
           "Places by accuracy that the row could have if other people had written the test set: 95%, a bootstrap of "
           "the shipped models over writers, or over samples where writers are unknown.", "{:.0f}".format, -1,
           until="place_last"),
    Column("place_last", "Last place", lambda r: None, "The last of these places.", "{:.0f}".format, -1, end=True,
           choosable=False),
    Column("worst_tenth", "Worst tenth %", lambda r: None,
           "Accuracy of the shipped model on the tenth of the writers whom it reads worst.", _percent, 1),
    Column("errors", "Errors", lambda r: r.errors, "Mistakes of the shipped model on the test set.", "{:,.0f}".format,
           -1, shown=True),
    Column("p_above", "p above", lambda r: None,
           "p-value of that test against the ranked row above, times the number of pairs of ranked rows.",
           "{:.2g}".format),
    Column("claimed", "Claimed %", lambda r: r.claimed and r.claimed["accuracy"],
           "Published accuracy of this network, often chosen on the test set and of one training.", _percent, 1),
    Column("macro_f1", "Macro F1", _mean("macro_f1"),
           "Mean over the classes of the harmonic mean of precision and recall.", "{:.4f}".format, 1, shown=True),
    Column("balanced_accuracy", "Balanced %", _mean("balanced_accuracy"), "Mean of the classes' recalls.", _percent, 1),
    Column("top2_accuracy", "Top-2 %", _mean("top2_accuracy"), "True class among the two most probable.", _percent,
           1),
    Column("expected_calibration_error", "ECE", _mean("expected_calibration_error"),
           "Expected calibration error: difference of confidence and accuracy over 15 bins.", "{:.4f}".format, -1),
    Column("negative_log_likelihood", "NLL", _mean("negative_log_likelihood"),
           "Mean of -ln p(true class), nats.", "{:.4f}".format, -1),
    Column("other_hands", "Other hands %", _mean("other_hands"),
           "Accuracy on the test sets of other people with the same labels: for “Digits”, “Digits on tablets”. The "
           "other datasets have none.", _percent, 1),
    *(column for other in TRANSFERS for column in _on_other_hands(other)),
    Column("robustness", "Robust %", _mean("robustness"),
           "Mean accuracy under eight fixed corruptions: rotation, shift, thick, thin, noise, blur, low contrast, "
           "occlusion.", _percent, 1, shown=True),
    Column("unseen_robustness", "Unseen %", _mean("unseen_robustness"),
           "Mean accuracy under fifteen kinds of damage after Mu and Gilmer, 2019. None is used in training as it is; "
           "some are stronger forms or relatives of what is.",
           _percent, 1),
    Column("unknown_accepted", "Unknown %", _mean("unknown_accepted"),
           "Fraction of characters of no class that are accepted at the threshold that accepts 99% of known ones.",
           _percent, -1),
    Column("unknown_auroc", "AUROC", _mean("unknown_auroc"),
           "How often a known character has a higher confidence than an unknown one; 0.5 is chance.",
           "{:.4f}".format, 1),
    Column("parameters", "Parameters", lambda r: int(r.means["parameters"]),
           "Numbers that the measured file stores. BatchNorm right after a linear layer is folded into it.",
           "{:,.0f}".format, -1, shown=True),
    Column("as_trained", "As trained", lambda r: r.parameters_as_trained,
           "Parameters in training, trainable or not, as Keras counts them: before BatchNorm is folded.",
           "{:,.0f}".format, -1),
    Column("multiply_adds", "Mult-adds", _mean("multiply_adds"),
           "Multiply-adds of one sample, counted in the ONNX graph: of a glyph, or of all patches of a page.", _short,
           -1, shown=True),
    Column("file_size", "Size kB", _mean("file_size"), "Size of model.onnx in kB (1,000 bytes).",
           lambda value: f"{value / 1000:,.0f}", -1),
    Column("latency", "ms / image", _speed("latency"),
           "One sample at a time, median, ONNX Runtime: a glyph, or a whole page with everything that is done to it. "
           "Only rows of one run compare, see Run. Rows without published weights have none, or that of an early run.",
           "{:.3f}".format, -1, shown=True),
    Column("throughput", "Images / s", _speed("throughput"),
           "In batches (256 glyphs, or 4 pages), median, in the same run.", "{:,.0f}".format, 1),
    Column("speed_run", "Run", lambda r: (r.speed or {}).get("date", "")[:16].replace("T", " "),
           "The run in which the speed was measured, UTC: all rows of a run on one machine, named on their "
           "pages.", number=False, shown=True),
    Column("training_time", "Training", _mean("training_time"), "Time for one seed, on hardware named on its page.",
           _duration, -1),
    Column("efficiency_score", "Efficiency", _mean("efficiency_score"),
           "Accuracy in percent divided by parameters in millions.", "{:,.1f}".format, 1),
    Column("efficiency_rank", "Eff. rank", lambda r: None,
           f"Rank by efficiency among the zoo's own rows that reach {FLOOR:.0%} of their best accuracy. In "
           "parentheses: where a submission stands among them.", "{:g}".format, -1, ranks=True),
    Column("seeds", "Seeds", lambda r: len(r.seeds), "Number of trainings; the best on validation is shipped.",
           "{:.0f}".format, 1, shown=True),
    Column("seeds_published", "Published", lambda r: r.seeds_published,
           "Trainings of the row whose weights are published: everyone can measure them again.", "{:.0f}".format, 1),
    Column("readings", "Readings", lambda r: r.readings,
           "How many trainings or designs of this row the test set has judged, with those that are disclosed: with "
           "more than one, a choice may have been made on it.", "{:.0f}".format, -1, shown=True),
    Column("network_readings", "of network", lambda r: None,
           "The same, of all rows of this architecture on this dataset.", "{:.0f}".format, -1),
    Column("recipe", "Recipe", lambda r: r.recipe["name"], "zoo: our default; paper: that of the publication.",
           number=False),
    Column("recipe_changed", "Changed since", lambda r: ", ".join(reproductions.settings_changed(r)),
           f"Settings of the recipe that are others today. {reproductions.EARLIER}", number=False),
    Column("licence", "License", lambda r: r.licence, "License of the weights.", number=False),
    Column("submitted_by", "Sent by", lambda r: r.submission["user"] if r.submission else "",
           "Who submitted it; empty for the zoo's own networks.", number=False),
    Column("date", "Measured", lambda r: r.date[:10], "When it was measured on the test set.", number=False),
    Column("note", "Note", lambda r: r.stale or "", "Source of a claim, or reason why a row is broken or stale.",
           number=False, choosable=False),
)  # fmt: skip
Right = Callable[[Result], np.ndarray | None]  # which test samples a result's model reads right, bool (N,)
Writers = Callable[[Result], np.ndarray | None]  # who wrote each test sample, int (N,); None: unknown
BY_NAME: Mapping[str, Column] = {column.name: column for column in COLUMNS}


def frame(
    results: Iterable[Result],
    right: Right = lambda result: None,
    broken: Iterable[Broken] = (),
    claims: Iterable[Claim] = (),
    writers: Writers = lambda result: None,
    may_rank: Callable[[Result], bool] = lambda result: result.published,
) -> pd.DataFrame:
    """Return one row per result, best first within each dataset, with the columns of `COLUMNS`.

    Args:
        results: the records that can be read.
        right: returns which predictions of a result's shipped model are correct, bool (N,), or None if they are not
            stored.
        broken: records that cannot be read; they have no scores and no rank. So is one of `results` that cannot be
            shown.
        claims: published scores; claims about a network without a record are rows without a rank.
        writers: returns who wrote each test sample of a result's dataset, int (N,), or None if it is unknown.
        may_rank: whether a result that compares with others has a rank.
    """
    made, broken = [], list(broken)
    for result in results:
        try:
            made.append((result, _cells(result) | _ends(interval(result, right(result), writers(result)))))
        except Exception as error:  # whatever a record says, it costs its own row
            log.warning("%s cannot be shown", result.model, exc_info=True)
            reason = f"{result.model}.json: it cannot be shown ({type(error).__name__})."
            broken.append(Broken(result.model, result.dataset, reason))
    results = [result for result, _ in made]
    rows = pd.DataFrame([cells for _, cells in made], columns=[column.name for column in COLUMNS])
    rows = rows.astype({column.name: float for column in COLUMNS if column.number})
    networks = [[result.dataset for result in results], [result.architecture for result in results]]
    recorded = pd.Series([float(result.recorded_readings) for result in results], dtype=float)
    disclosed = [float(disclosures.further_readings(result.dataset, result.architecture)) for result in results]
    rows["network_readings"] = (recorded.groupby(networks).transform("sum") if results else recorded) + disclosed
    rows["of"] = range(len(results))
    rows = rows.sort_values(["dataset", "accuracy", "parameters"], ascending=[True, False, True], ignore_index=True)
    for _, places in rows.groupby("dataset").groups.items():
        found = [results[i] for i in rows.loc[places, "of"]]
        ranked = [result.comparable and may_rank(result) for result in found]
        kept = [result for result, in_order in zip(found, ranked, strict=True) if in_order]
        _rank(rows, places[ranked], kept, right, writers)
    ours = {(r.dataset, r.architecture) for r in results} | {(b.dataset, b.model.partition(".")[0]) for b in broken}
    others: list[Json] = [
        *({"model": b.model, "dataset": b.dataset, "status": BROKEN, "note": b.reason} for b in broken),
        *(
            {"model": c.model, "dataset": c.dataset, "status": CLAIMED, "claimed": c.accuracy,
             "parameters": c.parameters, "note": c.note}
            for c in claims if (c.dataset, c.network) not in ours
        ),
    ]  # fmt: skip
    rows = rows.drop(columns="of")
    return _with(rows, others) if others else rows


def _cells(result: Result) -> dict[str, object]:
    """Return a row's values, those of numbers as floats."""
    found: dict[str, Any] = {column.name: column.value(result) for column in COLUMNS}
    for column in COLUMNS:
        value = found[column.name]
        if column.number and value is not None:
            found[column.name] = float(value)
        elif not column.number and not isinstance(value, str):
            raise TypeError(f"{column.name} is no text")
    return found


def _ends(interval: tuple[float, float]) -> dict[str, object]:
    return {"accuracy_low": interval[0], "accuracy_high": interval[1]}


def interval(result: Result, right: np.ndarray | None, writers: np.ndarray | None) -> tuple[float, float]:
    """Return the 95% interval of a row's mean accuracy; without stored predictions, of independent samples."""
    if right is None:
        right, writers = np.arange(result.samples) >= result.errors, None
    return mean_interval([seed.metrics["accuracy"] for seed in result.seeds], right, writers)


def _rank(rows: pd.DataFrame, places: pd.Index, results: list[Result], right: Right, writers: Writers) -> None:
    """Fill in the ranks and p-values of one dataset's ranked rows, best first."""
    if not results:
        return
    groups, p_values = _groups(results, right, writers)
    rows.loc[places, "p_above"] = p_values
    guests = _are_guests(results)
    rows.loc[places, "rank"] = ranks(groups, guests)
    accuracy, score = rows.loc[places, "accuracy"], rows.loc[places, "efficiency_score"]
    fit = accuracy >= FLOOR * accuracy[~guests].max()  # none where there is no own row
    rows.loc[places[fit], "efficiency_rank"] = ranks(-score[fit].to_numpy(), guests[fit])


def _are_guests(results: list[Result]) -> np.ndarray:
    """Return which rows somebody sent, bool (rows,); no rank of another row depends on them."""
    return np.array([result.submission is not None for result in results], bool)


def _groups(results: list[Result], right: Right, writers: Writers) -> tuple[np.ndarray, np.ndarray]:
    """Return group numbers and p-values against the row above; without stored predictions only equal means tie."""
    answers = [right(result) for result in results]
    groups, p_values = np.zeros(len(results), int), np.full(len(results), np.nan)
    start = 0
    while start < len(results):
        end = start + 1
        if (first := answers[start]) is not None:
            while end < len(results) and (after := answers[end]) is not None and len(after) == len(first):
                end += 1
            inner, p_values[start:end] = tie_groups(
                np.array(answers[start:end]),
                writers(results[start]),
                guests=_are_guests(results[start:end]),
            )
        else:
            inner = np.zeros(1, int)
        equal = start > 0 and results[start].mean("accuracy") == results[start - 1].mean("accuracy")
        groups[start:end] = inner + (groups[:start].max() + (not equal) if start else 0)
        start = end
    return groups, p_values


def _with(rows: pd.DataFrame, others: list[Json]) -> pd.DataFrame:
    more = pd.DataFrame(others).reindex(columns=rows.columns)
    for column in COLUMNS:
        more[column.name] = (
            more[column.name].astype(float) if column.number else more[column.name].astype(object).fillna("")
        )
    together = pd.concat([rows, more], ignore_index=True)
    return together.sort_values("dataset", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class Query:
    """Filters and order of the board."""

    dataset: str | None = None  # None: all
    search: str = ""  # words that model, recipe or note contain
    statuses: tuple[str, ...] = ()  # none: all
    recipes: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    parameters: tuple[float, float] = field(default=(0, np.inf))  # at least, below
    sort: str = "rank"
    descending: bool = False


def select(rows: pd.DataFrame, query: Query) -> pd.DataFrame:
    """Return the rows of the frame that match a query, in its order; rows without the sorted value come last."""
    keep = np.ones(len(rows), bool)
    if query.dataset is not None:
        keep &= (rows["dataset"] == query.dataset).to_numpy()
    for column, allowed in (("status", query.statuses), ("recipe", query.recipes), ("licence", query.licences)):
        if allowed:
            keep &= rows[column].isin(allowed).to_numpy()
    low, high = query.parameters
    if (low, high) != (0, np.inf):
        keep &= rows["parameters"].between(low, high, inclusive="left").to_numpy()
    found = rows[keep]
    if words := list(dict.fromkeys(query.search.lower().split()))[:WORDS]:
        text = (found["model"] + " " + found["recipe"] + " " + found["note"]).str.lower()
        matches = np.ones(len(found), bool)
        for word in words:
            matches &= text.str.contains(word, regex=False).to_numpy(bool)
        found = found[matches]
    by = [query.sort] if query.dataset or query.sort != "rank" else ["dataset", "rank"]  # ranks are within a dataset
    return found.sort_values(by, ascending=not query.descending, kind="stable", na_position="last")
