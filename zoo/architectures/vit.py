"""A small vision transformer for glyphs and pages."""

from dataclasses import replace

from zoo.backend import keras
from zoo.recipes import ZOO
from zoo.registry import GLYPH_SETS, register
from zoo.types import Shape

WIDTH = 64  # of a token
DEPTH = 3
HEADS = 4
GRID = 7  # tokens across and down a square glyph; a page has twice as many, else a stroke is lost in its patch
PAGE = 128  # pixels: a smaller image is a glyph


@register(
    datasets=(*GLYPH_SETS, "pages70"),
    zoo=replace(ZOO, epochs=8, learning_rate=1e-3, views=2000),
)
def vit(input_shape: Shape, num_classes: int) -> "keras.Model":
    """Vision transformer (Dosovitskiy et al., 2021) of three layers, its patches seen through a convolution.

    Two convolutions make the tokens (Xiao et al., 2021, "Early convolutions help transformers see better"); a depthwise
    convolution over the grid of tokens encodes positions (Chu et al., 2021), so the same weights work for any size; the
    prediction is from the mean of the tokens.

    On pages it stays near chance in eight epochs of 2,000 patches from random weights, where a smaller EfficientNet
    recognizes most of them. Pretraining or many more epochs were not tried.
    """
    layers = keras.layers
    tokens = GRID if min(input_shape[:2]) < PAGE else 2 * GRID
    patch = max(2, min(input_shape[:2]) // tokens)
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(WIDTH // 2, 3, strides=2, padding="same", activation="gelu")(x)
    x = layers.Conv2D(WIDTH, 3, strides=patch // 2, padding="same")(x)
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.Reshape((-1, WIDTH))(x)
    for _ in range(DEPTH):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.Dense(2 * WIDTH, activation="gelu")(y)
        y = layers.Dense(WIDTH)(y)
        x = layers.Add()([x, y])
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.GlobalAveragePooling1D()(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="vit")
