"""The Keras layers that a submission may use, and what each costs, worked out from its configuration alone.

Nothing of Keras is imported: a layer is its table entry, which says which settings it may have and gives its output
shape, parameters and multiply-adds. `tests/test_submissions_layers.py` holds every entry against Keras itself.
Shapes are without the batch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leaderboard.submissions.problems import Refused

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cost:
    """What a layer makes of its inputs."""

    shape: Shape
    parameters: int = 0  # as `count_params()` counts them
    multiply_adds: int = 0  # of one image


@dataclass(frozen=True)
class Layer:
    """One allowed layer."""

    settings: frozenset[str]  # keys of its configuration, beside those that every layer has
    cost: Callable[[dict, list[Shape]], Cost]


class Misfit(Exception):
    """A layer that cannot take the inputs or settings it is given; says why."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMMON = frozenset({"name", "trainable", "dtype"})
ACTIVATIONS = _names(
    "linear relu relu6 sigmoid hard_sigmoid tanh hard_tanh softmax log_softmax softplus softsign elu selu gelu silu "
    "swish hard_silu hard_swish leaky_relu exponential mish celu tanh_shrink soft_shrink squareplus"
)
INITIALIZERS = _names(
    "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling GlorotNormal GlorotUniform "
    "HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity"
)
REGULARIZERS = _names("L1 L2 L1L2 OrthogonalRegularizer")
CONSTRAINTS = _names("MaxNorm NonNeg UnitNorm MinMaxNorm")


# Settings


def positive(config: dict, key: str) -> int:
    """Return a whole number of at least 1."""
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise Misfit(f"{key} should be a whole number of at least 1, not {value!r}")
    return value


def pair(config: dict, key: str) -> tuple[int, int]:
    """Return two whole numbers of at least 1; one stands for both."""
    value = config.get(key)
    found = [value, value] if type(value) is int else value
    if not (isinstance(found, list) and len(found) == 2 and all(type(n) is int and n >= 1 for n in found)):
        raise Misfit(f"{key} should be two whole numbers of at least 1, not {value!r}")
    return found[0], found[1]


def image(shapes: list[Shape]) -> tuple[int, int, int]:
    """Return the one input as height, width, channels."""
    (shape,) = only(shapes)
    if len(shape) != 3:
        raise Misfit(f"it takes an image (height, width, channels), not {shape}")
    return shape


def sequence(shapes: list[Shape]) -> tuple[int, int]:
    """Return the one input as steps, features."""
    (shape,) = only(shapes)
    if len(shape) != 2:
        raise Misfit(f"it takes a sequence (steps, features), not {shape}")
    return shape


def only(shapes: list[Shape]) -> list[Shape]:
    """Return the inputs if there is one."""
    if len(shapes) != 1:
        raise Misfit(f"it takes one input, not {len(shapes)}")
    return shapes


def channels_last(config: dict) -> None:
    """Refuse images in another order."""
    if config.get("data_format", "channels_last") != "channels_last":
        raise Misfit("data_format should be channels_last")


def one_of(config: dict, key: str, allowed: tuple) -> object:
    """Return a setting that is one of a few values."""
    value = config.get(key, allowed[0])
    if isinstance(value, (list, dict)) or value not in allowed:
        raise Misfit(f"{key} should be one of {', '.join(map(str, allowed))}, not {value!r}")
    return value


def axes(value: object, rank: int) -> list[int]:
    """Return axes of one sample, 0 is the first behind the batch."""
    found = [value] if type(value) is int else value
    if not isinstance(found, list) or not found or not all(type(n) is int and -rank <= n <= rank for n in found):
        raise Misfit(f"{value!r} is no axis of an input with {rank} dimensions")
    places = [n - 1 if n > 0 else n + rank for n in found]
    if not all(0 <= place < rank for place in places) or len(set(places)) != len(places):
        raise Misfit(f"{value!r} is no axis of an input with {rank} dimensions behind the batch")
    return places


# Shapes


