"""A published model that needs neither a server nor a runtime: an HTML file, a JavaScript package, a C header.

Each carries its accuracy on the full test set, as ONNX Runtime measures it with weights of the same precision.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import UnknownName, ZooError
from zoo.export.formats import measure
from zoo.files import replacing
from zoo.portable import c_header, graph, javascript, package, page
from zoo.published import PublishedFolder
from zoo.types import Json

Write = Callable[[Path, Path, str, Json], None]  # published folder, target, precision, what was measured


@dataclass(frozen=True)
class Standalone:
    """How a published folder is written.

    ending: of the file or folder, behind the model's name.
    precisions: of the weights; the first is the default.
    write: what writes it.
    """

    ending: str
    precisions: tuple[str, ...]
    write: Write


def _header(folder: Path, target: Path, precision: str, measured: Json) -> None:
    target.write_text(c_header.header(folder, measured), encoding="utf-8")


def _file(folder: Path, target: Path, precision: str, measured: Json) -> None:
    file = {**javascript.network_file(folder, precision), "measured": measured}
    target.write_text(json.dumps(file, ensure_ascii=False), encoding="utf-8")


STANDALONE = {
    "html": Standalone(".html", ("float16", "int8", "float32"), page.write),
    "js": Standalone("-js", ("float16", "int8", "float32"), package.write),
    "json": Standalone(".json", ("float16", "int8", "float32"), _file),
    "c": Standalone(".h", ("float32",), _header),
}


def write(folder: Path, target: Path, name: str, precision: str | None = None, measured: bool = True) -> Json:
    """Write a published folder so that it runs by itself, whole or not at all.

    Args:
        folder: the published folder of a network for single glyphs.
        target: the file to write; for "js" a folder.
        name: a key of `STANDALONE`.
        precision: of the weights; None: the format's own.
        measured: whether its accuracy is measured, which needs the test set, and written down.

    Returns:
        {"dataset", "precision"}, and if it was measured "accuracy" (0 to 1), "split" and "test_samples".

    Raises:
        UnknownName: no such format.
        ZooError: another precision than the format has, a network that cannot be exported, or no dataset to measure it.
    """
    if name not in STANDALONE:
        raise UnknownName("format", name, STANDALONE)
    form = STANDALONE[name]
    precision = precision or form.precisions[0]
    if precision not in form.precisions:
        raise ZooError(f"A file of format {name} has weights in {' or '.join(form.precisions)}; got {precision}.")
    dataset = PublishedFolder(folder).preprocessor["dataset"]
    with replacing(target) as staged:
        form.write(folder, staged, precision, {})  # whether it can be written is known before it is measured
        if not measured:
            return {"dataset": dataset, "precision": precision}
        said = measure(graph.read(PublishedFolder(folder).onnx, precision), dataset)
        form.write(folder, staged, precision, said)
    return {**said, "dataset": dataset, "precision": precision}
