"""What the board says of many rows at once: mean ranks over the datasets, and the rows that nothing beats."""

import numpy as np
import pandas as pd

from leaderboard.statistics import ranks


def overall(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network and recipe over all datasets, by mean rank; those on the most datasets come first.

    Columns: place (among the zoo's own networks, of those with rows on as many datasets as one of these has), network,
    recipe, datasets (how many), mean_rank, and the accuracy on each dataset under its name.
    """
    ranked = rows[rows["rank"].notna()]
    if ranked.empty:
        return pd.DataFrame(columns=["place", "network", "recipe", "datasets", "mean_rank"])
    network = ranked["model"].str.partition(".")[0].rename("network")
    by = ranked.groupby([network, "recipe"])
    sent = by["submitted_by"].first() != ""
    table = pd.DataFrame({"datasets": by.size(), "mean_rank": by["rank"].mean(), "sent": sent})
    accuracy = ranked.pivot_table(index=[network, "recipe"], columns="dataset", values="accuracy")
    table = table.join(accuracy).reset_index()
    table = table.sort_values(["datasets", "mean_rank", "network"], ascending=[False, True, True], ignore_index=True)
    guests = table.pop("sent").to_numpy(bool)
    complete = (table["datasets"] >= table["datasets"][~guests].max()).to_numpy()
    table.insert(0, "place", np.nan)
    table.loc[complete, "place"] = ranks(table.loc[complete, "mean_rank"].to_numpy(), guests[complete])
    return table


def pareto(rows: pd.DataFrame, cost: str) -> pd.Series:
    """Return bool, the rows on the Pareto front: none is as accurate at lower `cost`, or better at equal cost.

    Latencies compare within a run only: a row of another run than most is not on the front.
    """
    if cost == "latency":
        runs = rows.loc[rows[cost].notna(), "speed_run"]
        rows = rows.assign(latency=rows[cost].where(rows["speed_run"] == runs.mode().max()))
    known = rows[rows["accuracy"].notna() & rows[cost].notna()].sort_values([cost, "accuracy"], ascending=[True, False])
    best_before = known["accuracy"].cummax().shift(fill_value=-np.inf)
    front = known.index[known["accuracy"] > best_before]
    return pd.Series(rows.index.isin(front), index=rows.index)