def window(size: int, kernel: int, stride: int, padding: object, dilation: int = 1) -> int:
    """Return how many places a window has along one side."""
    reach = dilation * (kernel - 1) + 1
    out = -(-size // stride) if padding == "same" else (size - reach) // stride + 1
    if out < 1:
        raise Misfit(f"a window of {reach} does not fit a side of {size}")
    return out


def windows(config: dict, height: int, width: int, kernel: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of what a convolution makes."""
    channels_last(config)
    padding = one_of(config, "padding", ("valid", "same"))
    strides, dilation = pair({"strides": 1, **config}, "strides"), pair({"dilation_rate": 1, **config}, "dilation_rate")
    if max(strides) > 1 and max(dilation) > 1:
        raise Misfit("strides and dilation_rate cannot both be larger than 1")
    rows, columns = (
        window(size, k, s, padding, d) for size, k, s, d in zip((height, width), kernel, strides, dilation, strict=True)
    )
    return rows, columns


def _bias(config: dict, units: int) -> int:
    return units if config.get("use_bias", True) else 0


def _conv2d(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    filters, kernel, groups = positive(config, "filters"), pair(config, "kernel_size"), config.get("groups", 1)
    if type(groups) is not int or groups < 1 or channels % groups or filters % groups:
        raise Misfit(f"{channels} channels and {filters} filters cannot be parted into {groups!r} groups")
    rows, columns = windows(config, height, width, kernel)
    each = math.prod(kernel) * (channels // groups)
    out = (rows, columns, filters)
    return Cost(out, each * filters + _bias(config, filters), each * math.prod(out))


def _depthwise(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    kernel, out = (
        pair(config, "kernel_size"),
        channels * positive({"depth_multiplier": 1, **config}, "depth_multiplier"),
    )
    rows, columns = windows(config, height, width, kernel)
    weights = math.prod(kernel) * out
    return Cost((rows, columns, out), weights + _bias(config, out), weights * rows * columns)


def _separable(config: dict, shapes: list[Shape]) -> Cost:
    depth = _depthwise({**config, "use_bias": False}, shapes)
    filters = positive(config, "filters")
    rows, columns, middle = depth.shape
    weights = middle * filters
    return Cost(
        (rows, columns, filters),
        depth.parameters + weights + _bias(config, filters),
        depth.multiply_adds + weights * rows * columns,
    )


def _transposed(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    channels_last(config)
    filters, kernel, strides = positive(config, "filters"), pair(config, "kernel_size"), pair(config, "strides")
    padding = one_of(config, "padding", ("valid", "same"))
    if config.get("output_padding") is not None or pair({"dilation_rate": 1, **config}, "dilation_rate") != (1, 1):
        raise Misfit("output_padding and dilation_rate are not supported")
    rows, columns = (
        size * s if padding == "same" else size * s + max(k - s, 0)
        for size, s, k in zip((height, width), strides, kernel, strict=True)
    )
    each = math.prod(kernel) * channels * filters
    return Cost((rows, columns, filters), each + _bias(config, filters), each * height * width)


def _pool(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    channels_last(config)
    size = pair(config, "pool_size")
    strides = size if config.get("strides") is None else pair(config, "strides")
    padding = one_of(config, "padding", ("valid", "same"))
    rows, columns = (window(side, k, s, padding) for side, k, s in zip((height, width), size, strides, strict=True))
    return Cost((rows, columns, channels))


def _global_pool(rank: int) -> Callable[[dict, list[Shape]], Cost]:
    def cost(config: dict, shapes: list[Shape]) -> Cost:
        channels_last(config)
        shape = image(shapes) if rank == 3 else sequence(shapes)
        kept = (1,) * (rank - 1) if config.get("keepdims") else ()
        return Cost((*kept, shape[-1]))

    return cost


def _dense(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    if not shape:
        raise Misfit("it takes at least one value")
    if config.get("quantization_config") is not None:
        raise Misfit("quantization_config should be null")
    units = positive(config, "units")
    out = (*shape[:-1], units)
    return Cost(out, shape[-1] * units + _bias(config, units), math.prod(out) * shape[-1])


def _flatten(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    channels_last(config)
    return Cost((math.prod(shape),))


def _reshape(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    target = config.get("target_shape")
    if not isinstance(target, list) or not all(type(n) is int and (n > 0 or n == -1) for n in target):
        raise Misfit(f"target_shape should be a list of whole numbers, not {target!r}")
    known = math.prod(n for n in target if n != -1)
    free = target.count(-1)
    if free > 1 or (math.prod(shape) % known if free else math.prod(shape) != known):
        raise Misfit(f"{math.prod(shape)} values cannot take the shape {target}")
    return Cost(tuple(math.prod(shape) // known if n == -1 else n for n in target))


def _permute(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    dims = config.get("dims")
    if not isinstance(dims, list) or sorted(map(str, dims)) != sorted(str(n + 1) for n in range(len(shape))):
        raise Misfit(f"dims should name every dimension of {shape} once, counted from 1, not {dims!r}")
    return Cost(tuple(shape[n - 1] for n in dims))


def _repeat(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    if len(shape) != 1:
        raise Misfit(f"it takes a vector, not {shape}")
    return Cost((positive(config, "n"), *shape))


def _same(config: dict, shapes: list[Shape]) -> Cost:
    return Cost(only(shapes)[0])


def _prelu(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    shared = config.get("shared_axes")
    places = axes(shared, len(shape)) if shared else []
    return Cost(shape, math.prod(1 if n in places else size for n, size in enumerate(shape)))


def _normalised(shape: Shape, axis: object) -> int:
    return math.prod(shape[place] for place in axes(axis, len(shape)))


def _batch_norm(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    if config.get("renorm"):
        raise Misfit("renorm should be false")
    if type(config.get("axis", -1)) is not int:
        raise Misfit("axis should be a whole number")
    size = _normalised(shape, config.get("axis", -1))
    return Cost(shape, size * (2 + bool(config.get("scale", True)) + bool(config.get("center", True))))


def _layer_norm(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    size = _normalised(shape, config.get("axis", -1))
    if config.get("rms_scaling"):
        raise Misfit("rms_scaling should be false")
    return Cost(shape, size * (bool(config.get("scale", True)) + bool(config.get("center", True))))


def _group_norm(config: dict, shapes: list[Shape]) -> Cost:
    (shape,) = only(shapes)
    if config.get("axis", -1) not in (-1, len(shape)):
        raise Misfit("axis should be the last")
    groups = config.get("groups", 32)
    if type(groups) is not int or (groups != -1 and (groups < 1 or shape[-1] % groups)):
        raise Misfit(f"{shape[-1]} channels cannot be parted into {groups!r} groups")
    return Cost(shape, shape[-1] * (bool(config.get("scale", True)) + bool(config.get("center", True))))


def _sides(config: dict, key: str) -> list[list[int]]:
    """Return ((top, bottom), (left, right)) of a padding or cropping."""
    value = config.get(key)
    if type(value) is int:
        value = [value, value]
    if not isinstance(value, list) or len(value) != 2:
        raise Misfit(f"{key} should be ((top, bottom), (left, right)), not {value!r}")
    value = [[n, n] if type(n) is int else n for n in value]
    if not all(isinstance(n, list) and len(n) == 2 and all(type(m) is int and m >= 0 for m in n) for n in value):
        raise Misfit(f"{key} should be ((top, bottom), (left, right)), not {value!r}")
    return value


def _pad(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    channels_last(config)
    rows, columns = _sides(config, "padding")
    return Cost((height + sum(rows), width + sum(columns), channels))


def _crop(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    channels_last(config)
    rows, columns = _sides(config, "cropping")
    out = (height - sum(rows), width - sum(columns), channels)
    if min(out) < 1:
        raise Misfit(f"nothing is left of {height} x {width}")
    return Cost(out)


def _upsample(config: dict, shapes: list[Shape]) -> Cost:
    height, width, channels = image(shapes)
    channels_last(config)
    one_of(config, "interpolation", ("nearest", "bilinear"))
    rows, columns = pair(config, "size")
    return Cost((height * rows, width * columns, channels))


def _merge(config: dict, shapes: list[Shape]) -> Cost:
    """Element by element; sides of 1 stretch, as in NumPy."""
    if len(shapes) < 2:
        raise Misfit("it takes at least two inputs")
    if len({len(shape) for shape in shapes}) > 1:
        raise Misfit(f"inputs of {', '.join(map(str, shapes))} do not match")
    out = []
    for sizes in zip(*shapes, strict=True):
        if len(set(sizes) - {1}) > 1:
            raise Misfit(f"inputs of {', '.join(map(str, shapes))} do not match")
        out.append(max(sizes))
    return Cost(tuple(out))


def _subtract(config: dict, shapes: list[Shape]) -> Cost:
    if len(shapes) != 2:
        raise Misfit("it takes two inputs")
    return _merge(config, shapes)


def _concatenate(config: dict, shapes: list[Shape]) -> Cost:
    if len(shapes) < 2 or len({len(shape) for shape in shapes}) > 1:
        raise Misfit("it takes at least two inputs of as many dimensions")
    (place,) = axes(config.get("axis", -1), len(shapes[0]))
    if len({(*shape[:place], *shape[place + 1 :]) for shape in shapes}) > 1:
        raise Misfit(f"inputs of {', '.join(map(str, shapes))} differ in more than the axis that they are joined along")
    first = shapes[0]
    return Cost((*first[:place], sum(shape[place] for shape in shapes), *first[place + 1 :]))


def _recurrent(gates: int) -> Callable[[dict, list[Shape]], Cost]:
    def cost(config: dict, shapes: list[Shape]) -> Cost:
        steps, features = sequence(shapes)
        for key in ("return_state", "stateful", "unroll"):
            if config.get(key):
                raise Misfit(f"{key} should be false")
        units = positive(config, "units")
        weights = gates * units * (features + units)
        biases = 2 if gates == 3 and config.get("reset_after", True) else 1  # cuDNN's GRU has two
        out = (steps, units) if config.get("return_sequences") else (units,)
        return Cost(out, weights + biases * _bias(config, gates * units), steps * weights)

    return cost


def _attention(config: dict, shapes: list[Shape]) -> Cost:
    if len(shapes) not in (2, 3) or len({len(shape) for shape in shapes}) > 1 or len(shapes[0]) != 2:
        raise Misfit("it takes query, value and perhaps key, each (steps, features)")
    for key in ("output_shape", "attention_axes", "sliding_window"):
        if config.get(key) is not None:
            raise Misfit(f"{key} should be null")
    if config.get("use_gate"):
        raise Misfit("use_gate should be false")
    query, value = shapes[0], shapes[1]
    key = shapes[2] if len(shapes) == 3 else value
    if key[0] != value[0]:
        raise Misfit(f"key and value have {key[0]} and {value[0]} steps")
    heads, key_dim = positive(config, "num_heads"), positive(config, "key_dim")
    value_dim = key_dim if config.get("value_dim") is None else positive(config, "value_dim")
    wide, deep = heads * key_dim, heads * value_dim
    weights = query[1] * wide + key[1] * wide + value[1] * deep + deep * query[1]
    biases = 2 * wide + deep + query[1] if config.get("use_bias", True) else 0
    work = query[0] * query[1] * wide + key[0] * key[1] * wide + value[0] * value[1] * deep
    work += query[0] * key[0] * (wide + deep) + query[0] * deep * query[1]
    return Cost(query, weights + biases, work)


def _weights(*kinds: str) -> str:
    """Return the settings that belong to weights of these kinds."""
    return " ".join(f"{kind}_{part}" for kind in kinds for part in ("initializer", "regularizer", "constraint"))


_CONV = (
    f"activation use_bias padding strides dilation_rate data_format kernel_size activity_regularizer {_weights('bias')}"
)
_GAMMA = f"axis epsilon center scale {_weights('beta', 'gamma')}"
_POOL = "pool_size padding strides data_format"
_RNN = (
    "return_sequences return_state go_backwards stateful unroll zero_output_for_mask units activation use_bias "
    f"{_weights('kernel', 'recurrent', 'bias')} activity_regularizer dropout recurrent_dropout seed"
)

LAYERS: Mapping[str, Layer] = {
    name: Layer(_names(settings), cost)
    for name, settings, cost in (
        ("Rescaling", "scale offset", _same),
        ("Flatten", "data_format", _flatten),
        ("Reshape", "target_shape", _reshape),
        ("Permute", "dims", _permute),
        ("RepeatVector", "n", _repeat),
        ("Dense", f"units activation use_bias {_weights('kernel', 'bias')} activity_regularizer quantization_config",
         _dense),
        ("Conv2D", f"filters groups {_weights('kernel')} {_CONV}", _conv2d),
        ("Conv2DTranspose", f"filters output_padding {_weights('kernel')} {_CONV}", _transposed),
        ("DepthwiseConv2D", f"depth_multiplier {_weights('depthwise')} {_CONV}", _depthwise),
        ("SeparableConv2D", f"filters depth_multiplier {_weights('depthwise', 'pointwise')} {_CONV}", _separable),
        ("MaxPooling2D", _POOL, _pool),
        ("AveragePooling2D", _POOL, _pool),
        ("GlobalAveragePooling2D", "data_format keepdims", _global_pool(3)),
        ("GlobalMaxPooling2D", "data_format keepdims", _global_pool(3)),
        ("GlobalAveragePooling1D", "data_format keepdims", _global_pool(2)),
        ("GlobalMaxPooling1D", "data_format keepdims", _global_pool(2)),
        ("BatchNormalization", f"momentum {_GAMMA} moving_mean_initializer moving_variance_initializer synchronized "
         "renorm renorm_clipping renorm_momentum", _batch_norm),
        ("LayerNormalization", f"rms_scaling {_GAMMA}", _layer_norm),
        ("GroupNormalization", f"groups {_GAMMA}", _group_norm),
        ("UnitNormalization", "axis", _same),
        ("Activation", "activation", _same),
        ("ReLU", "max_value negative_slope threshold", _same),
        ("LeakyReLU", "negative_slope", _same),
        ("ELU", "alpha", _same),
        ("PReLU", f"shared_axes {_weights('alpha')}", _prelu),
        ("Softmax", "axis", _same),
        ("Dropout", "rate seed noise_shape", _same),
        ("SpatialDropout1D", "rate seed", _same),
        ("SpatialDropout2D", "rate seed data_format", _same),
        ("GaussianDropout", "rate seed", _same),
        ("GaussianNoise", "stddev seed", _same),
        ("AlphaDropout", "rate seed noise_shape", _same),
        ("ActivityRegularization", "l1 l2", _same),
        ("ZeroPadding2D", "padding data_format", _pad),
        ("Cropping2D", "cropping data_format", _crop),
        ("UpSampling2D", "size data_format interpolation", _upsample),
        ("Add", "", _merge),
        ("Subtract", "", _subtract),
        ("Multiply", "", _merge),
        ("Average", "", _merge),
        ("Maximum", "", _merge),
        ("Minimum", "", _merge),
        ("Concatenate", "axis", _concatenate),
        ("LSTM", f"{_RNN} recurrent_activation unit_forget_bias", _recurrent(4)),
        ("GRU", f"{_RNN} recurrent_activation reset_after", _recurrent(3)),
        ("SimpleRNN", _RNN, _recurrent(1)),
        ("MultiHeadAttention", "num_heads key_dim value_dim dropout use_bias use_gate output_shape attention_axes "
         f"sliding_window {_weights('kernel', 'bias')} activity_regularizer seed", _attention),
    )
}  # fmt: skip


def cost(name: str, config: dict, shapes: list[Shape], where: str) -> Cost:
    """Return what a layer makes of inputs of these shapes; Refused if it cannot take them."""
    try:
        return LAYERS[name].cost(config, shapes)
    except Misfit as error:
        raise Refused("shape", f"{where} cannot be built: {error}.", "Mend it and send the model again.") from None
