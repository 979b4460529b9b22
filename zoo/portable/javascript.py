"""A network for JavaScript: its file as JSON, the engine that runs it, and both as one ES module."""

import base64
import functools
import json
import re
from pathlib import Path

import numpy as np

from zoo.portable.compiling import of_folder
from zoo.portable.graph import is_rounded, quantized
from zoo.portable.program import Program
from zoo.types import Json

HERE = Path(__file__).parent
FACTS = "contract", "labels", "script", "dataset", "accepts"  # of preprocessor_config.json


def network_file(folder: Path, precision: str = "float16") -> Json:
    """Return a published network as what `open` of the engine takes.

    Args:
        folder: the published folder of a network for single glyphs.
        precision: of its weights, "float32", "float16" or "int8"; it computes in float32.

    Raises:
        UnknownName: no such precision.
        ZooError: an operator that no kernel computes, a network for pages, or one that its folder describes wrongly.
    """
    program, said = of_folder(folder, precision)
    facts: Json = {key: said[key] for key in FACTS if key in said}
    return {"name": folder.name, "precision": precision, **facts, "program": as_json(program, precision)}


def as_json(program: Program, precision: str) -> Json:
    """Return a program as JSON values; the weights are base64."""
    packed = [_packed(weight.values, precision) for weight in program.weights]
    return {
        "memory": program.memory,
        "image": program.image.at,
        "answer": program.answer[0].at + program.answer[1],
        "steps": [list(call) for call in program.calls()],
        "weights": [[*w.values.shape, stored] for w, (stored, _) in zip(program.weights, packed, strict=True)],
        "data": base64.b64encode(b"".join(part for _, part in packed)).decode("ascii"),
    }


def _packed(values: np.ndarray, precision: str) -> tuple[str, bytes]:
    """Return how constants (rows, columns) are stored, and their bytes."""
    if not values.any():
        return "zeros", b""
    if not is_rounded(values, precision):
        return "float32", values.astype("<f4").tobytes()
    if precision == "float16":
        return "float16", values.astype("<f2").tobytes()
    whole, scale = quantized(values)
    return "int8", scale.astype("<f4").tobytes() + whole.tobytes()


@functools.cache
def engine() -> str:
    """Return the engine as the text of an ES module: `open`, `fromStrokes` and `PEN`."""
    kernels = base64.b64encode((HERE / "kernels.wasm").read_bytes()).decode("ascii")
    source = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("ink.js", "engine.js"))
    return source.replace("{kernels}", kernels)


def module(file: Json) -> str:
    """Return a network as one ES module without dependencies.

    Its default export is a promise of the network that `open` gives.
    """
    name = json.dumps(file["name"])  # with no end of line
    about = f"// {name}, {file['precision']}: a handwriting network. Written by scripts/export.py."
    data = json.dumps(file, ensure_ascii=False, separators=(",", ":"))
    ends = f"export const network = {data};\nexport default await open(network);"
    return f"{about}\n{without_comments(engine())}\n{ends}\n"


def without_comments(source: str) -> str:
    """Return JavaScript without indentation and without the lines that are comments only."""
    return re.sub(r"^\s*((//|/\*\*|\*).*\n)?", "", source, flags=re.MULTILINE)
