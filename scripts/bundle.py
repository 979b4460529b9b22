"""Pack what another machine needs to train: code, datasets, the packages that it lacks, and one command.

    python scripts/bundle.py --out bundle
    python scripts/bundle.py --only alexnet.ahdd-paper,glyphnet_300k.mnist --out bundle
    python scripts/bundle.py --only lenet5.mnist --out bundle --python 3.11 --has torch,numpy,pandas --backend torch

Bring the folder to that machine, which needs no network, and run `sh run.sh` there. It reports progress, may be
stopped, and leaves its results in `results/`, in pieces of at most 15 MB. `scripts/unbundle.py results` takes them in.
Small networks leave most of a GPU idle, so several programs may share it: `--workers 8`.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import cli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from leaderboard import bundles, unknown
from zoo import data, environment, registry, training
from zoo.errors import DataError, ZooError
from zoo.files import check_inside, replacing, write_json
from zoo.trainers import Ensemble
from zoo.training import backbones

# What training, export and measuring import. TensorFlow is not among it.
NEEDED = (
    "keras", "datasets", "evaluate", "h5py", "numpy", "onnx", "onnxruntime", "opencv-python-headless", "pandas",
    "pillow", "pydantic", "rich", "scikit-learn", "scipy",
)  # fmt: skip
HAS = (  # a bare machine for deep learning; what these need themselves is there too
    "jax,torch,numpy,pandas,pyarrow,h5py,opencv-python-headless,onnx,onnxruntime,onnxscript,scipy,scikit-learn,rich,"
    "absl-py,ml-dtypes,psutil,xxhash,fsspec,huggingface_hub"
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
# What a borrowed GPU is for, in the order of its worth: what needs one, then small networks in many seeds.
WORTH = "alexnet.ahdd,alexnet.ahdd-paper,resco_mini.ahdd-paper,glyphnet_300k.mnist,glyphnet_1m.mnist,glyphnet_700.mnist"
LARGEST = 60 * 10**6  # bytes of a bundle, by default at most
RUN = """#!/bin/sh
# Trains {models}; needs no network. May be stopped: the same command goes on. MINUTES stops it by itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${{WORK:-$here/work}}
mkdir -p "$work/code" "$work/site"
tar -xzf "$here/code.tar.gz" -C "$work/code"
if ls "$here"/wheels/*.whl > /dev/null 2>&1 && [ ! -e "$work/site/.done" ]; then
  "${{PYTHON:-python3}}" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade \\
    --disable-pip-version-check --target "$work/site" "$here"/wheels/*.whl
  touch "$work/site/.done"
fi
export PYTHONPATH="$work/code:$work/site${{PYTHONPATH:+:$PYTHONPATH}}" PYTHONUNBUFFERED=1
export JAX_COMPILATION_CACHE_DIR="$work/compiled" XLA_PYTHON_CLIENT_PREALLOCATE=false  # programs share the device
export KERAS_BACKEND={backend} ZOO_DATASETS="$here/datasets" HF_HUB_OFFLINE=1 HF_DATASETS_CACHE="$work/cache"
export ZOO_WEIGHTS="$here/weights"
exec "${{PYTHON:-python3}}" "$work/code/scripts/run_bundle.py" "$here/bundle.json" --runs "$work/runs" \\
  --out "${{OUT:-$here}}/results" ${{MINUTES:+--minutes "$MINUTES"}} ${{WORKERS:+--workers "$WORKERS"}}
"""


def main() -> None:
    """Run the command."""
    arguments = parse()
    pairs = [plan(name, arguments) for name in arguments.only.split(",")]
    jobs = [job for pair in pairs for job in pair]
    for dataset in sorted({job.dataset for job in jobs}):
        data.load(dataset, "train")  # report broken data before anything is written
    with replacing(arguments.out) as staged:
        staged.mkdir()
        pack_code(staged / "code.tar.gz")
        for dataset, splits in needed_data(pair[0] for pair in pairs).items():
            copy_dataset(dataset, splits, staged / "datasets" / dataset)
        copy_backbones((pair[0] for pair in pairs), staged / "weights")
        download(missing(arguments.has.split(",")), arguments, staged / "wheels")
        write_json(
            staged / "bundle.json",
            {
                "commit": environment.commit(),
                "minutes": arguments.minutes,
                "side_by_side": arguments.side_by_side,
                "workers": arguments.workers,
                "jobs": [[job.to_dict() for job in pair] for pair in pairs],
            },
        )
        models = ", ".join(pair[0].model for pair in pairs)
        (staged / "run.sh").write_text(RUN.format(models=models, backend=arguments.backend))
        sizes = {path.name: size(path) for path in sorted(staged.iterdir())}
        if sum(sizes.values()) > arguments.most * 10**6:
            listed = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.items())
            raise ZooError(f"The bundle is larger than {arguments.most:g} MB (in MB: {listed}): name fewer pairs.")
    print(f"{len(jobs)} trainings, {sum(sizes.values()) / 1e6:.1f} MB. On the other machine: sh {arguments.out}/run.sh")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default=WORTH, help="what to train, comma-separated, in the order of its worth (%(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; one that is there is replaced")
    parser.add_argument("--seeds", type=int, help="trainings per pair (default: that of the architecture)")
    parser.add_argument("--epochs", type=int, help="maximum number of epochs; the result gets another name")
    parser.add_argument("--side-by-side", action="store_true", help="all seeds of a pair in one program (JAX)")
    parser.add_argument("--workers", type=int, default=1, help="programs that train at a time (%(default)s)")
    parser.add_argument("--backend", choices=("jax", "torch"), default="jax", help="Keras' backend (%(default)s)")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop by itself after as many (%(default)s)")
    parser.add_argument("--python", default="3.12", help="Python of the other machine (%(default)s)")
    parser.add_argument("--has", default=HAS, help='packages that it has, comma-separated, or "all" (%(default)s)')
    parser.add_argument("--most", type=float, default=LARGEST / 1e6, help="megabytes, at most (%(default)g)")
    arguments = parser.parse_args()
    if arguments.workers < 1:
        parser.error(f"--workers should be at least 1, not {arguments.workers}")
    return arguments


def plan(name: str, arguments: argparse.Namespace) -> list[training.Job]:
    """Return a pair's jobs, one a seed."""
    pair = registry.ModelName.parse(name.strip())
    architecture = registry.get(pair.architecture)
    if isinstance(architecture.trainer, Ensemble):
        raise ZooError(f"{name} is an ensemble: bundle its members, and put them together here.")
    job = training.plan(pair.architecture, pair.dataset, pair.recipe, epochs=arguments.epochs)
    return [replace(job, seed=seed) for seed in range(arguments.seeds or architecture.seeds)]


def needed_data(jobs: Iterable[training.Job]) -> dict[str, tuple[str, ...]]:
    """Return the datasets that training and measuring read, with their splits; further ones only if they are here.

    Networks whose weights travel are measured at home.
    """
    needed: dict[str, tuple[str, ...]] = {}
    for job in jobs:
        spec, both = data.get(job.dataset), ("train", "test")
        if bundles.travels(training.build(job)):
            for name in spec.parts or (job.dataset,):
                needed.setdefault(name, ("train",))
            continue
        further: dict[str, tuple[str, ...]] = dict.fromkeys(spec.transfers, ("test",))
        if unknown.for_testing(job.dataset) is not None:
            further |= {"omniglot_small": both, "unipen_symbols": ("test",)}
        for name, of_it in further.items():
            try:
                data.load(name, "test")
            except DataError:
                continue
            needed.setdefault(name, of_it)
        splits = both if spec.scored == "test" else ("train",)
        needed |= dict.fromkeys(spec.parts or (job.dataset,), splits)
    return needed


def copy_dataset(name: str, splits: tuple[str, ...], target: Path) -> None:
    """Copy the files of a dataset's splits; nothing for the one that comes with scikit-learn."""
    source = data.source_of(data.get(name))
    if not source:
        return
    location = Path(source)
    if not location.is_dir():
        raise ZooError(f"{name} is not on this disk: set ZOO_DATASETS to a folder that holds it.")
    for split in splits:
        tables = sorted(location.glob(f"**/{split}-*.parquet"))
        check_inside(tables, location)  # a bundle goes to another machine
        for path in tables:
            copy = target / path.relative_to(location)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def copy_backbones(jobs: Iterable[training.Job], target: Path) -> None:
    """Copy the ImageNet weights that trainings start from."""
    for name in sorted({job.architecture for job in jobs if job.recipe.backbone_weights == "imagenet"}):
        source = backbones.imagenet(registry.get(name))
        if source is None:
            raise ZooError(f"{name} starts from ImageNet weights: set ZOO_WEIGHTS to the folder that holds them.")
        target.mkdir(exist_ok=True)
        shutil.copyfile(source, target / source.name)


