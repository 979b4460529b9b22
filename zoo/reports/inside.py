"""What is inside a network: its layers as rows of a picture, its learned filters, what they make of one example."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.backend import keras as _keras
from zoo.errors import ZooError
from zoo.types import Json

if TYPE_CHECKING:
    import keras

MOST_MAPS = 24  # of a layer
MAP_LAYERS = 4  # shown, spread evenly over the depth
LEAST_SIDE = 3  # pixels; smaller maps are numbers, not pictures
MAP_SIDE = 32  # pixels; larger maps are averaged down
SECOND_LAYER = 16  # filters, and inputs of each, that are shown of a layer behind the first
MOST_ROWS = 32  # of an architecture's picture; a longer one is folded

# Layers that are named in the row before: they change values, but no sizes.
_JOINED = ("BatchNormalization", "LayerNormalization", "Activation", "ReLU", "LeakyReLU", "Softmax", "Dropout",
           "SpatialDropout2D", "Rescaling", "Flatten")  # fmt: skip
_WORDS = {
    "BatchNormalization": "batch norm", "LayerNormalization": "layer norm", "ZeroPadding2D": "zero padding",
    "Rescaling": "scaling", "Flatten": "flattened", "MaxPooling2D": "max pool", "AveragePooling2D": "average pool",
    "GlobalAveragePooling2D": "global average pool", "GlobalMaxPooling2D": "global max pool", "Add": "sum",
    "Concatenate": "joined", "InputLayer": "image", "Resizing": "resized", "Dropout": "dropout",
    "SpatialDropout2D": "dropout",
}  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """Small pictures of one layer.

    title: what they are.
    images: (N, h, w); int8 are weights, 127 the largest of the layer; uint8 are activations, each map in its own range.
    columns: how many stand side by side.
    """

    title: str
    images: np.ndarray
    columns: int


@dataclass(frozen=True)
class Inside:
    """What `look` finds.

    rows: the picture of the architecture from the image down, plain JSON types: text, kind ("image", "convolution",
        "pooling", "dense" or "other"), shape (of the output, without the batch), parameters, sources (rows that it
        reads; the row before unless said otherwise).
    filters: the weights of the first two layers of convolutions.
    maps: the activations of some layers for one example.
    example: uint8 (H, W), that example; None where none was given.
    """

    rows: list[Json]
    filters: tuple[Pictures, ...]
    maps: tuple[Pictures, ...]
    example: np.ndarray | None


def look(model: "keras.Model", example: np.ndarray | None = None) -> Inside:
    """Open a network.

    Args:
        model: from uint8 images to probabilities; a backbone within it may be a model of its own.
        example: uint8 (H, W, C), one image as the network takes it; without it there are no maps.

    Raises:
        ZooError: the example has another shape than the network's images.
    """
    shape = tuple(model.input_shape[1:])
    if example is not None and example.shape != shape:
        raise ZooError(f"The example should be an image of {shape} as {model.name} takes it, not {example.shape}.")
    maps = () if example is None else tuple(_maps(model, example))
    return Inside(_rows(model), tuple(_filters(model)), maps, None if example is None else example[..., 0])


def mosaic(pictures: Pictures, fill: int = 0, gap: int = 1) -> np.ndarray:
    """Return the pictures as one array, row by row with `gap` pixels of `fill` between them, in their own dtype."""
    count, height, width = pictures.images.shape
    columns = min(pictures.columns, count)
    rows = -(-count // columns)
    out = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), fill, pictures.images.dtype)
    for place, image in enumerate(pictures.images):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        out[top : top + height, left : left + width] = image
    return out


# The picture of the architecture


def _rows(model: "keras.Model") -> list[Json]:
    rows: list[Json] = []
    place: dict[str, int] = {}  # layer -> the row that it is in
    tip: dict[int, str] = {}  # row -> its last layer, which others read
    for layer, sources in _graph(model):
        kind = type(layer).__name__
        behind = rows and len(sources) == 1 and tip[place[sources[0]]] == sources[0]
        if kind in _JOINED and behind:
            row = place[sources[0]]
            if words := _words(layer):
                rows[row]["text"] += f", {words}"
            rows[row]["parameters"] += _parameters(layer)
        else:
            row = len(rows)
            reads = [place[source] for source in sources]
            rows.append({"text": _words(layer) or kind, "kind": _kind(layer), "parameters": _parameters(layer),
                         "sources": reads})  # fmt: skip
        rows[row]["shape"] = [int(n) for n in _shape(layer) if n is not None]
        place[layer.name], tip[row] = row, layer.name
    return rows if len(rows) <= MOST_ROWS else _folded(rows)


def _graph(model: "keras.Model") -> Iterator[tuple["keras.Layer", list[str]]]:
    """Yield every layer, and every bare operation, with the names of those that it reads."""
    said = {entry["config"]["name"]: entry for entry in model.get_config()["layers"]}
    for layer in model.operations:
        yield layer, list(dict.fromkeys(_histories(said[layer.name]["inbound_nodes"])))


def _histories(value: object) -> Iterator[str]:
    """Yield the layers that a stored call of a layer reads, as Keras writes them."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"][0]
        else:
            for inner in value.values():
                yield from _histories(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _histories(inner)


def _folded(rows: list[Json]) -> list[Json]:
    """Put the rows between two changes of the picture's size into one."""
    out: list[Json] = []
    group: list[Json] = []

    def close() -> None:
        if len(group) == 1:
            out.append({**group[0], "sources": [len(out) - 1]})
        elif group:
            out.append({"text": f"{len(group)} steps, the last: {group[-1]['text']}", "kind": group[0]["kind"],
                        "parameters": sum(row["parameters"] for row in group), "shape": group[-1]["shape"],
                        "sources": [len(out) - 1]})  # fmt: skip
        group.clear()

    for row in rows:
        if row["kind"] == "image" or (group and row["shape"][:-1] != group[-1]["shape"][:-1]):
            close()
        group.append(row)
        if row["kind"] == "image":
            close()
    close()
    out[0]["sources"] = []
    return out


def _parameters(layer: "keras.Layer") -> int:
    return layer.count_params() if isinstance(layer, _keras.Layer) else 0


def _shape(layer: "keras.Layer") -> tuple[int | None, ...]:
    output = layer.output[0] if isinstance(layer.output, list) else layer.output
    shape: tuple[int | None, ...] = output.shape[1:]
    return shape


def _kind(layer: "keras.Layer") -> str:
    name = type(layer).__name__
    if isinstance(layer, _keras.Model) or "Conv" in name:
        return "convolution"
    kinds = {"InputLayer": "image", "Dense": "dense"}
    return kinds.get(name, "pooling" if "Pooling" in name else "other")


def _words(layer: "keras.Layer") -> str:
    """Return what a layer does in a few words; nothing for an activation that changes nothing."""
    kind = type(layer).__name__
    name = _WORDS.get(kind, kind)
    if isinstance(layer, _keras.Model):
        return f"{layer.name}, {len(layer.layers)} layers"
    if "Conv" in kind:
        size = "×".join(map(str, layer.kernel_size))
        stride = f", stride {layer.strides[0]}" if max(layer.strides) > 1 else ""
        count = getattr(layer, "filters", None)  # a depthwise one has none
        filters = "one filter a channel" if count is None else "one filter" if count == 1 else f"{count} filters"
        return f"{size} convolution, {filters}{stride}{_activation(layer)}"
    if kind == "Dense":
        return f"dense, {layer.units} units{_activation(layer)}"
    if kind in ("MaxPooling2D", "AveragePooling2D"):
        stride = f", stride {layer.strides[0]}" if layer.strides != layer.pool_size else ""
        return f"{'×'.join(map(str, layer.pool_size))} {name}{stride}"
    if "Dropout" in kind:
        return f"{name} {layer.rate:g}"
    if kind == "Resizing":
        return f"{name} to {layer.height} × {layer.width}"
    if kind == "Activation":
        return _activation(layer).removeprefix(", ")
    return name


def _activation(layer: "keras.Layer") -> str:
    name = getattr(layer.activation, "__name__", "linear")
    return "" if name == "linear" else f", {'ReLU' if name == 'relu' else name}"


# Filters and maps


def _filters(model: "keras.Model") -> Iterator[Pictures]:
    # A 1 x 1 kernel is a number, not a picture.
    layers = [x for x in _flat(model) if type(x).__name__ == "Conv2D" and max(x.kernel_size) > 1][:2]
    for depth, layer in enumerate(layers):
        weights = np.asarray(_keras.ops.convert_to_numpy(layer.kernel), np.float32)  # (h, w, inputs, filters)
        count, inputs = weights.shape[3], weights.shape[2]
        if depth == 0:  # every channel of the image is the same gray: the filter that it sees is the sum
            images = weights.sum(axis=2).transpose(2, 0, 1)
            title, columns = f"all {count} filters of the first convolution", min(count, 16)
        else:
            columns, rows = min(count, SECOND_LAYER), min(inputs, SECOND_LAYER)
            images = weights[:, :, :rows, :columns].transpose(2, 3, 0, 1).reshape(-1, *weights.shape[:2])
            title = f"{_of(columns, count)} filters of the second convolution, a column each"
            title += f", over {_of(rows, inputs)} inputs"
        largest = max(float(np.abs(images).max()), 1e-12)
        yield Pictures(title, np.rint(127 * images / largest).astype(np.int8), columns)


def _maps(model: "keras.Model", example: np.ndarray) -> Iterator[Pictures]:
    named = list(_spatial(model))
    chosen = sorted({round(i) for i in np.linspace(0, len(named) - 1, min(MAP_LAYERS, len(named)))}) if named else []
    trunk, value = _trunk(model, example[None])
    tensors = [named[i][1] for i in chosen]
    outputs = _keras.tree.flatten(_keras.Model(trunk.inputs, tensors)([value], training=False)) if tensors else []
    for i, output in zip(chosen, outputs, strict=True):
        values = np.asarray(_keras.ops.convert_to_numpy(output), np.float32)[0].transpose(2, 0, 1)  # (maps, h, w)
        kept = values[:MOST_MAPS]
        low, high = (pick(kept, axis=(1, 2), keepdims=True) for pick in (np.min, np.max))
        grey = np.rint(255 * (kept - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
        title = f"{named[i][0]}: {_of(len(kept), len(values))} maps of {values.shape[1]} × {values.shape[2]}"
        yield Pictures(title, np.stack([_smaller(image) for image in grey]), 12)


def _spatial(model: "keras.Model") -> Iterator[tuple[str, object]]:
    """Yield a name and the tensor behind every convolution: after its normalization and activation, before a pool."""
    model = _backbone(model) or model
    layers = {layer.name: layer for layer in model.layers}
    readers: dict[str, list[str]] = {}
    for layer, sources in _graph(model):
        for source in sources:
            readers.setdefault(source, []).append(layer.name)
    count = 0
    for layer in model.layers:
        if type(layer).__name__ not in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D") or max(layer.kernel_size) == 1:
            continue
        count += 1
        end = layer
        while len(next_ones := readers.get(end.name, [])) == 1:
            follower = layers[next_ones[0]]
            if type(follower).__name__ not in ("BatchNormalization", "Activation", "ReLU", "LeakyReLU"):
                break
            end = follower
        if min(end.output.shape[1:3]) >= LEAST_SIDE:
            yield f"convolution {count}", end.output


def _backbone(model: "keras.Model") -> "keras.Model | None":
    """Return the model within a model, such as a pretrained backbone; None if there is none."""
    return next((layer for layer in model.layers if isinstance(layer, _keras.Model)), None)


def _trunk(model: "keras.Model", value: np.ndarray) -> tuple["keras.Model", "np.ndarray | keras.KerasTensor"]:
    """Return the model whose layers are looked at and what it is given for these images."""
    backbone = _backbone(model)
    if backbone is None:
        return model, value
    (source,) = next(sources for layer, sources in _graph(model) if layer is backbone)
    before = _keras.Model(model.inputs, model.get_layer(source).output)
    return backbone, before([value], training=False)


def _flat(model: "keras.Model") -> Iterator["keras.Layer"]:
    for layer in model.layers:
        if isinstance(layer, _keras.Model):
            yield from _flat(layer)
        else:
            yield layer


def _of(some: int, total: int) -> str:
    return f"all {total}" if some == total else f"{some} of {total}"


def _smaller(image: np.ndarray) -> np.ndarray:
    if max(image.shape) <= MAP_SIDE:
        return image
    import cv2

    scale = MAP_SIDE / max(image.shape)
    size = tuple(max(1, round(side * scale)) for side in image.shape[::-1])
    smaller: np.ndarray = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return smaller
