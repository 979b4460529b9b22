"""The network of the public AHCD letter recognizer."""

from dataclasses import replace

from zoo.backend import keras
from zoo.recipes import ZOO, Recipe
from zoo.registry import register
from zoo.types import Shape


@register(
    undamaged=("ahcd",),  # validation, one training each: 96.1% without damage, 93.8% with it
    minimum_size=16,  # 16 -> 12 -> 6 -> 2 -> 1
    # The document names no validation samples and no rule that ends the training: ours watch, the last epoch is kept.
    paper=Recipe(name="paper", epochs=10, batch_size=32, keep="last"),
    zoo=replace(ZOO, epochs=20),
)
def ahcd_cnn(input_shape: Shape, num_classes: int) -> "keras.Model":
    """AHCD CNN (public notebook on Arabic letters): two 5 x 5 convolutions and one very wide dense layer.

    1,720,220 parameters at (32, 32, 1) and 28 classes.

    The recipe `paper` follows the notebook as far as it says:

    | setting | publication | here |
    | --- | --- | --- |
    | training samples | 13,440 | 12,096: 1,344 are held out for validation |
    | epochs, batch | 10, 32 | the same, the last epoch is kept |
    | learning rate of Adam | not given | 1e-3, Keras' default |
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters in (32, 64):  # 32 -> 28 -> 14 -> 10 -> 5
        x = layers.Conv2D(filters, 5, activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)  # 1600
    x = layers.Dense(1024, activation="relu")(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="ahcd_cnn")
