"""Which operators of ONNX the kernels follow: their versions, and their attributes.

An operator keeps its name when its rules change, so a version that is not listed is refused until somebody has read its
rules: https://github.com/onnx/onnx/blob/main/docs/Changelog.md.
"""

from dataclasses import dataclass
from typing import Any

from zoo.portable.reach import Unsupported


@dataclass(frozen=True)
class Rule:
    """Versions of an operator (the opset that began each), and the attributes that its compiler heeds.

    Those of `unheeded` change no number; those of `fixed` have to have one value, if they are there.
    """

    versions: tuple[int, ...]
    heeded: tuple[str, ...] = ()
    unheeded: tuple[str, ...] = ()
    fixed: tuple[tuple[str, Any], ...] = ()


_WINDOW = ("auto_pad", "kernel_shape", "pads", "strides", "dilations")
_MOVED = (1, 13, 21, 23, 24, 25)  # operators that only move numbers get a version with each new type
RULES = {
    **dict.fromkeys(("Relu",), Rule((6, 13, 14))),
    **dict.fromkeys(("Sigmoid", "Tanh", "Neg", "Sqrt", "Reciprocal", "Exp", "Abs", "Log"), Rule((6, 13))),
    "Erf": Rule((9, 13)),
    "Softplus": Rule((1, 22)),
    "Swish": Rule((24,), fixed=(("alpha", 1.0),)),
    "Clip": Rule((6, 11, 12, 13), ("min", "max")),
    "LeakyRelu": Rule((6, 16), ("alpha",)),
    "Elu": Rule((6, 22), ("alpha",)),
    "HardSigmoid": Rule((6, 22), ("alpha", "beta")),
    "HardSwish": Rule((14, 22)),
    **dict.fromkeys(("Add", "Mul", "Sub", "Div"), Rule((7, 13, 14))),
    **dict.fromkeys(("Max", "Min"), Rule((8, 12, 13))),
    "Pow": Rule((7, 12, 13, 15)),
    "PRelu": Rule((7, 9, 16)),
    "BatchNormalization": Rule(
        (7, 9, 14, 15), ("epsilon",), ("momentum",), fixed=(("training_mode", 0), ("spatial", 1))
    ),
    "Conv": Rule((1, 11, 22), (*_WINDOW, "group")),
    "MaxPool": Rule((1, 8, 10, 11, 12, 22), (*_WINDOW, "ceil_mode"), ("storage_order",)),
    "AveragePool": Rule((1, 7, 10, 11, 19, 22), (*_WINDOW, "ceil_mode", "count_include_pad")),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), Rule((1, 22))),
    "ReduceMean": Rule((1, 11, 13, 18), ("axes", "keepdims", "noop_with_empty_axes")),
    "ReduceSum": Rule((1, 11, 13), ("axes", "keepdims", "noop_with_empty_axes")),
    "ReduceMax": Rule((1, 11, 12, 13, 18, 20), ("axes", "keepdims", "noop_with_empty_axes")),
    "Gemm": Rule((7, 9, 11, 13), ("alpha", "beta", "transA", "transB")),
    "MatMul": Rule((1, 9, 13)),
    "Softmax": Rule((1, 11, 13), ("axis",)),
    "Reshape": Rule((5, 13, 14, 19, 21, 23, 24, 25), ("allowzero",)),
    "Flatten": Rule((*_MOVED, 9, 11), ("axis",)),
    "Squeeze": Rule((*_MOVED, 11), ("axes",)),
    "Unsqueeze": Rule((*_MOVED, 11), ("axes",)),
    "Transpose": Rule(_MOVED, ("perm",)),
    "Identity": Rule((*_MOVED, 14, 16, 19)),
    "Slice": Rule((10, 11, 13)),
    "Concat": Rule((4, 11, 13), ("axis",)),
    "Dropout": Rule((7, 10, 12, 13, 22), (), ("ratio", "seed")),
    "Cast": Rule((6, 9, 13, 19, 21, 23, 24, 25), ("to",), ("saturate", "round_mode")),
}


def check(kind: str, opset: int, given: dict[str, Any]) -> int:
    """Return the version of an operator in an opset; Unsupported if nothing here follows its rules.

    Args:
        kind: the operator.
        opset: version of the standard operators that the file names.
        given: the attributes of a node by name.
    """
    import onnx

    if kind not in RULES:
        raise Unsupported(f"the operator {kind}, which no kernel computes")
    rule = RULES[kind]
    version = int(onnx.defs.get_schema(kind, opset, "").since_version)
    if version not in rule.versions:
        raise Unsupported(f"the operator {kind} of version {version}, whose rules no kernel follows")
    fixed = dict(rule.fixed)
    for name, value in given.items():
        if name not in (*rule.heeded, *rule.unheeded) and (name not in fixed or value != fixed[name]):
            raise Unsupported(f"the attribute {name} of {kind}, which no kernel follows")
    return version
