"""JavaScript of the project, run in Node as in a browser."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.errors import ZooError
from zoo.portable import javascript
from zoo.types import Json

# Reads {"networks": [{"file", "images"}], "sketches": [{"contract", "strokes", "size", "pen"}]} and answers each.
RUN = """
import fs from 'node:fs';
import { open, fromStrokes } from './engine.mjs';
const asked = JSON.parse(fs.readFileSync(process.argv[2]));
for (const { file, images } of asked.networks) {
  const network = await open(JSON.parse(fs.readFileSync(file)));
  const bytes = fs.readFileSync(images);
  const pixels = network.file.contract.height * network.file.contract.width;
  const found = [];
  for (let at = 0; at < bytes.length; at += pixels) found.push(network.probabilities(bytes.subarray(at, at + pixels)));
  fs.writeFileSync(images, Buffer.concat(found.map(one => Buffer.from(one.buffer))));
}
const drawn = asked.sketches.map(one => [...fromStrokes(one.strokes, one.contract, one.size, one.pen) ?? []]);
console.log(JSON.stringify({ drawn }));
"""


def run(source: str, folder: Path, *arguments: str) -> str:
    """Run an ES module in a folder; return what it prints.

    Raises:
        ZooError: Node is not installed, or the module fails.
    """
    node = shutil.which("node")
    if node is None:
        raise ZooError("Node is not installed: install nodejs.")
    (folder / "main.mjs").write_text(source, encoding="utf-8")
    done = subprocess.run([node, "main.mjs", *arguments], capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise ZooError(f"Node failed: {done.stderr.strip()}")
    return done.stdout


def answer(folder: Path, networks: Sequence[tuple[Json, np.ndarray]] = (), sketches: Sequence[Json] = ()) -> Json:
    """Run networks and draw sketches in Node.

    Args:
        folder: an empty one.
        networks: files of networks, each with uint8 images (N, H, W, 1).
        sketches: {"contract", "strokes", "size", "pen"}.

    Returns:
        "probabilities" (a float32 array for each network), "drawn" (the pixels of each sketch).
    """
    (folder / "engine.mjs").write_text(javascript.engine(), encoding="utf-8")
    asked = []
    for index, (file, images) in enumerate(networks):
        paths = folder / f"{index}.json", folder / f"{index}.bin"
        paths[0].write_text(json.dumps(file), encoding="utf-8")
        paths[1].write_bytes(images.tobytes())
        asked.append({"file": str(paths[0]), "images": str(paths[1])})
    (folder / "asked.json").write_text(json.dumps({"networks": asked, "sketches": list(sketches)}), encoding="utf-8")
    said: Json = json.loads(run(RUN, folder, "asked.json"))
    found = [np.fromfile(one["images"], np.float32) for one in asked]
    rows = zip(found, networks, strict=True)
    said["probabilities"] = [values.reshape(len(images), -1) for values, (_, images) in rows]
    return said
