"""The output shape, parameters and multiply-adds of a layer, computed from its settings and the shapes of its inputs.

Shapes exclude the batch axis. Every function raises Misfit if settings and shapes are incompatible.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from zoo.strict.layer_settings import (
    Misfit,
    Shape,
    axes,
    channels_last,
    image,
    one_of,
    only,
    pair,
    positive,
    sequence,
    single,
)
from zoo.types import Json

# Operations of an image that take as long as one step of a recurrent layer, whatever its size: in training, forward and
# back, in batches of 128.
STEP = 5_000


@dataclass(frozen=True)
class Cost:
    """The output shape of a layer and its costs."""

    shape: Shape
    parameters: int = 0  # as `count_params()` counts them
    multiply_adds: int = 0  # of one image
    others: int = 0  # operations of one image that are none, where they are more than the values that come out


def window(size: int, kernel: int, stride: int, padding: object, dilation: int = 1) -> int:
    """Return the number of positions of a window along one side."""
    reach = dilation * (kernel - 1) + 1
    out = -(-size // stride) if padding == "same" else (size - reach) // stride + 1
    if out < 1:
        raise Misfit(f"a window of {reach} does not fit a side of {size}")
    return out


def windows(config: Json, height: int, width: int, kernel: tuple[int, int]) -> tuple[int, int]:
    """Return the output height and width of a convolution."""
    channels_last(config)
    padding = one_of(config, "padding", ("valid", "same"))
    strides, dilation = pair({"strides": 1, **config}, "strides"), pair({"dilation_rate": 1, **config}, "dilation_rate")
    if max(strides) > 1 and max(dilation) > 1:
        raise Misfit("strides and dilation_rate cannot both be larger than 1")
    rows, columns = (
        window(size, k, s, padding, d) for size, k, s, d in zip((height, width), kernel, strides, dilation, strict=True)
    )
    return rows, columns


def bias(config: Json, units: int) -> int:
    """Return the number of biases of `units` units."""
    return units if config.get("use_bias", True) else 0


def conv2d(config: Json, shapes: list[Shape]) -> Cost:
    """Conv2D, in groups."""
    height, width, channels = image(shapes)
    filters, kernel, groups = positive(config, "filters"), pair(config, "kernel_size"), config.get("groups", 1)
    if type(groups) is not int or groups < 1 or channels % groups or filters % groups:
        raise Misfit(f"{channels} channels and {filters} filters cannot be divided into {groups!r} groups")
    rows, columns = windows(config, height, width, kernel)
    each = math.prod(kernel) * (channels // groups)
    out = (rows, columns, filters)
    return Cost(out, each * filters + bias(config, filters), each * math.prod(out))


def conv1d(config: Json, shapes: list[Shape]) -> Cost:
    """Conv1D, in groups: a Conv2D of one column."""
    steps, features = sequence(shapes)
    sides = ("kernel_size", "strides", "dilation_rate")
    column: Json = {side: [single(config, side), 1] for side in sides if side in config}
    cost = conv2d({**config, **column}, [(steps, 1, features)])
    rows, _, filters = cost.shape
    return Cost((rows, filters), cost.parameters, cost.multiply_adds)


def depthwise(config: Json, shapes: list[Shape]) -> Cost:
    """DepthwiseConv2D: every channel separately."""
    height, width, channels = image(shapes)
    kernel, out = (
        pair(config, "kernel_size"),
        channels * positive({"depth_multiplier": 1, **config}, "depth_multiplier"),
    )
    rows, columns = windows(config, height, width, kernel)
    weights = math.prod(kernel) * out
    return Cost((rows, columns, out), weights + bias(config, out), weights * rows * columns)


def separable(config: Json, shapes: list[Shape]) -> Cost:
    """SeparableConv2D: depthwise, then 1 x 1."""
    depth = depthwise({**config, "use_bias": False}, shapes)
    filters = positive(config, "filters")
    rows, columns, middle = depth.shape
    weights = middle * filters
    return Cost(
        (rows, columns, filters),
        depth.parameters + weights + bias(config, filters),
        depth.multiply_adds + weights * rows * columns,
    )


def transposed(config: Json, shapes: list[Shape]) -> Cost:
    """Conv2DTranspose: every input pixel is multiplied with the whole kernel."""
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
    return Cost((rows, columns, filters), each + bias(config, filters), each * height * width)


def pool(config: Json, shapes: list[Shape]) -> Cost:
    """MaxPooling2D and AveragePooling2D."""
    height, width, channels = image(shapes)
    channels_last(config)
    size = pair(config, "pool_size")
    strides = size if config.get("strides") is None else pair(config, "strides")
    padding = one_of(config, "padding", ("valid", "same"))
    rows, columns = (window(side, k, s, padding) for side, k, s in zip((height, width), size, strides, strict=True))
    return Cost((rows, columns, channels), others=rows * columns * channels * math.prod(size))


def global_pool(rank: int) -> Callable[[Json, list[Shape]], Cost]:
    """Global pooling of images (rank 3) or sequences (rank 2)."""

    def cost(config: Json, shapes: list[Shape]) -> Cost:
        channels_last(config)
        shape = image(shapes) if rank == 3 else sequence(shapes)
        kept = (1,) * (rank - 1) if config.get("keepdims") else ()
        return Cost((*kept, shape[-1]), others=math.prod(shape))

    return cost


def dense(config: Json, shapes: list[Shape]) -> Cost:
    """Dense, along the last dimension."""
    (shape,) = only(shapes)
    if not shape:
        raise Misfit("it takes at least one value")
    if config.get("quantization_config") is not None:
        raise Misfit("quantization_config should be null")
    units = positive(config, "units")
    out = (*shape[:-1], units)
    return Cost(out, shape[-1] * units + bias(config, units), math.prod(out) * shape[-1])


def flatten(config: Json, shapes: list[Shape]) -> Cost:
    """Flatten."""
    (shape,) = only(shapes)
    channels_last(config)
    return Cost((math.prod(shape),))


def reshape(config: Json, shapes: list[Shape]) -> Cost:
    """Reshape; one side may be -1."""
    (shape,) = only(shapes)
    target = config.get("target_shape")
    if not isinstance(target, list) or not all(type(n) is int and (n > 0 or n == -1) for n in target):
        raise Misfit(f"target_shape should be a list of whole numbers, not {target!r}")
    known = math.prod(n for n in target if n != -1)
    free = target.count(-1)
    if free > 1 or (math.prod(shape) % known if free else math.prod(shape) != known):
        raise Misfit(f"{math.prod(shape)} values cannot take the shape {target}")
    return Cost(tuple(math.prod(shape) // known if n == -1 else n for n in target))


def permute(config: Json, shapes: list[Shape]) -> Cost:
    """Permute."""
    (shape,) = only(shapes)
    dims = config.get("dims")
    if not isinstance(dims, list) or not all(type(n) is int for n in dims):
        raise Misfit(f"dims should be whole numbers, not {dims!r}")
    if sorted(dims) != list(range(1, len(shape) + 1)):
        raise Misfit(f"dims should name every dimension of {shape} once, counted from 1, not {dims!r}")
    return Cost(tuple(shape[n - 1] for n in dims))


def repeat(config: Json, shapes: list[Shape]) -> Cost:
    """RepeatVector."""
    (shape,) = only(shapes)
    if len(shape) != 1:
        raise Misfit(f"it takes a vector, not {shape}")
    return Cost((positive(config, "n"), *shape))


def same(config: Json, shapes: list[Shape]) -> Cost:
    """A layer without parameters that keeps the shape."""
    return Cost(only(shapes)[0])


def softmax(config: Json, shapes: list[Shape]) -> Cost:
    """Softmax over one axis: over several, Keras exports operators that are not allowed."""
    (shape,) = only(shapes)
    if type(config.get("axis", -1)) is not int:
        raise Misfit(f"axis should be one whole number, not {config.get('axis')!r}")
    axes(config.get("axis", -1), len(shape))
    return Cost(shape)


def prelu(config: Json, shapes: list[Shape]) -> Cost:
    """PReLU: one slope per position, except along shared axes."""
    (shape,) = only(shapes)
    shared = config.get("shared_axes")
    places = axes(shared, len(shape)) if shared else []
    return Cost(shape, math.prod(1 if n in places else size for n, size in enumerate(shape)))


def normalised(shape: Shape, axis: object) -> int:
    """Return the number of values along the axes of a normalization."""
    return math.prod(shape[place] for place in axes(axis, len(shape)))


def batch_norm(config: Json, shapes: list[Shape]) -> Cost:
    """BatchNormalization: mean and variance count as parameters."""
    (shape,) = only(shapes)
    if config.get("renorm"):
        raise Misfit("renorm should be false")
    if type(config.get("axis", -1)) is not int:
        raise Misfit("axis should be a whole number")
    size = normalised(shape, config.get("axis", -1))
    return Cost(shape, size * (2 + bool(config.get("scale", True)) + bool(config.get("center", True))))


def layer_norm(config: Json, shapes: list[Shape]) -> Cost:
    """LayerNormalization."""
    (shape,) = only(shapes)
    size = normalised(shape, config.get("axis", -1))
    if config.get("rms_scaling"):
        raise Misfit("rms_scaling should be false")
    return Cost(shape, size * (bool(config.get("scale", True)) + bool(config.get("center", True))))


def group_norm(config: Json, shapes: list[Shape]) -> Cost:
    """GroupNormalization."""
    (shape,) = only(shapes)
    if not shape or config.get("axis", -1) not in (-1, len(shape)):
        raise Misfit("it takes at least one axis, and normalizes the last")
    groups = config.get("groups", 32)
    if type(groups) is not int or (groups != -1 and (groups < 1 or shape[-1] % groups)):
        raise Misfit(f"{shape[-1]} channels cannot be divided into {groups!r} groups")
    return Cost(shape, shape[-1] * (bool(config.get("scale", True)) + bool(config.get("center", True))))


def sides(config: Json, key: str) -> list[list[int]]:
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


def pad(config: Json, shapes: list[Shape]) -> Cost:
    """ZeroPadding2D."""
    height, width, channels = image(shapes)
    channels_last(config)
    rows, columns = sides(config, "padding")
    return Cost((height + sum(rows), width + sum(columns), channels))


def crop(config: Json, shapes: list[Shape]) -> Cost:
    """Cropping2D."""
    height, width, channels = image(shapes)
    channels_last(config)
    rows, columns = sides(config, "cropping")
    out = (height - sum(rows), width - sum(columns), channels)
    if min(out) < 1:
        raise Misfit(f"nothing is left of {height} x {width}")
    return Cost(out)


def upsample(config: Json, shapes: list[Shape]) -> Cost:
    """UpSampling2D."""
    height, width, channels = image(shapes)
    channels_last(config)
    one_of(config, "interpolation", ("nearest", "bilinear"))
    rows, columns = pair(config, "size")
    return Cost((height * rows, width * columns, channels))


def merge(config: Json, shapes: list[Shape]) -> Cost:
    """Elementwise; sides of 1 are broadcast, as in NumPy."""
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


def subtract(config: Json, shapes: list[Shape]) -> Cost:
    """Subtract: of two."""
    if len(shapes) != 2:
        raise Misfit("it takes two inputs")
    return merge(config, shapes)


def concatenate(config: Json, shapes: list[Shape]) -> Cost:
    """Concatenate along one axis."""
    if len(shapes) < 2 or len({len(shape) for shape in shapes}) > 1:
        raise Misfit("it takes at least two inputs with the same number of dimensions")
    along = axes(config.get("axis", -1), len(shapes[0]))
    if len(along) != 1:
        raise Misfit(f"it takes one axis, not {len(along)}")
    (place,) = along
    if len({(*shape[:place], *shape[place + 1 :]) for shape in shapes}) > 1:
        raise Misfit(f"inputs of {', '.join(map(str, shapes))} differ in more than the concatenation axis")
    first = shapes[0]
    return Cost((*first[:place], sum(shape[place] for shape in shapes), *first[place + 1 :]))


def recurrent(gates: int) -> Callable[[Json, list[Shape]], Cost]:
    """SimpleRNN, GRU and LSTM: 1, 3 and 4 gates."""

    def cost(config: Json, shapes: list[Shape]) -> Cost:
        steps, features = sequence(shapes)
        for key in ("return_state", "stateful", "unroll"):
            if config.get(key):
                raise Misfit(f"{key} should be false")
        units = positive(config, "units")
        weights = gates * units * (features + units)
        biases = 2 if gates == 3 and config.get("reset_after", True) else 1  # cuDNN's GRU has two
        out = (steps, units) if config.get("return_sequences") else (units,)
        return Cost(out, weights + biases * bias(config, gates * units), steps * weights, steps * STEP)

    return cost


def attention(config: Json, shapes: list[Shape]) -> Cost:
    """MultiHeadAttention over sequences."""
    if len(shapes) not in (2, 3) or len({len(shape) for shape in shapes}) > 1 or len(shapes[0]) != 2:
        raise Misfit("it takes query, value and perhaps key, each (steps, features)")
    for name in ("output_shape", "sliding_window"):
        if config.get(name) is not None:
            raise Misfit(f"{name} should be null")
    if config.get("attention_axes") not in (None, [1]):  # Keras writes the steps' axis once the layer is built
        raise Misfit("attention_axes should be null or [1]")
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
