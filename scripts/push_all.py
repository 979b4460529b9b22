"""Publish models on the Hub: push every changed folder with its card to its repo in one commit.

    python scripts/push_all.py --dry-run                   print what would be done; send nothing
    python scripts/push_all.py                             every shipped model to <ZOO_NAMESPACE>/<model>
    python scripts/push_all.py --only lenet5.mnist --private --namespace me

The token is HF_TOKEN or that of `hf auth login`. You can stop it at any time; the same command continues. The
other trainings of a row go into seeds/ of its repo, as far as they are in the repository or in the runs. Cards and
figures are made from the records in runs/hub, where you can read them before they are pushed.
"""

import argparse
import logging
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import cli
from huggingface_hub import constants

from leaderboard import figures, other_seeds, report_store, reproductions, results, table, writers
from leaderboard.predictions import Predictions
from zoo import cards, data, hub, keras_weights, registry, settings
from zoo.errors import UnknownName, ZooError
from zoo.files import check_inside, read_json, replacing
from zoo.hub.eval_results import eval_results
from zoo.ingest import originals
from zoo.published import PublishedFolder
from zoo.types import Json

LICENCE = "apache-2.0"


def main() -> int:
    """Run the command; return 2 if a repo was refused or failed."""
    arguments = parse()
    cli.show_log(logging.StreamHandler())
    records = {result.model: result for result in results.read_all(arguments.records)}
    if not arguments.dry_run:
        hub.require_token()
    failed = 0
    for folder in chosen(arguments):
        repo = f"{arguments.namespace}/{folder.name}"
        try:
            files = stage(folder, repo, records, arguments.staging / folder.name, arguments.records)
            others = other_seeds.files(records[folder.name], arguments.runs)
            for seed, parts in others.items():
                files |= {f"{PublishedFolder.SEEDS}/{seed}/{name}": path for name, path in parts.items()}
            done = hub.push(
                repo, files, edited_card=arguments.cards, private=arguments.private, dry_run=arguments.dry_run
            )
            print(f"{'would be ' if arguments.dry_run and done.differs else ''}{done}", flush=True)
            if arguments.dry_run:
                print("".join(f"  {line}\n" for line in listing(done)), end="")
            elif (now := on_the_hub(records[folder.name], repo, others)) != records[folder.name]:
                results.write(now, folder=arguments.records)
        except (hub.Forbidden, hub.Unreachable):
            raise  # the others would fail for the same reason
        except ZooError as error:
            if isinstance(error, hub.CardEdited):
                print(error.diff)
            print(f"error: {error}", file=sys.stderr)
            failed += 1
    return 2 if failed else 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="models, comma-separated")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done; send nothing")
    parser.add_argument("--private", action="store_true", help="new repos are private")
    parser.add_argument(
        "--namespace",
        default=settings.namespace(),
        help="user or organization (default: ZOO_NAMESPACE: %(default)s)",
    )
    parser.add_argument(
        "--cards", choices=("refuse", "keep", "replace"), default="refuse",
        help="what to do if a card was edited on the Hub (default: refuse, with a diff)",
    )  # fmt: skip
    parser.add_argument(
        "--models", type=Path, default=settings.PRETRAINED, help="folder of published folders (default: zoo/pretrained)"
    )
    parser.add_argument(
        "--records", type=Path, default=results.RECORDS, help="folder of the records (default: leaderboard/records)"
    )
    parser.add_argument(
        "--runs", type=Path, default=cli.ROOT / "runs", help="folder of the runs, for the other seeds (default: runs)"
    )
    parser.add_argument(
        "--staging", type=Path, default=cli.ROOT / "runs" / "hub", help="folder for cards (default: runs/hub)"
    )
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> list[Path]:
    """Return the published folders to push; UnknownName lists the nearest."""
    there = {path.parent.name: path.parent for path in sorted(arguments.models.glob(f"*/{hub.MODEL_FILES[0]}"))}
    if not arguments.only:
        if not there:
            raise ZooError(f"There is no published model in {arguments.models}: train some with --ship first.")
        return list(there.values())
    names = [name.strip() for name in arguments.only.split(",") if name.strip()]
    for name in names:
        if name not in there:
            raise UnknownName("published model", name, there)
    return [there[name] for name in names]


def on_the_hub(result: results.Result, repo: str, others: Collection[int]) -> results.Result:
    """Return the row after a push: what was published nowhere is there now, and everyone can measure it again.

    Args:
        result: the row.
        repo: on the Hub.
        others: seeds of its other trainings that were pushed.
    """
    unpublished = {seed.seed for seed in result.seeds if seed.seed in others and seed.weights is None}
    seeds = other_seeds.at(result, {seed: f"hf://{repo}/{PublishedFolder.SEEDS}/{seed}" for seed in unpublished})
    return seeds if result.published else replace(seeds, weights=f"hf://{repo}")


def listing(done: hub.Push) -> Iterator[str]:
    """Yield a line a file that differs."""
    for sign, paths in (("+", done.added), ("~", done.changed), ("-", done.deleted)):
        yield from (f"{sign} {path}" for path in paths)


