"""The trainings of a row that are not shipped: what measures each of them again is kept here, or on the Hub."""

import shutil
from dataclasses import replace
from pathlib import Path

from leaderboard import recording
from leaderboard.evaluation import revision
from leaderboard.results import Result
from zoo import hub
from zoo.files import remove, replacing
from zoo.published import PublishedFolder

KEPT = Path(__file__).parent / "seeds"  # <model>/<seed>: the files `PublishedFolder.MEASURED`
FITS = 256 * 1024  # bytes of a network whose other trainings are kept in the repository; larger ones go to the Hub


def files(result: Result, runs: Path) -> dict[int, dict[str, Path]]:
    """Return the files of a row's other trainings that are on this disk, by seed and name.

    Args:
        result: the row.
        runs: folder of the runs.
    """
    found = {}
    for seed in result.seeds:
        if seed.seed == result.shipped_seed:
            continue
        for folder in (KEPT / result.model / str(seed.seed), recording.exported(result, runs, seed.seed)):
            if PublishedFolder(folder).onnx.exists() and revision(folder) == seed.revision:
                found[seed.seed] = {name: folder / name for name in PublishedFolder.MEASURED}
                break
    return found


def keep(result: Result, runs: Path) -> Result:
    """Copy the row's other trainings into the repository if its networks are small; return the row with their places.

    Args:
        result: the row.
        runs: folder of the runs.
    """
    small = {
        seed: parts for seed, parts in files(result, runs).items() if parts[PublishedFolder.ONNX].stat().st_size <= FITS
    }
    if not small:
        remove(KEPT / result.model)
        return result
    with replacing(KEPT / result.model) as staged:
        for seed, parts in small.items():
            (staged / str(seed)).mkdir(parents=True)
            for name, path in parts.items():
                shutil.copyfile(path, staged / str(seed) / name)
    return at(result, {seed: f"leaderboard/seeds/{result.model}/{seed}" for seed in small})


def at(result: Result, places: dict[int, str]) -> Result:
    """Return the row with the places of other trainings, by seed."""
    return replace(result, seeds=[replace(seed, weights=places.get(seed.seed, seed.weights)) for seed in result.seeds])


def folder(result: Result, seed: int) -> Path | None:
    """Return the published folder of another training, fetched from the Hub if need be; None: it is not published."""
    weights = result.of_seed(seed).weights
    if weights is None or seed == result.shipped_seed:
        return None
    return hub.resolve(weights) if weights.startswith(hub.SCHEME) else KEPT / result.model / str(seed)
