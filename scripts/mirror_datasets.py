"""Build the dataset repos from the original downloads, and push them.

    python scripts/mirror_datasets.py mnist=~/Downloads/mnist ahdd=~/Downloads/AHDD --dry-run
    python scripts/mirror_datasets.py optdigits               # comes with scikit-learn

Folders may hold zips, CSVs, idx files, bitmaps, a Matlab file or a dataset repo; `zoo.ingest.originals` says which. The
repos are written to runs/datasets (use it as ZOO_DATASETS) and pushed to <ZOO_NAMESPACE>/<name>.
"""

import argparse
import logging
from pathlib import Path

import cli
import cv2

from zoo import cards, data, hub, settings
from zoo.errors import DataError, ZooError
from zoo.files import replacing
from zoo.ingest import originals
from zoo.types import Json

OWNED = ("data/*", cards.CARD, "eval.yaml")


def main() -> int:
    """Run the command."""
    arguments = parse()
    cli.show_log(logging.StreamHandler())
    if not (arguments.dry_run or arguments.no_push):
        hub.require_token()
    for item in arguments.originals:
        name, _, folder = item.partition("=")
        if not folder and name != "optdigits":
            data.get(name)
            raise ZooError(f"Say where the originals of {name} are: {name}=<folder>.")
        mirror = originals.read_original(name, Path(folder).expanduser() if folder else None)
        check(mirror, arguments.as_is)
        repo = f"{arguments.namespace}/{name}"
        files = write(mirror, repo, arguments.out / name)
        print("\n".join(f"{name}: {sentence}" for sentence in mirror.done))
        if not arguments.no_push:
            done = hub.push(
                repo, files, kind="dataset", owned=OWNED, edited_card=arguments.cards,
                private=arguments.private, dry_run=arguments.dry_run,
            )  # fmt: skip
            print(f"{'would be ' if arguments.dry_run and done.differs else ''}{done}", flush=True)
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", nargs="+", metavar="name=folder", help="a dataset and its download")
    parser.add_argument("--out", type=Path, default=cli.ROOT / "runs" / "datasets", help="default: runs/datasets")
    parser.add_argument("--as-is", action="store_true", help="also mirror a copy that differs from the known one")
    parser.add_argument("--dry-run", action="store_true", help="write the repos here, print what a push would do")
    parser.add_argument("--no-push", action="store_true", help="only write the repos here")
    parser.add_argument("--private", action="store_true", help="new repos are private")
    parser.add_argument("--namespace", default=settings.namespace(), help="user or organization (%(default)s)")
    parser.add_argument(
        "--cards", choices=("refuse", "keep", "replace"), default="refuse",
        help="what to do if a card was edited on the Hub (default: refuse)",
    )  # fmt: skip
    return parser.parse_args()


def check(mirror: originals.Mirror, as_is: bool) -> None:
    """Raise DataError if a split is not the one that the records were measured on, unless that is wanted."""
    spec = data.get(mirror.name)
    for split, found in mirror.fingerprints.items():
        if found != spec.fingerprints[split] and not as_is:
            raise DataError(
                f"{mirror.name}: {split} ({len(mirror.splits[split]):,} samples) is not the known one: fingerprint "
                f"{found[:12]}…, expected {spec.fingerprints[split][:12]}…; --as-is mirrors it anyway."
            )


def write(mirror: originals.Mirror, repo: str, folder: Path) -> dict[str, Path]:
    """Write a dataset repo; return path in the repo -> file here."""
    import datasets

    spec = data.get(mirror.name)
    files = {}
    for split, samples in mirror.splits.items():
        features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(spec.labels))}
        for key, values in samples.columns.items():
            features[key] = datasets.Value("int32" if isinstance(values[0], int) else "string")
        images = [{"bytes": cv2.imencode(".png", image)[1].tobytes(), "path": None} for image in samples.images]
        columns = {"image": images, "label": samples.labels.tolist(), **samples.columns}
        path = f"data/{split}-00000-of-00001.parquet"
        with replacing(folder / path) as staged:
            datasets.Dataset.from_dict(columns, features=datasets.Features(features)).to_parquet(staged)
        files[path] = folder / path
    facts = facts_of(mirror, repo)
    for path, text in {cards.CARD: cards.render_dataset(facts), "eval.yaml": cards.eval_yaml(facts)}.items():
        with replacing(folder / path) as staged:
            staged.write_text(text, encoding="utf-8")
        files[path] = folder / path
    return files


def facts_of(mirror: originals.Mirror, repo: str) -> Json:
    """Return the facts for a dataset's card, see `cards.render_dataset`."""
    spec, original = data.get(mirror.name), originals.ORIGINALS[mirror.name]
    size = "its own size" if spec.image_shape is None else f"{spec.image_shape[0]} x {spec.image_shape[1]} pixels"
    ink = "dark ink on light paper" if spec.image_shape is None else "0 is background and 255 full ink"
    columns = {"image": f"gray PNG, {size}; {ink}", "label": f"one of {len(spec.labels)}: {' '.join(spec.labels)}"}
    known = {
        spec.group or "": original.group_is,
        "filename": "the original's name",
        **original.columns,
    }
    columns |= {key: known[key] for key in next(iter(mirror.splits.values())).columns}
    return {
        "repo": repo,
        "name": spec.name,
        "title": spec.title,
        "source": spec.source,
        "script": spec.script,
        "licence": original.licence,
        "terms": original.terms,
        "limits": original.limits,
        "done": mirror.done,
        "columns": columns,
        "splits": {
            split: {"samples": len(samples), "fingerprint": mirror.fingerprints[split]}
            for split, samples in mirror.splits.items()
        },
    }


if __name__ == "__main__":
    cli.run(main)
