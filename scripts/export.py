"""Write a trained model as one file for another runtime, with its measured accuracy in the file's metadata.

    python scripts/export.py resco_mini.ahdd --format litert --int8      for a phone: resco_mini.ahdd.int8.tflite
    python scripts/export.py lenet5.mnist --format onnx --int8           for ONNX Runtime, in a browser too
    python scripts/export.py lenet5.mnist --format openvino -o out.xml   for Intel processors (.xml and .bin)

`zoo.load_predictor("resco_mini.ahdd.int8.tflite")` runs such a file.
"""

import argparse
from pathlib import Path

import cli

from zoo import hub
from zoo.export import formats


def main() -> None:
    """Convert, measure and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped model, a published folder or a repo on the Hub")
    parser.add_argument(
        "--format",
        choices=list(formats.FORMATS),
        default="onnx",
        type=lambda name: "litert" if name == "tflite" else name,
        help="default: onnx; tflite is another name of litert",
    )
    parser.add_argument("--int8", action="store_true", help="quantize, calibrated on training images")
    parser.add_argument("-o", "--output", type=Path, help="the file to write (default: <model>[.int8].<suffix>, here)")
    arguments = parser.parse_args()
    folder = hub.resolve(arguments.model)
    suffix = formats.FORMATS[arguments.format].suffix
    ending = ".int8" * arguments.int8 + suffix
    target = arguments.output or Path(folder.name + ending)
    said = formats.convert(folder, target, arguments.format, arguments.int8)
    print(
        f"{target}: {target.stat().st_size:,} bytes, {said['precision']}, "
        f"{said['accuracy']:.2%} of {said['test_samples']:,} {said['split']} samples of {said['dataset']}"
    )


if __name__ == "__main__":
    cli.run(main)