def pack_code(target: Path) -> None:
    """Write the code and what it reads, without networks and records."""

    def kept(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(item.name).parts
        left_out = {"__pycache__", "pretrained", "records", "seeds", "local_records", "bench"} & set(parts)
        item.uid = item.gid = item.mtime = 0
        return None if left_out else item

    with tarfile.open(target, "w:gz") as archive:
        for name in ("zoo", "leaderboard", "scripts"):
            archive.add(cli.ROOT / name, name, filter=kept)
        commit = target.with_name(environment.COMMIT)
        commit.write_text(environment.commit() or "")
        archive.add(commit, commit.name, filter=kept)
        commit.unlink()


def missing(has: list[str]) -> list[str]:
    """Return what the other machine lacks, "name==version" of the versions that are installed here."""
    if has == ["all"]:
        return []
    there = closure(has)
    return [f"{name}=={version(name)}" for name in sorted(closure(NEEDED) - there)]


def closure(names: Iterable[str]) -> set[str]:
    """Return packages and all that they need, as far as they are installed here."""
    found: set[str] = set()
    waiting = [canonicalize_name(name.strip()) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            asked = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue
        waiting += [
            canonicalize_name(one.name) for one in asked if not one.marker or one.marker.evaluate({"extra": ""})
        ]
    return found


def download(packages: list[str], arguments: argparse.Namespace, target: Path) -> None:
    """Fetch the wheels of packages for the other machine's Python."""
    if not packages:
        return
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", arguments.python, *platforms]
    done = subprocess.run([*command, "--dest", str(target), *packages], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ZooError(f"The wheels for Python {arguments.python} cannot be fetched: {said}")


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


if __name__ == "__main__":
    cli.run(main)
