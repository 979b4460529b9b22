"""Write the tables of README.md, and keep the board's frame (`records/board.jsonl`), from the records.

python -m scripts.chores.update_readme           write it
python -m scripts.chores.update_readme --check   exit with 1 if it is out of date
"""

import argparse
import re
from functools import partial

from leaderboard import goals, reproductions, results, snapshot, table
from scripts import cli
from zoo.errors import ZooError
from zoo.registry import GLYPH_SETS

README = cli.ROOT / "README.md"


def main() -> int:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    arguments = parser.parse_args()
    if arguments.check and not snapshot.is_current():
        return 1
    if not arguments.check:
        snapshot.write()
    text = README.read_text(encoding="utf-8")
    updated = text
    for name, section in SECTIONS.items():
        pattern = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ZooError(
                f"README.md has no lines <!-- {name}: … --> and <!-- /{name} -->, between which it is written."
            )
        updated = pattern.sub(partial(_between, section()), updated)
    if arguments.check:
        return int(text != updated)
    README.write_text(updated, encoding="utf-8")
    return 0


def _between(section: str, match: re.Match) -> str:
    return match[1] + section + match[2]


def board() -> str:
    """Return the board as a Markdown table: every row that was measured, the columns that fit a page."""
    rows = snapshot.load()
    rows = rows[rows["status"].isin([table.VERIFIED, table.STALE])]
    lines = [
        "| data | rank | model | accuracy % | 95% interval | wrong | macro F1 | robust % | parameters | efficiency |",
        "| --- | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows.to_dict("records"):
        said = {name: "" if value != value else table.BY_NAME[name].write(value) for name, value in row.items()}
        spread = f" ± {said['accuracy_std']}" if said["accuracy_std"] else ""
        stale = " (stale)" if row["status"] == table.STALE else ""
        lines.append(
            f"| {said['dataset']} | {said['rank']} | {said['model']}{stale} | {said['accuracy']}{spread} "
            f"| {said['accuracy_low']} – {said['accuracy_high']} | {said['errors']} | {said['macro_f1']} "
            f"| {said['robustness']} | {said['parameters']} | {said['efficiency_score']} |"
        )
    return "\n".join(lines) + "\n"


def beside_documents() -> str:
    """Return the systems of the seed documents as a Markdown table: what each states beside what was measured."""
    lines = [
        "| system | document % | recipe | mean % ± sd | n | 95% interval | goal % | |",
        "| --- | ---: | --- | ---: | ---: | --- | ---: | --- |",
    ]
    for row in reproductions.rows(results.read_all()):
        first = row.recipe == reproductions.RECIPES[0]
        name = f"{row.claim.network} on {row.claim.dataset}" if first else ""
        stated = f"{100 * row.claim.accuracy:.2f}" if first else ""
        if row.result is None:
            measured = "not trained yet | | "
            verdict = ""
        else:
            low, high = row.result.accuracy_interval
            measured = f"{mean_of(row.result)} | {len(row.result.seeds)} | {100 * low:.2f} – {100 * high:.2f}"
            verdict = verdict_on(row.missed_by or 0)
            verdict += ", beyond chance" if row.beyond else ""
        said = "; ".join(filter(None, [verdict, *row.lacks]))
        lines.append(f"| {name} | {stated} | `{row.recipe}` | {measured} | {100 * row.goal:.2f} | {said} |")
    return "\n".join(lines) + "\n"


def across_datasets() -> str:
    """Return the small networks on every set of glyphs as a Markdown table; the best of a set is bold."""
    measured = results.read_all()
    found = {
        (network, dataset): reproductions.find(measured, network, dataset)
        for network in reproductions.networks()
        for dataset in GLYPH_SETS
    }
    best = {
        dataset: max((r.mean("accuracy") for (_, on), r in found.items() if on == dataset and r), default=None)
        for dataset in GLYPH_SETS
    }
    lines = [f"| network | {' | '.join(GLYPH_SETS)} |", "| --- |" + " ---: |" * len(GLYPH_SETS)]
    for network in reproductions.networks():
        cells = []
        if not any(found[network, dataset] for dataset in GLYPH_SETS):
            continue
        for dataset in GLYPH_SETS:
            result = found[network, dataset]
            text = "" if result is None else f"{mean_of(result)} ({len(result.seeds)})"
            cells.append(f"**{text}**" if result and result.mean("accuracy") == best[dataset] else text)
        lines.append(f"| {network} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def beside_goals() -> str:
    """Return what our own networks are to reach as a Markdown table: each goal beside the row that serves it best."""
    measured = results.read_all()
    lines = [
        "| data | goal | test % | best known % | row | parameters | mean % ± sd | n | |",
        "| --- | --- | ---: | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for goal in goals.goals():
        result = goal.best(measured)
        said = "not trained yet | | | | "
        if result is not None:
            verdict = verdict_on(goal.goal - result.mean("accuracy"))
            said = f"{result.model} | {result.shipped('parameters'):,.0f} | {mean_of(result)} | {len(result.seeds)} "
            said += f"| {verdict}"
        lines.append(f"| {goal.dataset} | {goal.what} | {100 * goal.goal:.2f} | {goal.known} | {said} |")
    return "\n".join(lines) + "\n"


def verdict_on(short: float) -> str:
    """Return whether a goal is met, or by how many points it is missed; `short` is a fraction."""
    points = round(100 * short, 4)  # finer than one image of any test set
    decimals = 2 if points >= 0.005 else 4  # rather than a miss of 0.00
    return "met" if points <= 0 else f"missed by {points:.{decimals}f}"


def mean_of(result: results.Result) -> str:
    """Return a row's mean accuracy in percent, with its standard deviation where there is one."""
    spread = result.spread("accuracy")
    return f"{100 * result.mean('accuracy'):.2f}" + (f" ± {100 * spread:.2f}" if spread is not None else "")


SECTIONS = {"board": board, "documents": beside_documents, "networks": across_datasets, "goals": beside_goals}

if __name__ == "__main__":
    cli.run(main)
