"""GlyphNet, the zoo's own family: a network at every size from 700 parameters to a million."""

from dataclasses import dataclass, replace

from zoo.backend import keras
from zoo.recipes import ZOO, Augmentation
from zoo.registry import register


@dataclass(frozen=True)
class Size:
    """Channels of one member of the family.

    stem: of the convolution at full resolution.
    stages: of the separable blocks, stage by stage; every stage begins by halving height and width.
    epochs: of its recipe: the smaller, the longer it learns, and the less an epoch costs.
    plain: last share of them without augmentation, the larger the less a member can overfit.
    full: whether blocks are full convolutions with ReLU, else separable ones with swish. Processors with matrix units
        take no longer for full ones, in bfloat16; and so large a member bears images that are bent as well.
    attention: whether each block weighs its channels by what they are in the mean over the image.
    seeds: that it is trained from.
    """

    stem: int
    stages: tuple[tuple[int, ...], ...]
    epochs: int
    plain: float
    full: bool = False
    attention: bool = False
    seeds: int = 3


SIZES = {
    "glyphnet_700": Size(4, ((8, 8), (10, 8)), 100, plain=0.5),
    "glyphnet_2k": Size(8, ((12, 12), (16, 16), (20,)), 60, plain=0.25, attention=True, seeds=5),
    "glyphnet_5k": Size(16, ((24, 24), (32, 48)), 30, plain=0.25),
    "glyphnet_10k": Size(16, ((32, 32), (64, 64)), 25, plain=0.25),
    "glyphnet_15k": Size(16, ((40, 40), (80, 80)), 25, plain=0.25),
    "glyphnet_100k": Size(16, ((48, 48), (64, 64)), 16, plain=0.25, full=True),
    "glyphnet_300k": Size(32, ((64, 64), (128, 128)), 16, plain=0.25, full=True, seeds=5),
    "glyphnet_1m": Size(32, ((96, 96), (192, 192, 192)), 16, plain=0.25, full=True),
}


def glyphnet(name: str, size: Size, input_shape: tuple[int, int, int], num_classes: int):
    """Build one member: a convolution, then stages of residual blocks, the mean over what is left, and one layer."""
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


def _block(x, channels: int, size: Size):
    """One convolution, BatchNorm, around a shortcut where the channels allow (He et al., 2016).

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
        y = _weighed(y)
    if x.shape[-1] == channels:
        y = layers.Add()([x, y])
    return _activated(y, size.full)


def _weighed(x):
    """Weigh the channels by one convolution over their means: six parameters (Wang et al., 2020, "ECA-Net")."""
    layers = keras.layers
    channels = x.shape[-1]
    means = layers.Reshape((channels, 1))(layers.GlobalAveragePooling2D()(x))
    weights = layers.Conv1D(1, 5, padding="same", activation="sigmoid")(means)
    return layers.Multiply()([x, layers.Reshape((1, 1, channels))(weights)])


def _activated(x, full: bool):
    return keras.layers.Activation("relu" if full else "swish")(x)


NOTES = """
A convolution of 3 x 3, then stages of residual blocks, each stage at half the height and width of the one before; the
mean over what is left of the image, and one layer. Up to 15,000 parameters a block is separable (depthwise 3 x 3,
pointwise, BatchNorm, swish), above that a full convolution (3 x 3, BatchNorm, ReLU), trained in bfloat16. Blocks of the
2k weigh their channels besides. BatchNorm is folded when the network is published, and its parameters are counted so.

What was tried, on validation alone, one seed and ten epochs of mnist each. The 2k: swish 99.00%, ReLU 98.50%; highest
learning rate 2e-2 instead of 1e-2 99.02%; without label smoothing 98.96%. The 700: four narrow blocks 97.72%, three
wider ones 97.04% and 96.04%; the widths of the best that is published at this size, at one halving, 97.40%; one block
of 13 channels used four times 96.30%; without augmentation and label smoothing 97.84%. In sixteen epochs, the 2k 99.24%
and one of five narrower blocks 98.90%.