def stage(
    folder: Path, repo: str, records: dict[str, results.Result], staging: Path, kept: Path = results.RECORDS
) -> dict[str, Path]:
    """Make the card of a published folder; return all files of its repo, path in the repo -> file here.

    Args:
        folder: the published folder.
        repo: on the Hub.
        records: by model.
        staging: where the card and the figures are made.
        kept: the folder of the records, with their predictions and reports.
    """
    if folder.name not in records:
        raise ZooError(f"{folder.name} has no record for its card: run scripts/train_all.py.")
    result = records[folder.name]
    check_inside(folder.rglob("*"), folder)  # also of what a card is made of
    metadata = PublishedFolder(folder).metadata
    if metadata["seed"] != result.shipped_seed:
        raise ZooError(
            f"{folder.name}: the folder holds seed {metadata['seed']}, but its record is of seed {result.shipped_seed}."
        )
    files = {name: folder / name for name in (*hub.MODEL_FILES, PublishedFolder.HISTORY) if (folder / name).exists()}
    if PublishedFolder.WEIGHTS not in files:  # a repo is for everybody's Keras, which knows nothing of our files
        files[PublishedFolder.WEIGHTS] = staging / PublishedFolder.WEIGHTS
        keras_weights.restore(folder, files[PublishedFolder.WEIGHTS])
    try:
        report = report_store.keep(result, folder, kept)
    except ZooError as error:
        logging.getLogger("zoo").warning("%s: its card has no report beyond its record: %s", result.model, error)
        report = None
    drawn = figures.draw(result, staging / "figures", kept)
    facts = facts_of(folder, repo, result, {f"figures/{path.name}": caption for path, caption in drawn.items()})
    facts["files"] = {name: path.stat().st_size for name, path in files.items()}
    answers = results.predictions(result, kept)
    scores = scores_of(result, answers)
    if (folds := folder / "folds.json").exists():
        scores["folds"] = read_json(folds)
    if report is not None and answers is not None:
        scores["dont_know"] = report_store.dont_know(answers, report)
    texts = {cards.CARD: cards.render(facts, scores), **eval_results(facts, scores)}
    for name, text in texts.items():
        with replacing(staging / name) as staged:
            staged.write_text(text, encoding="utf-8")
    made = {name: staging / name for name in texts} | {f"figures/{path.name}": path for path in drawn}
    return files | made


def facts_of(folder: Path, repo: str, result: results.Result, captions: dict[str, str]) -> Json:
    """Return the facts about a model for its card, see `cards.render`."""
    published = PublishedFolder(folder)
    metadata, preprocessor, history = published.metadata, published.preprocessor, published.history
    spec = data.get(result.dataset)
    parts = [data.get(name) for name in spec.parts or (spec.name,)]
    origins = [originals.ORIGINALS[part.name] for part in parts if part.name in originals.ORIGINALS]
    repos = [part.hub_id for part in parts if part.name in originals.ORIGINALS or part.repo]
    return {
        "model": result.model,
        "repo": repo,
        "title": result.title,
        "notes": architecture.notes if (architecture := registry.architectures().get(result.architecture)) else "",
        "licence": LICENCE,
        "parameters": int(result.shipped("parameters")),
        "parameters_as_trained": result.parameters_as_trained,
        "seed": metadata["seed"],
        "labels": preprocessor["labels"],
        "script": preprocessor["script"],
        "input_shape": input_shape(folder),
        "contract": preprocessor["contract"],
        "recipe": reproductions.settings(result),
        "dataset": {
            "name": spec.name,
            "title": spec.title,
            "hub_id": repos[0] if repos and not spec.parts else None,
            "repos": repos,
            "revision": spec.revision,
            "scored": spec.scored,
            "source": spec.source,
            "terms": " ".join(dict.fromkeys(origin.terms for origin in origins)),
            "limits": [*dict.fromkeys(limit for origin in origins for limit in origin.limits)],
        },
        "training": {
            "samples": history["samples"],
            "epochs": len(history["epochs"]),
            "seconds": history["training_seconds"],
            "command": command(result, metadata),
            "start": metadata.get("start"),
            **{key: result.environment.get(key) for key in ("commit", "versions", "processor")},
        },
        "figures": captions,
        "board": f"{constants.ENDPOINT}/spaces/{settings.namespace()}/handwriting-zoo",
    }


def command(result: results.Result, metadata: Json) -> str:
    """Return the command that trains a model again."""
    if result.dataset in data.DATASETS:
        return f"python scripts/train_all.py --only {result.model}"
    start = f" --from {shlex.quote(str(metadata['start']['model']))}" if "start" in metadata else ""
    return (
        f"python scripts/train.py --data <pictures> --name {result.dataset} --architecture {result.architecture}{start}"
    )


def input_shape(folder: Path) -> tuple[int, int, int]:
    """Return height, width and channels of the images that a published folder's model takes."""
    layers = PublishedFolder(folder).config["config"]["layers"]
    return tuple(next(layer for layer in layers if layer["class_name"] == "InputLayer")["config"]["batch_shape"][1:])


def scores_of(result: results.Result, answers: Predictions | None) -> Json:
    """Return the scores of a record and its predictions for its card, see `cards.render`."""
    right = None if answers is None else answers.right
    return {
        "metrics": {
            name: {"mean": result.mean(name), "std": result.spread(name), "shipped": result.shipped(name)}
            for name in cards.METRICS
            if name in result.seeds[0].metrics
        },
        "seeds": len(result.seeds),
        "interval": table.interval(result, right, writers.of(result)),
        "readings": result.readings,
        "disclosed": reproductions.to_know(result),
        "per_class": result.per_class,
        "confusion": result.confusion,
        "date": result.date,
        "fingerprint": result.dataset_fingerprint,
    }


if __name__ == "__main__":
    cli.run(main)
