"""Write the tables of README.md and docs, and the board's cached frame: from records, settings and measurements.

python -m scripts.chores.update_tables           write them
python -m scripts.chores.update_tables --check   exit with 1 if they are out of date
"""

import argparse
import re
import statistics
from collections.abc import Iterable, Iterator
from functools import partial

from leaderboard import disclosures, goals, precisions, reproductions, results, snapshot, table
from leaderboard.claims import claims
from scripts import cli
from scripts.bench import measurements
from zoo import data, registry, settings
from zoo.architectures import glyphnet
from zoo.errors import ZooError
from zoo.registry import GLYPH_SETS

PAGES = ("README.md", "docs/board.md", "docs/settings.md", "docs/speed.md", "docs/research/robust_training.md")
SHOWN = (
    *(f"glyphnet_{size}.mnist" for size in ("700", "5k", "10k", "100k", "300k", "1m")),
    *(f"glyphnet_100k.{dataset}" for dataset in ("ahdd", "ahcd", "unipen_letters")),
)  # in the table of precisions
SEEN = "recipe seen on the test set"
SIZES = (1_000, 10_000, 100_000, 1_000_000)  # parameters at most, the columns of the README's first table


def main() -> int:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only check whether they are up to date")
    arguments = parser.parse_args()
    if arguments.check and not snapshot.is_current(results.RECORDS):
        return 1
    if not arguments.check:
        snapshot.write(results.RECORDS)
    pages = {name: (cli.ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    updated = with_tables(pages)
    if arguments.check:
        return int(updated != pages)
    for name, text in updated.items():
        (cli.ROOT / name).write_text(text, encoding="utf-8")
    return 0


def with_tables(pages: dict[str, str]) -> dict[str, str]:
    """Return the pages with every table as the records have it; ZooError if no page has a place for a table."""
    pages = dict(pages)
    measured = {f"measured {name}": partial(measurements.markdown, name) for name in measurements.names()}
    for name, section in (SECTIONS | measured).items():
        pattern = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = next((page for page, text in pages.items() if pattern.search(text)), None)
        if page is None:
            raise ZooError(f"No page has the lines <!-- {name}: … --> and <!-- /{name} -->, between which it goes.")
        pages[page] = pattern.sub(partial(_between, section()), pages[page])
    return pages


def _between(section: str, match: re.Match[str]) -> str:
    return f"{match[1]}{section}{match[2]}"


def board() -> str:
    """Return the board as a Markdown table: every row that was measured, the columns that fit a page."""
    rows = snapshot.load(results.RECORDS)
    rows = rows[rows["status"].isin(table.MEASURED)]
    lines = [
        "| data | rank | model | accuracy % | seeds | 95% interval | wrong | macro F1 | robust % | parameters "
        "| as trained | efficiency | readings |",
        "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    known = registry.architectures()
    for row in rows.to_dict("records"):
        said = {name: "" if value != value else table.BY_NAME[name].write(value) for name, value in row.items()}
        spread = f" ± {said['accuracy_std']}" if said["accuracy_std"] else ""
        status = "‡" * bool(row["recipe_changed"])
        status += "" if row["status"] == table.VERIFIED else f" ({row['status']})"
        architecture = known.get(row["model"].partition(".")[0])
        fewer = f" of {architecture.seeds}" if architecture and row["seeds"] < architecture.seeds else ""
        if row["seeds_published"] < row["seeds"]:
            fewer += f", {said['seeds_published']} published"
        lines.append(
            f"| {row['dataset']} | {said['rank'] or '–'} | {said['model']}{status} | {said['accuracy']}{spread} "
            f"| {said['seeds']}{fewer} | {said['accuracy_low']} – {said['accuracy_high']} | {said['errors']} "
            f"| {said['macro_f1']} | {said['robustness']} | {said['parameters']} | {said['as_trained']} "
            f"| {said['efficiency_score']} | {said['readings']} ({said['network_readings']}) |"
        )
    datasets = set(rows["dataset"])
    lines += ["", f"‡ {reproductions.EARLIER}", ""]
    return "\n".join(lines) + "\n" + _disclosed(one for one in disclosures.disclosures() if one.dataset in datasets)


def _disclosed(chosen: Iterable[disclosures.Disclosure]) -> str:
    """Return what a reader of the scores must know, one line for each dataset or network."""
    lines = []
    for one in chosen:
        named = f" ({', '.join(one.networks)})" if one.networks else ""
        lines.append(f"- **{one.dataset}**{named}: {one.text}")
    return "\n".join(lines) + "\n"


def to_know() -> str:
    """Return what a reader of the README's two tables of scores must know, one line for each dataset or network."""
    shown = {(dataset, chosen.architecture) for dataset, _, chosen in best_rows()}
    shown |= {(claim.dataset, claim.network) for claim in claims() if claim.goal is not None}
    return _disclosed(
        one
        for one in disclosures.disclosures()
        if any(dataset == one.dataset and (not one.networks or name in one.networks) for dataset, name in shown)
    )


def best_rows() -> Iterator[tuple[str, int | None, results.Result]]:
    """Yield the best published row of every dataset and size (None: any), chosen on validation."""
    known = registry.architectures()
    measured = [
        row
        for row in results.read_all(results.RECORDS)
        if row.submission is None and row.published and row.recipe["name"] == "zoo" and row.architecture in known
    ]
    for dataset in data.DATASETS:
        for size in (*SIZES, None):
            fitting = [row for row in measured if size is None or row.shipped("parameters") <= size]
            chosen = goals.best_on_validation([row for row in fitting if row.dataset == dataset])
            if chosen is not None:
                yield dataset, size, chosen


def best() -> str:
    """Return the best published row of every dataset and size as a Markdown table."""
    heads = [f"≤ {size:,}" for size in SIZES] + ["any size"]
    lines = [f"| dataset | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    cells = {
        (dataset, size): f"{mean_of(chosen)} ({len(chosen.seeds)})<br>`{chosen.architecture}`"
        for dataset, size, chosen in best_rows()
    }
    for dataset in dict.fromkeys(dataset for dataset, _ in cells):
        lines.append(f"| {dataset} | {' | '.join(cells.get((dataset, size), '') for size in (*SIZES, None))} |")
    return "\n".join(lines) + "\n"


def reproduced() -> str:
    """Return the reproduced systems as a short Markdown table: published, by its recipe, and by ours."""
    rows = {(row.claim.model, row.recipe): row.result for row in reproductions.rows(results.read_all(results.RECORDS))}
    lines = ["| system | dataset | published % | its recipe % | our recipe % |", "| --- | --- | ---: | ---: | ---: |"]
    for claim in claims():
        if claim.goal is None:
            continue
        found = [rows[claim.model, recipe] for recipe in reproductions.RECIPES]
        paper, ours = (_with_seeds(one) if one else "not trained" for one in found)
        name = registry.get(claim.network).title.partition(" (")[0]
        lines.append(f"| {name} | {claim.dataset} | {100 * claim.accuracy:.2f} | {paper} | {ours} |")
    return "\n".join(lines) + "\n"


def by_document() -> str:
    """Return the reproduced systems as a Markdown table: published and measured scores."""
    lines = [
        "| system | published % | recipe | mean % ± sd | n | 95% interval | readings | goal % | |",
        "| --- | ---: | --- | ---: | ---: | --- | ---: | ---: | --- |",
    ]
    rows = snapshot.load(results.RECORDS).set_index("model")
    for row in reproductions.rows(results.read_all(results.RECORDS)):
        first = row.recipe == reproductions.RECIPES[0]
        name = f"{row.claim.network} on {row.claim.dataset}" if first else ""
        stated = f"{100 * row.claim.accuracy:.2f}" if first else ""
        if row.result is None:
            measured, verdict, seen = "not trained yet | | | ", "", ""
        else:
            low, high = (rows.loc[row.result.model, end] for end in ("accuracy_low", "accuracy_high"))
            readings = rows.loc[row.result.model, "network_readings"]
            measured = f"{mean_of(row.result)} | {len(row.result.seeds)} | {100 * low:.2f} – {100 * high:.2f} "
            measured += f"| {readings:.0f}"
            seen = SEEN * bool(readings > 1 and not first)
            verdict = verdict_on(row.missed_by or 0)
            verdict += ", beyond chance" if row.beyond(low) else ""
        lost = row.result is not None and not row.result.published
        known = disclosures.of_network(row.claim.dataset, row.claim.network) if row.result else []
        said = _said(verdict, seen, *row.lacks, table.UNPUBLISHED * lost, *known)
        lines.append(f"| {name} | {stated} | `{row.recipe}` | {measured} | {100 * row.goal:.2f} | {said} |")
    return "\n".join(lines) + "\n"


def by_network() -> str:
    """Return the small networks on every glyph dataset as a Markdown table; the best published one of each is bold."""
    measured = results.read_all(results.RECORDS)
    found = {
        (network, dataset): reproductions.find(measured, network, dataset)
        for network in reproductions.networks()
        for dataset in GLYPH_SETS
    }
    best = {
        dataset: max(
            (r.mean("accuracy") for (_, on), r in found.items() if on == dataset and r and r.published), default=None
        )
        for dataset in GLYPH_SETS
    }
    lines = [f"| network | {' | '.join(GLYPH_SETS)} |", "| --- |" + " ---: |" * len(GLYPH_SETS)]
    for network in reproductions.networks():
        cells = []
        if not any(found[network, dataset] for dataset in GLYPH_SETS):
            continue
        for dataset in GLYPH_SETS:
            result = found[network, dataset]
            text = "" if result is None else _with_seeds(result)
            cells.append(
                f"**{text}**" if result and result.published and result.mean("accuracy") == best[dataset] else text
            )
        lines.append(f"| {network} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def by_goal() -> str:
    """Return the goals of our own networks as a Markdown table: each goal and its row."""
    measured, frame = results.read_all(results.RECORDS), snapshot.load(results.RECORDS).set_index("model")
    lines = [
        "| data | goal | target % | best claimed % | best honest % | row | parameters | as trained | mean % ± sd | n "
        "| readings | |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for goal in goals.goals():
        result = goal.best(measured)
        others = (goal.known(claims(), honest) for honest in (False, True))
        known = " | ".join("–" if one is None else f"{100 * one.accuracy:.2f}" for one in others)
        said = "none has published weights | | | | | | "
        if result is not None:
            readings = frame.loc[result.model, "network_readings"]
            seen = [SEEN] * bool(readings > 1)
            seen += disclosures.of_network(result.dataset, result.architecture)
            verdict = _said(verdict_on(goal.goal - result.mean("accuracy")), *seen)
            said = f"{result.model} | {result.shipped('parameters'):,.0f} | {result.parameters_as_trained or 0:,} "
            said += f"| {mean_of(result)} | {len(result.seeds)} | {readings:.0f} | {verdict}"
        lines.append(f"| {goal.dataset} | {goal.what} | {100 * goal.goal:.2f} | {known} | {said} |")
    return "\n".join(lines) + "\n\n" + _claimed()


def _said(*parts: str) -> str:
    """Return notes as one text; some are whole sentences."""
    return "; ".join(part for part in parts if part).replace(".; ", ". ")


def _claimed() -> str:
    """Return every score that others published as a Markdown table; † marks a source that nobody can look up."""
    lines = [
        "| data | published by others | % | parameters | honest | source |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    for claim in sorted(claims(), key=lambda claim: (claim.dataset, -claim.accuracy)):
        size = "" if claim.parameters is None else f"{claim.parameters:,}"
        honest = "yes" if claim.honest else f"no: {claim.chosen}"
        source = claim.source + "†" * (not claim.source_named)
        lines.append(
            f"| {claim.dataset} | {claim.network} | {100 * claim.accuracy:.2f} | {size} | {honest} | {source} |"
        )
    unnamed = sum(not claim.source_named for claim in claims())
    told = f"† {unnamed} of these {len(claims())} scores name no source that can be checked."
    return "\n".join(lines) + f"\n\n{told}\n"


def verdict_on(short: float) -> str:
    """Return whether a goal is met, or by how many points it is missed; `short` is a fraction."""
    points = round(100 * short, 4)  # finer than one image of any test set
    decimals = 2 if points >= 0.005 else 4  # rather than a miss of 0.00
    return "met" if points <= 0 else f"missed by {points:.{decimals}f}"


def _with_seeds(result: results.Result) -> str:
    """Return a row's mean accuracy and its number of seeds; † marks a row whose weights are not published, ‡ one of an
    earlier recipe.
    """
    marks = "†" * (not result.published) + "‡" * bool(reproductions.settings_changed(result))
    return f"{mean_of(result)} ({len(result.seeds)}){marks}"


def mean_of(result: results.Result) -> str:
    """Return a row's mean accuracy in percent, with its standard deviation where there is one."""
    spread = result.spread("accuracy")
    return f"{100 * result.mean('accuracy'):.2f}" + (f" ± {100 * spread:.2f}" if spread is not None else "")


FAMILY = {  # metric: title of its column
    "accuracy": "accuracy %", "other_hands": "other hands %", "robustness": "eight corruptions %",
    "unseen_robustness": "unseen damage %", "expected_calibration_error": "ECE %",
    "unknown_accepted": "unknown accepted %",
}  # fmt: skip


def family() -> str:
    """Return the GlyphNets on every dataset as a Markdown table: means and deviations of all that says how robust they
    are.
    """
    lines = [
        f"| network | damage | n | {' | '.join(FAMILY.values())} |",
        "| --- | --- | ---: |" + " ---: |" * len(FAMILY),
    ]
    for result in sorted(results.read_all(results.RECORDS), key=lambda r: (r.dataset, r.shipped("parameters"))):
        if result.architecture in glyphnet.SIZES:
            damage = "yes" if (result.recipe.get("augmentation") or {}).get("damaged") else "no"
            cells = [spread_of(result, metric) for metric in FAMILY]
            lines.append(f"| `{result.model}` | {damage} | {len(result.seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread_of(result: results.Result, metric: str) -> str:
    """Return the mean of a metric in percent, with its standard deviation; empty where it was not measured."""
    found = [100 * seed.metrics[metric] for seed in result.seeds if metric in seed.metrics]
    spread = f" ± {statistics.stdev(found):.2f}" if len(found) > 1 else ""
    return f"{statistics.mean(found):.2f}{spread}" if found else ""


def by_precision() -> str:
    """Return a Markdown table of networks by precision and runtime, and how far the browser and C are from ONNX."""
    kept = [found for path in sorted(precisions.FOLDER.glob("*.json")) if (found := precisions.read(path.stem))]
    if not kept:
        return "Not measured yet.\n"
    shown = [found for model in SHOWN for found in kept if found.model == model]
    lines = [f"| network | weights | {' | '.join(precisions.RUNTIMES)} |", "| --- |" + " --- |" * 6]
    for found in shown:
        for precision in dict.fromkeys(row.precision for row in found.rows):
            rows = (found.row(precision, runtime) for runtime in precisions.RUNTIMES)
            cells = ("" if row is None else f"{100 * row.accuracy:.2f}, {row.bytes / 1000:,.1f}, {row.milliseconds:.3f}"
                     for row in rows)  # fmt: skip
            lines.append(f"| `{found.model}` | {precision} | {' | '.join(cells)} |")
    days, commits = _listed(found.date[:10] for found in kept), _listed(str(found.commit) for found in kept)
    said = [
        f"Measured: {days}, commit {commits}, {_listed(found.machine for found in kept)}, load "
        f"{min(found.load for found in kept):.0f} to {max(found.load for found in kept):.0f}: compare times with care.",
        *(_identical(precision, kept) for precision in ("float32", "float16")),
    ]
    return "\n".join(lines) + "\n\n" + "\n".join(said) + "\n"


def _listed(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))


def _identical(precision: str, kept: list[precisions.Precisions]) -> str:
    """Return a sentence: how many answers in a precision are not those of model.onnx, and by how much they differ."""
    rows = [(found, row) for found in kept for row in found.rows if row.precision == precision]
    compared = [(found.samples, row.others or 0, row.difference) for found, row in rows if row.difference is not None]
    answers, others = (sum(counts) for counts in list(zip(*compared, strict=True))[:2])
    runtimes = [
        name for name in precisions.RUNTIMES if any(r.runtime == name and r.others is not None for _, r in rows)
    ]
    largest = max(difference for *_, difference in compared)
    return (
        f"In {precision} ({' and '.join(runtimes)}), {others:,} of {answers:,} answers differ from those of "
        f"`model.onnx` ({len(kept)} networks, whole test sets), and no probability by more than {largest:.0e}."
    )


def on_gpu() -> str:
    """Return the rows whose shipped seed was trained on a GPU as a Markdown table: what that training took."""
    lines = ["| network | epochs | seconds | JAX | commit |", "| --- | ---: | ---: | ---: | --- |"]
    rows = [row for row in results.read_all(results.RECORDS) if "gpu" in str(row.environment.get("devices"))]
    for row in rows:
        epochs, seconds = row.of_seed(row.shipped_seed).epochs, row.shipped("training_time")
        jax, commit = row.environment["versions"].get("jax", ""), row.environment["commit"]
        lines.append(f"| `{row.model}` | {epochs} | {seconds:.0f} | {jax} | {commit} |")
    days, machines = _listed(row.date[:10] for row in rows), _listed(row.environment["processor"] for row in rows)
    return "\n".join(lines) + f"\n\nMeasured: {days}, {machines} and one GPU, the shipped seed of each row.\n"


def environment_variables() -> str:
    """Return the settings as a Markdown table."""
    lines = ["| variable | what it sets | default |", "| --- | --- | --- |"]
    lines += [f"| `{one.name}` | {one.meaning} | {one.default} |" for one in settings.SETTINGS.values()]
    return "\n".join(lines) + "\n"


SECTIONS = {
    "best": best,
    "known": to_know,
    "reproduced": reproduced,
    "board": board,
    "documents": by_document,
    "networks": by_network,
    "goals": by_goal,
    "settings": environment_variables,
    "precision": by_precision,
    "family": family,
    "gpu": on_gpu,
}

if __name__ == "__main__":
    cli.run(main)
