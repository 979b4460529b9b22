"""The datasets: what they are, how a split becomes arrays, and whether it is the data that was measured on."""

from zoo.data.catalog import DATASETS, heading
from zoo.data.loading import ENTRY, NAME, SPLITS, filenames, fold, get, known_writers, load, names, source_of, stream
from zoo.data.spec import DatasetSpec, Split, fingerprint

__all__ = [
    "DATASETS",
    "ENTRY",
    "NAME",
    "SPLITS",
    "DatasetSpec",
    "Split",
    "filenames",
    "fingerprint",
    "fold",
    "get",
    "heading",
    "known_writers",
    "load",
    "names",
    "source_of",
    "stream",
]
