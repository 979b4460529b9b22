"""Reports: the pictures and figures that show what a network learned, where it errs and how far it can be trusted.

`draw` writes a figure once, and again when what it shows has changed. Everything is passed in, as arrays and plain
types; only `look`, which opens a network, needs Keras, and only drawing needs matplotlib.
"""

from zoo.reports.abstention import COST, choose_threshold, coverage, coverage_curve
from zoo.reports.comparison import compared, compared_classes, compared_parameters
from zoo.reports.inside import Inside, Pictures, look, mosaic
from zoo.reports.learning import curves, gap
from zoo.reports.pictures import architecture, filters, maps, samples
from zoo.reports.scores import classes, confidence, confusion, confusions, covered
from zoo.reports.style import DPI, draw

__all__ = [
    "COST",
    "DPI",
    "Inside",
    "Pictures",
    "architecture",
    "choose_threshold",
    "classes",
    "compared",
    "compared_classes",
    "compared_parameters",
    "confidence",
    "confusion",
    "confusions",
    "coverage",
    "coverage_curve",
    "covered",
    "curves",
    "draw",
    "filters",
    "gap",
    "look",
    "maps",
    "mosaic",
    "samples",
]
