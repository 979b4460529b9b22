"""A network as a JavaScript package: an ES module without dependencies, its types, an example and a readme."""

import json
import re
from pathlib import Path

from zoo.portable.javascript import HERE, module, network_file
from zoo.portable.page import LICENCE, card_facts
from zoo.types import Json

EXAMPLE = """import network from './index.js';

// A seven as a pen draws it, on a pad of 100 x 100; y runs down.
const strokes = [[[30, 25], [70, 22], [55, 50], [45, 80]]];
const found = network.read(strokes, 100);
console.log(`${found.label} (${(100 * found.confidence).toFixed(1)}%)`);

// The same network takes images: {height} x {width} bytes, 0 is background and 255 full ink.
const probabilities = network.probabilities(found.image);
console.log(network.file.labels.map((label, index) => `${label}: ${probabilities[index].toFixed(4)}`).join('\\n'));
"""


def write(folder: Path, target: Path, precision: str = "float16", measured: Json | None = None) -> None:
    """Write a published network as a folder that npm can install.

    Args:
        folder: the published folder of a network for single glyphs.
        target: the folder to write.
        precision: of its weights, "float32", "float16" or "int8".
        measured: {"accuracy" (0 to 1), "test_samples", "split"} of this precision; None: the readme does not say.

    Raises:
        ZooError: the network cannot be exported.
    """
    file = network_file(folder, precision)
    contract = file["contract"]
    name = re.sub(r"[^a-z0-9-]+", "-", file["name"].lower()).strip("-") or "network"
    facts = card_facts(folder, measured)
    example = EXAMPLE.replace("{height}", str(contract["height"])).replace("{width}", str(contract["width"]))
    about = {
        "name": name,
        "version": "1.0.0",
        "description": f"{file['name']}: a handwriting network that runs anywhere JavaScript does",
        "type": "module",
        "exports": {".": {"types": "./index.d.ts", "default": "./index.js"}},
        "files": ["index.js", "index.d.ts"],
        "license": LICENCE,
        "sideEffects": False,
    }
    listed = "\n".join(f"- {term}: {text}" for term, text in facts)
    readme = f"# {file['name']}\n\n{listed}\n\n```js\n{example.replace('./index.js', name)}```\n"
    target.mkdir(exist_ok=True)
    for path, text in {
        "package.json": json.dumps(about, indent=2) + "\n",
        "index.js": module(file),
        "index.d.ts": (HERE / "package.d.ts").read_text(encoding="utf-8"),
        "example.js": example,
        "README.md": readme,
    }.items():
        (target / path).write_text(text, encoding="utf-8")
