"""What a ranking is worth for other hands: for other writers of the same test set, and on test sets of other people.

`fill` computes the columns that need the answers of all rows of a dataset. It needs scipy: the Space reads them from
the stored board. A dataset's entry names the other test sets (`DatasetSpec.transfers`).
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from leaderboard import writers
from leaderboard.results import Result
from leaderboard.statistics import mean_interval, place_range, rank_agreement, ranks, tie_groups, worst_tenth
from zoo import data

FEWEST = 3  # rows of which two rankings are compared


@dataclass(frozen=True)
class Answers:
    """Which samples the shipped model of a row reads right.

    Attributes:
        right: bool (N,), of the test set.
        transfers: other dataset -> bool (K,), of its test set.
    """

    right: np.ndarray
    transfers: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Agreement:
    """How much the ranking of a dataset's own rows agrees with that on another test set; anybody may send others.

    Attributes:
        dataset: whose rows they are.
        other: whose test set it is.
        rows: how many ranked rows of the board's own were measured on both.
        tau: Kendall's tau of their accuracies: 1 is the same order, 0 no relation, -1 the reverse.
        low: lower end of its 95% interval.
        high: its upper end.
        clustered: whether the interval is for other writers of both sets; else it is for other samples.
    """

    dataset: str
    other: str
    rows: int
    tau: float
    low: float
    high: float
    clustered: bool


Found = Mapping[tuple[str, str], Answers]  # of a row's dataset and model


def fill(rows: pd.DataFrame, results: Iterable[Result], found: Found) -> list[Agreement]:
    """Fill in the columns of a frame that are about other hands, and return how much the rankings agree.

    Args:
        rows: the frame, with its ranks.
        results: the records of its rows.
        found: their answers, where they are stored.
    """
    pairs = [*zip(rows["dataset"], rows["model"], strict=True)]
    place = dict(zip(pairs, rows.index, strict=True))
    measured = set(itertools.compress(pairs, rows["accuracy"].notna()))  # what cannot be shown has no values
    for result in results:
        pair = result.dataset, result.model
        if pair in measured and (answers := found.get(pair)):
            for name, value in _alone(result, answers).items():
                rows.at[place[pair], name] = value
    agreements = []
    ranked = rows[rows["rank"].notna() & np.array([pair in found for pair in pairs], bool)]
    for dataset, of_it in ranked.groupby("dataset"):
        answers_of = [found[str(dataset), model] for model in of_it["model"]]
        right = [one.right for one in answers_of]
        if len({len(one) for one in right}) > 1:
            continue
        here = np.stack(right)
        by = writers.of_dataset(str(dataset), here.shape[1])
        sent = (of_it["submitted_by"] != "").to_numpy()
        rows.loc[of_it.index, ["place_first", "place_last"]] = _places(here, by, sent)
        for other in data.DATASETS[dataset].transfers if dataset in data.DATASETS else ():
            lengths = [len(one.transfers.get(other, ())) for one in answers_of]
            if not any(lengths):
                continue
            counts = Counter(filter(None, lengths))
            usual = max(counts, key=lambda length: (counts[length], length))  # most rows have the whole of it
            both = np.array(lengths) == usual
            there = [one.transfers[other] for one in itertools.compress(answers_of, both)]
            guests = sent[both]
            _rank_there(rows, of_it.index[both], other, np.stack(there), guests)
            if (~guests).sum() >= FEWEST:
                agreements.append(_agreement(str(dataset), other, here[both][~guests], np.stack(there)[~guests]))
    return agreements


def _alone(result: Result, answers: Answers) -> dict[str, float]:
    """Return the values that a row has whatever other rows there are."""
    values = {}
    by = writers.of(result)
    if by is not None:
        values["worst_tenth"] = float(answers.right[worst_tenth(answers.right, by)].mean())
    for other, right in answers.transfers.items():
        interval = mean_interval([float(right.mean())], right, writers.of_dataset(other, len(right)))
        values[f"{other}_low"], values[f"{other}_high"] = interval
    return values


def _rank_there(rows: pd.DataFrame, places: pd.Index, other: str, there: np.ndarray, guests: np.ndarray) -> None:
    """Fill in the ranks of some rows on another test set, by the board's rule, and how they differ from those here."""
    order = np.argsort(-there.sum(axis=1), kind="stable")
    groups, _ = tie_groups(there[order], writers.of_dataset(other, there.shape[1]), guests=guests[order])
    there_ranks = pd.Series(ranks(groups, guests[order]), places[order])
    here = pd.Series(ranks(rows.loc[places, "rank"].to_numpy(), guests), places)
    rows.loc[places, f"{other}_rank"] = there_ranks
    rows.loc[places, f"{other}_change"] = here - there_ranks


def _places(right: np.ndarray, by: np.ndarray | None, sent: np.ndarray) -> np.ndarray:
    """Return the first and last place of each row, int (rows, 2): of the board's own among themselves, of a row that
    somebody sent among these and itself."""
    places = np.empty((len(right), 2), int)
    if not sent.all():
        places[~sent] = np.stack(place_range(right[~sent], by), axis=1)
    for row in np.flatnonzero(sent):
        first, last = place_range(np.concatenate([right[[row]], right[~sent]]), by)
        places[row] = first[0], last[0]
    return places


def _agreement(dataset: str, other: str, here: np.ndarray, there: np.ndarray) -> Agreement:
    by, by_there = (writers.of_dataset(name, right.shape[1]) for name, right in ((dataset, here), (other, there)))
    tau, low, high = rank_agreement(here, there, by, by_there)
    return Agreement(dataset, other, len(here), tau, low, high, by is not None and by_there is not None)
