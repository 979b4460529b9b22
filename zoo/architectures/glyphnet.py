"""GlyphNet, the zoo's own family of networks, from 700 to a million parameters."""

from dataclasses import dataclass, replace

from zoo.backend import keras
from zoo.recipes import ZOO, Augmentation
from zoo.registry import GLYPH_SETS, LETTERS, register
from zoo.types import Shape


@dataclass(frozen=True)
class Size:
    """One member of the family.

    stem: channels of the convolution at full resolution.
    stages: channels of the blocks of each stage; every stage begins by halving height and width.
    epochs: of its recipe; smaller members are trained for longer, and their epochs are cheaper.
    no_augmentation: last share of the epochs without augmentation, larger for members that cannot overfit.
    full: whether blocks are full convolutions with ReLU, else separable ones with swish. On processors with matrix
        units, full ones take no longer in bfloat16. These members are also trained with elastic distortion.
    attention: whether blocks have channel attention.
    robust: whether it is trained with damaged images and images of no class, for which the smallest have no capacity.
    seeds: number of trainings.
    """

    stem: int
    stages: tuple[tuple[int, ...], ...]
    epochs: int
    no_augmentation: float
    full: bool = False
    attention: bool = False
    robust: bool = True
    seeds: int = 3


SIZES = {
    "glyphnet_700": Size(4, ((8, 8), (10, 8)), 100, no_augmentation=0.5, robust=False),
    "glyphnet_2k": Size(
        8, ((12, 12), (16, 16), (20,)), 60, no_augmentation=0.25, attention=True, robust=False, seeds=5
    ),
    "glyphnet_5k": Size(16, ((24, 24), (32, 48)), 30, no_augmentation=0.25),
    "glyphnet_10k": Size(16, ((32, 32), (64, 64)), 25, no_augmentation=0.25),
    "glyphnet_15k": Size(16, ((40, 40), (80, 80)), 25, no_augmentation=0.25),
    "glyphnet_100k": Size(16, ((48, 48), (64, 64)), 16, no_augmentation=0.25, full=True),
    "glyphnet_300k": Size(32, ((64, 64), (128, 128)), 16, no_augmentation=0.25, full=True, seeds=5),
    "glyphnet_1m": Size(32, ((96, 96), (192, 192, 192)), 16, no_augmentation=0.25, full=True),
}


def glyphnet(name: str, size: Size, input_shape: Shape, num_classes: int) -> "keras.Model":
    """Build one member: a convolution, stages of residual blocks, global average pooling and a dense layer."""
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(size.stem, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = _activated(x, size.full)
    for stage in size.stages:
        x = layers.MaxPooling2D(2)(x)
        for channels in stage:
            x = _block(x, channels, size)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name=name)


def _block(x: "keras.KerasTensor", channels: int, size: Size) -> "keras.KerasTensor":
    """One convolution and BatchNorm, with a shortcut if the number of channels is equal (He et al., 2016).

    It is 3 x 3 if full, else a depthwise 3 x 3 and a pointwise 1 x 1 (Howard et al., 2017).
    """
    layers = keras.layers
    if size.full:
        y = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
    else:
        y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        y = layers.Conv2D(channels, 1, use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    if size.attention:
        y = _attended(y)
    if x.shape[-1] == channels:
        y = layers.Add()([x, y])
    return _activated(y, size.full)


def _attended(x: "keras.KerasTensor") -> "keras.KerasTensor":
    """Channel attention: scale channels by a convolution over their means (Wang et al., 2020, "ECA-Net")."""
    layers = keras.layers
    channels = x.shape[-1]
    means = layers.Reshape((channels, 1))(layers.GlobalAveragePooling2D()(x))
    weights = layers.Conv1D(1, 5, padding="same", activation="sigmoid")(means)
    return layers.Multiply()([x, layers.Reshape((1, 1, channels))(weights)])


def _activated(x: "keras.KerasTensor", full: bool) -> "keras.KerasTensor":
    return keras.layers.Activation("relu" if full else "swish")(x)


ON_ALNUM = ("glyphnet_10k", "glyphnet_300k")  # sizes that also have networks for digits and letters together

NOTES = """
A 3 x 3 convolution, then stages of residual blocks, each at half the height and width of the stage before, then global
average pooling and one dense layer with a softmax. It maps raw uint8 images (N, height, width, channels) to float32
probabilities (N, classes).

- Up to 15,000 parameters, a block is separable: depthwise 3 x 3, pointwise, BatchNorm, swish.
- Above that, a block is a full convolution: 3 x 3, BatchNorm, ReLU, trained in bfloat16 with elastic distortion.
- The blocks of the 2k have channel attention (Wang et al., 2020, "ECA-Net").
- Up to 2,000 parameters, no image is damaged in training and none is of no class: these sizes have no capacity for it.

All sizes share one recipe; the number of epochs and the length of the no-augmentation phase differ. BatchNorm is folded
when the network is exported, and parameters are counted after that. The experiments behind these choices are in
`docs/research/glyphnet.md`, the test scores and goals of each size in `docs/board.md`.
"""


def _register(name: str, size: Size) -> None:
    def build(input_shape: Shape, num_classes: int) -> "keras.Model":
        return glyphnet(name, size, input_shape, num_classes)

    build.__name__ = name
    blocks = "residual blocks after He et al., 2016" if size.full else "separable blocks after Howard et al., 2017"
    title = f"GlyphNet {name.partition('_')[2]} (the zoo's own family; {blocks})."
    build.__doc__ = f"{title}\n{NOTES}"
    recipe = replace(ZOO, epochs=size.epochs, learning_rate=1e-2, no_augmentation=size.no_augmentation)
    if not size.robust:
        recipe = replace(recipe, damaged=0.0, outliers=0.0)
    if size.full:
        recipe = replace(recipe, precision="mixed_bfloat16", augmentation=Augmentation(elastic=0.04))
    mixed = ("alnum",) if name in ON_ALNUM else ()
    register(datasets=(*GLYPH_SETS, LETTERS, *mixed), seeds=size.seeds, zoo=recipe)(build)


for _name, _size in SIZES.items():
    _register(_name, _size)
