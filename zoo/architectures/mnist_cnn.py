"""The plain two-convolution network of many MNIST tutorials."""

from dataclasses import replace

from zoo.backend import keras
from zoo.recipes import ZOO, Plateau, Recipe
from zoo.registry import register
from zoo.types import Shape


@register(
    paper=Recipe(
        name="paper",
        epochs=20,
        batch_size=32,
        early_stopping=5,
        plateau=Plateau(factor=0.1, patience=10, floor=0.0),  # Keras' defaults
        validation_share=0.2,
    ),
    zoo=replace(ZOO, epochs=20),
)
def mnist_cnn(input_shape: Shape, num_classes: int) -> "keras.Model":
    """MNIST CNN (public MNIST tutorial network): two convolutions and one wide dense layer.

    421,642 parameters at (28, 28, 1) and 10 classes.

    The recipe `paper` follows the tutorial as far as it says:

    | setting | publication | here |
    | --- | --- | --- |
    | plateau | named, no numbers | Keras' defaults, x 0.1 after 10; x 0.5 after 3 before 26 November 2026 |
    | early stopping | named, no numbers; stopped after 14 epochs | 5, a guess: Keras' 0 stops sooner |
    | validation | not given | last 20% of the training rows, a guess |
    | epochs, batch | at most 20, 32 | the same |
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters in (32, 64):  # 28 -> 14 -> 7
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)  # 3136
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="mnist_cnn")
