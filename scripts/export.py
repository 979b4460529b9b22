"""Write a trained model as one file for another runtime, with its measured accuracy in the file's metadata.

    python scripts/export.py resco_mini.ahdd --format litert --int8      for a phone: resco_mini.ahdd.int8.tflite
    python scripts/export.py lenet5.mnist --format onnx --int8           for ONNX Runtime, in a browser too
    python scripts/export.py lenet5.mnist --format openvino -o out.xml   for Intel processors (.xml and .bin)

Or as something that runs by itself, without any of them:

    python scripts/export.py glyphnet_10k.mnist --format html         one page with a pad, for a browser without network
    python scripts/export.py glyphnet_10k.mnist --format js           a package for npm: an ES module, types, an example
    python scripts/export.py glyphnet_5k.mnist --format c             one header in C99, for a microcontroller
    python scripts/export.py glyphnet_10k.mnist --format json --int8  the network's file for that ES module

`zoo.load_predictor("resco_mini.ahdd.int8.tflite")` runs such a file.
"""

import argparse
from pathlib import Path

import cli

from zoo import hub
from zoo.export import formats, standalone


def main() -> None:
    """Convert, measure and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped model, a published folder or a repo on the Hub")
    parser.add_argument(
        "--format",
        choices=[*formats.FORMATS, *standalone.STANDALONE],
        default="onnx",
        type=lambda name: "litert" if name == "tflite" else name,
        help="default: onnx; tflite is another name of litert",
    )
    parser.add_argument(
        "--int8", action="store_true", help="quantize; with activations, calibrated on training images, for a runtime"
    )
    parser.add_argument("--unmeasured", action="store_true", help="html, js, json, c: without accuracy and test set")
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: <model>[.int8].<suffix>, here)")
    arguments = parser.parse_args()
    folder = hub.resolve(arguments.model)
    alone = standalone.STANDALONE.get(arguments.format)
    ending = ".int8" * arguments.int8 + (alone.ending if alone else formats.FORMATS[arguments.format].suffix)
    target = arguments.output or Path(folder.name + ending)
    if alone:
        said = standalone.write(
            folder, target, arguments.format, "int8" if arguments.int8 else None, not arguments.unmeasured
        )
    else:
        said = formats.convert(folder, target, arguments.format, arguments.int8)
    size = sum(path.stat().st_size for path in (target.rglob("*") if target.is_dir() else [target]))
    score = "accuracy not measured"
    if "accuracy" in said:
        score = f"{said['accuracy']:.2%} of {said['test_samples']:,} {said['split']} samples of {said['dataset']}"
    print(f"{target}: {size:,} bytes, {said['precision']}, {score}")


if __name__ == "__main__":
    cli.run(main)
