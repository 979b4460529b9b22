"""ResCo-Mini, a small residual network for Arabic digits."""

from dataclasses import replace

from zoo.backend import keras
from zoo.recipes import ZOO, Plateau, Recipe
from zoo.registry import GLYPH_SETS, LETTERS, register
from zoo.types import Shape


@register(
    datasets=(*GLYPH_SETS, LETTERS),
    paper=Recipe(
        name="paper",
        epochs=50,
        early_stopping=15,
        plateau=Plateau(factor=0.5, patience=7, floor=1e-5),
        validation_share=0.2,
    ),
    zoo=replace(ZOO, epochs=8),  # an epoch costs a minute and more on two cores
)
def resco_mini(input_shape: Shape, num_classes: int) -> "keras.Model":
    """ResCo-Mini (RuwaYafa, DL_CNN, 2024; residual blocks after He et al., 2016, "Deep residual learning").

    606,282 parameters (604,426 trainable) at (28, 28, 1) and 10 classes in training.

    The recipe `paper` follows the publication as far as it says:

    | setting | publication | here |
    | --- | --- | --- |
    | L2 of 1e-4 | on all convolutions in one reading, on the 3 x 3 ones in another | on the 3 x 3 ones |
    | epochs, batch, callbacks | 50, 128, patience 15, plateau x 0.5 after 7, floor 1e-5 | the same |
    | validation | last 20% of the training rows | the same |
    | least gain of a plateau | not given | 1e-4, Keras' default |
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = _conv3x3(x, 32)
    x = layers.ReLU()(x)
    for filters, stride in ((32, 1), (64, 2), (128, 2), (128, 1)):  # 28, 14, 7, 7
        x = _residual_block(x, filters, stride)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="resco_mini")


def _residual_block(x: "keras.KerasTensor", filters: int, stride: int) -> "keras.KerasTensor":
    layers = keras.layers
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = layers.Conv2D(filters, 1, strides=stride)(x)
        shortcut = layers.BatchNormalization()(shortcut)
    y = _conv3x3(x, filters, stride)
    y = layers.ReLU()(y)
    y = _conv3x3(y, filters)
    return layers.ReLU()(layers.Add()([y, shortcut]))


def _conv3x3(x: "keras.KerasTensor", filters: int, stride: int = 1) -> "keras.KerasTensor":
    layers = keras.layers
    x = layers.Conv2D(filters, 3, strides=stride, padding="same", kernel_regularizer=keras.regularizers.L2(1e-4))(x)
    return layers.BatchNormalization()(x)
