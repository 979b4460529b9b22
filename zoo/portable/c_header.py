"""A network as one C header: C99, no library, no allocation; for microcontrollers too."""

import re
from pathlib import Path

import numpy as np

from zoo.portable.compiling import of_folder
from zoo.portable.page import card_facts
from zoo.portable.program import Program
from zoo.types import Json

KERNELS = Path(__file__).with_name("kernels.c")
FORM = """/* {facts}

   Written by scripts/export.py: C99 without any library.

   int best = {prefix}_read(image, probabilities);

   image: {height} x {width} bytes, row by row, 0 is background and 255 full ink.
   probabilities: {classes} floats; their classes are called {prefix}_labels.
   It needs {flash:,} bytes of constants and {memory:,} bytes of memory, both static: one call at a time. */

#ifndef {guard}
#define {guard}

#define KERNEL static
{kernels}
#undef KERNEL

static const char *const {prefix}_labels[{classes}] = {{{labels}}};

static const float {prefix}_weights[{weight_count}] = {{
{weights}
}};

static float {prefix}_memory[{memory_count}];

static inline int {prefix}_read(const unsigned char image[{pixels}], float probabilities[{classes}]) {{
  const float *const w = {prefix}_weights;
  float *const m = {prefix}_memory;
{calls}
  int best = 0;
  for (int i = 0; i < {classes}; i++) {{
    probabilities[i] = m[{answer} + i];
    if (probabilities[i] > probabilities[best]) best = i;
  }}
  return best;
}}

#endif
"""


def header(folder: Path, measured: Json | None = None) -> str:
    """Return a published network as the text of a C header.

    Args:
        folder: the published folder of a network for single glyphs.
        measured: {"accuracy" (0 to 1), "test_samples", "split"}; None: the header does not say.

    Raises:
        ZooError: the network cannot be exported.
    """
    program, said = of_folder(folder)
    height, width, _ = program.shape
    prefix = prefix_of(folder.name)
    count = program.weight_count
    memory = program.memory - count
    return FORM.format(
        prefix=prefix,
        guard=f"{prefix.upper()}_H",
        facts="\n   ".join(_commented(f"{term}: {text}") for term, text in card_facts(folder, measured)),
        height=height,
        width=width,
        pixels=height * width,
        classes=program.classes,
        labels=", ".join(_quoted(label) for label in said["labels"]),
        kernels=re.sub(r"\bzoo_", f"{prefix}_", _kernels(program)),
        weights=_written(np.concatenate([weight.values.ravel() for weight in program.weights])),
        weight_count=count,
        flash=4 * count,
        memory=4 * memory,
        memory_count=memory,
        calls="\n".join(f"  {prefix}_{call}" for call in _calls(program)),
        answer=program.answer[0].at + program.answer[1] - count,
    )


def prefix_of(name: str) -> str:
    """Return what the names of a network's header begin with: letters, digits and underscores, no digit first."""
    prefix = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"net_{prefix}" if prefix[0].isdigit() else prefix


def _commented(text: str) -> str:
    """Return a text that neither ends a comment nor begins one."""
    return " ".join(text.split()).replace("*/", "* /").replace("/*", "/ *")


def _calls(program: Program) -> list[str]:
    start = program.weight_count
    found = []
    for kernel, places, numbers in program.calls():
        given = [f"w + {place}" if place < start else f"m + {place - start}" for place in places]
        if kernel == "load":
            given[0] = "image"
        given += [float_literal(number) if isinstance(number, float) else str(number) for number in numbers]
        found.append(f"{kernel}({', '.join(given)});")
    return found


def float_literal(number: float) -> str:
    """Return a finite number as C writes a float."""
    digits = f"{number:.9g}"
    return f"{digits}f" if set(digits) & set(".e") else f"{digits}.0f"


def _kernels(program: Program) -> str:
    """Return the source of the kernels that a program calls, with those of their functions that it asks for."""
    source = KERNELS.read_text(encoding="utf-8")
    source = source[source.index("typedef union") :]  # behind the head of the file
    for kernel in re.findall(r"KERNEL void zoo_(\w+)\(", source):
        asked = {step.numbers[0] for step in program.steps if step.kernel == kernel}
        body = re.search(rf"(/\*(?:(?!\*/)[\s\S])*\*/\n)?KERNEL void zoo_{kernel}\([\s\S]*?\n}}\n", source)
        assert body is not None
        text = body[0] if asked else ""
        if kernel in ("unary", "binary"):
            cases = [line for line in text.splitlines(keepends=True) if _is_called(line, asked)]
            text = "".join(cases)
        source = source.replace(body[0], text)
    macros = sorted(set(re.findall(r"#define (ZOO_\w+)", source)))
    return f"{source.strip()}\n" + "".join(f"#undef {name}\n" for name in macros)


def _is_called(line: str, asked: set[int | float]) -> bool:
    """Return whether a line of a kernel is no case of its functions, or one that is asked for."""
    case = re.match(r" *case (\d+):", line)
    return case is None or int(case[1]) in asked


def _written(values: np.ndarray, columns: int = 8) -> str:
    texts = [f"{np.format_float_scientific(value, trim='0')}f" for value in values.astype(np.float32)]
    return "\n".join("  " + ", ".join(texts[i : i + columns]) + "," for i in range(0, len(texts), columns))


def _quoted(label: str) -> str:
    """Return a label as a C string in UTF-8; bytes beyond ASCII as octal escapes, which end after three digits."""
    escaped = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in label.encode())
    return f'"{escaped}"'
