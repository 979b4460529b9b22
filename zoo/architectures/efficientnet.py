"""EfficientNet, scaled down to glyphs; pages are seen by the same network with more strides."""

import math
from dataclasses import replace

from zoo.backend import keras
from zoo.recipes import ZOO
from zoo.registry import GLYPH_SETS, register
from zoo.types import Shape

STAGES = ((3, 16, 1), (3, 24, 2), (5, 40, 2), (5, 64, 1))  # side of the depthwise kernel, channels, blocks
EXPANSION = 4  # of the channels inside a block
SQUEEZE = 4  # of the block's channels, between the two layers of channel attention
LAST_SIDE = 7  # pixels, about: height and width at the end


@register(
    datasets=(*GLYPH_SETS, "pages70"),
    zoo=replace(ZOO, epochs=8, views=2000),
)
def efficientnet(input_shape: Shape, num_classes: int) -> "keras.Model":
    """EfficientNet (Tan and Le, 2019), about a tenth of B0 in width and depth.

    Inverted residual blocks (Sandler et al., 2018) with squeeze and excitation (Hu et al., 2018) and swish. The stem
    and as many stages as it takes to come down to some seven pixels halve height and width. BatchNorm is folded at
    export.

    On pages, eight epochs of 2,000 patches from random weights do not reach a pretrained MobileNetV2. The statistics of
    BatchNorm are its weak spot there: with another draw of 2,000 patches for them, the accuracy of the same weights on
    held-out patches differs by several points. More patches, for the weights and for the statistics, were not tried.
    """
    layers = keras.layers
    halvings = max(1, round(math.log2(min(input_shape[:2]) / LAST_SIDE)))
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("swish")(x)
    for number, (side, channels, blocks) in enumerate(STAGES):
        for block in range(blocks):
            # From the second stage on, as in the paper; the first, one of few channels, only where all have to.
            strides = 2 if block == 0 and (number - 1) % len(STAGES) < halvings - 1 else 1
            x = _block(x, side, channels, strides)
    x = layers.Conv2D(160, 1, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("swish")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="efficientnet")


def _block(x: "keras.KerasTensor", side: int, channels: int, strides: int) -> "keras.KerasTensor":
    """Expand, depthwise convolution, channel attention, project; with a shortcut if the shapes are equal."""
    layers = keras.layers
    inner = EXPANSION * x.shape[-1]
    y = layers.Conv2D(inner, 1, use_bias=False)(x)
    y = layers.BatchNormalization()(y)
    y = layers.Activation("swish")(y)
    y = layers.DepthwiseConv2D(side, strides=strides, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    y = layers.Activation("swish")(y)
    weights = layers.GlobalAveragePooling2D(keepdims=True)(y)
    weights = layers.Conv2D(x.shape[-1] // SQUEEZE, 1, activation="swish")(weights)
    weights = layers.Conv2D(inner, 1, activation="sigmoid")(weights)
    y = layers.Multiply()([y, weights])
    y = layers.Conv2D(channels, 1, use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    return layers.Add()([x, y]) if strides == 1 and x.shape[-1] == channels else y