Those 2k are of two stages, (16, 16) and (16, 24). In twelve epochs, the last half plain, one seed, losses besides,
which vary less by chance than 5,000 answers: as they are 99.22%, loss 0.3350; with weighed channels 99.16%, 0.3227; of
three stages 99.14%, 0.3270; of three, with weighed channels 99.16%, 0.3170, which is how it stands here. Of two again:
swish after the depthwise convolution too 99.02%, 0.3348, with BatchNorm before it 99.12%, 0.3322; no activation after
the shortcut 98.98%, 0.3452; depthwise 5 x 5, at 2,506 parameters, 99.26%, 0.3217. The 700 reads 97.98% so, and 97.38%
with weighed channels, at 688 parameters.

Augmentation costs what is too small to overfit. The 2k in sixteen epochs: 99.04% with it throughout, 99.12% at half its
strength, 99.10% where the last quarter of the epochs goes without it, 99.24% where the last half does, 99.18% where all
do; one seed each. Five epochs more, without it, took finished networks, three seeds each, from 99.05% to 99.21% (2k)
and from 97.99% to 98.30% (700); one of ahcd from 97.02% to 97.47% and one of ahdd from 99.34% to 99.46% (10k). The 100k
of ahcd, separable then, fell from 97.32% to 96.95%. A 5k whose last half went without read
99.40%, at 99.71% of its training images; the mean of three with augmentation throughout is 99.47%. By the recipe that
stands here, mean of so many seeds, beside three with augmentation throughout: 700 98.57%, three (97.99% in 40 epochs
instead of 100; one seed in 60 epochs, the last half without, 98.52%); 2k of two stages, the last half without, 99.20%,
three (99.05% in 40 epochs instead of 60); 5k 99.50%, three (99.47%); 10k of mnist 99.55%, three (99.57%), of ahdd
99.39%, three (99.31%), of ahcd 97.30%, three (96.77%). The 2k of three stages reads 99.26% where the last half goes
without, one seed, at 99.61% of its training images, and 99.40% in the mean of epochs 41 to 46; where the last quarter
does, 99.28%, three.

The 300k and the 1m see bent images besides. In fourteen epochs of mnist, augmented to the end, the 300k reads 99.68%,
and 99.72% at a highest learning rate of 3e-3; one seed each. Of ahdd, in twelve, 99.32%, and 99.50% where the last
quarter goes without. By the recipe that stands here, mean of five: mnist 99.75%, ahdd 99.49%, ahcd 97.44%; the 1m, mean
of three: 99.76%, 99.45% and 97.49%. So ahdd and ahcd gain nothing above 300,000 parameters. The answers of a 300k to
the image moved by a pixel, turned or sheared, in the mean with that to the image as it is, have 11 to 14 errors of
5,000 instead of 12.

In twice the epochs, all augmented, one seed, the separable 100k reads the same 99.64% and the 5k 99.42% instead of 99.50%, which
is within chance: nothing that pays for the time. Nor does a teacher. Ten epochs of the 2k, that 100k's answers to the
images as they are: 99.04% without it, 98.98% where they are half of a target, 98.94% where they are nine tenths and
labels are not smoothed, 98.66% where they are nine tenths at a temperature of two. Sixteen epochs, the answers of the
300k to the very images that the student sees, nine tenths of a target: 99.26%, instead of 99.24%.

What it reached, by the recipe that stands here, is in the table of the README, each size beside its goal. What remains:
more seeds, thousands of epochs for the 700, and bent images and a plain end for the 100k of mnist and ahdd.
"""


def _register(name: str, size: Size) -> None:
    def build(input_shape, num_classes):
        return glyphnet(name, size, input_shape, num_classes)

    build.__name__ = name
    blocks = "residual blocks after He et al., 2016" if size.full else "separable blocks after Howard et al., 2017"
    title = f"GlyphNet {name.partition('_')[2]} (the zoo's own family; {blocks})."
    build.__doc__ = f"{title}\n{NOTES}"
    recipe = replace(ZOO, epochs=size.epochs, learning_rate=1e-2, plain=size.plain)
    if size.full:
        recipe = replace(recipe, precision="mixed_bfloat16", augmentation=Augmentation(elastic=0.04))
    register(folded=True, seeds=size.seeds, zoo=recipe)(build)


for _name, _size in SIZES.items():
    _register(_name, _size)
