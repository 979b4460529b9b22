"""Build zoo/portable/kernels.wasm from kernels.c with Debian's clang and lld.

    apt-get install clang lld
    python -m scripts.chores.wasm            write it
    python -m scripts.chores.wasm --check    exit status 1 if the committed file is not what the source gives

`tests/test_portable.py` checks it wherever that compiler is.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts import cli
from zoo.errors import ZooError

SOURCE = cli.ROOT / "zoo" / "portable" / "kernels.c"
TARGET = SOURCE.with_suffix(".wasm")
VERSION = "14.0"  # of clang, as in Debian 12: another one writes other bytes
FLAGS = [
    *(
        "--target=wasm32",
        "-std=c99",
        "-O2",
        "-fno-unroll-loops",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-ffreestanding",
        "-nostdlib",
    ),
    *("-fvisibility=hidden", "-msimd128", "-mnontrapping-fptoint"),
    "-Wl,--no-entry,--export-dynamic,--strip-all,--export=__heap_base,-z,stack-size=8192",
]


def main() -> int:
    """Build or check; 1 if the committed file is another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    built = build()
    if parser.parse_args().check:
        same = built == TARGET.read_bytes()
        print(f"{TARGET.name} is {'what' if same else 'not what'} {SOURCE.name} gives.")
        return int(not same)
    TARGET.write_bytes(built)
    print(f"{TARGET.name}: {len(built):,} bytes")
    return 0


def compiler() -> str | None:
    """Return the compiler whose bytes are committed, or None where it is not installed."""
    clang = shutil.which("clang-14") or shutil.which("clang")
    if clang is None or not (shutil.which("wasm-ld") or shutil.which("wasm-ld-14")):
        return None
    said = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True).stdout
    return clang if f"version {VERSION}" in said else None


def build() -> bytes:
    """Return what the source gives.

    Raises:
        ZooError: the compiler is missing, or the source does not compile.
    """
    clang = compiler()
    if clang is None:
        raise ZooError(f"This needs clang {VERSION} and lld of Debian 12: apt-get install clang lld.")
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / TARGET.name
        done = subprocess.run([clang, *FLAGS, "-o", str(target), str(SOURCE)], capture_output=True, text=True)
        if done.returncode:
            raise ZooError(f"{SOURCE.name} does not compile: {done.stderr.strip().splitlines()[0]}")
        return target.read_bytes()


if __name__ == "__main__":
    cli.run(main)
