"""AlexNet with batch normalization, on glyphs enlarged inside the graph."""

from dataclasses import replace

from zoo.backend import keras
from zoo.recipes import ZOO, Plateau, Recipe
from zoo.registry import register
from zoo.types import Shape

SIDE = 227  # pixels: what the first convolution's stride of 4 is made for


@register(
    datasets=("ahdd",),  # some 400 TFLOP an epoch of 60,000 images: a GPU's work
    minimum_size=1,
    for_accelerators=True,
    paper=Recipe(
        name="paper",
        epochs=50,
        optimizer="sgd",
        momentum=0.9,
        learning_rate=0.01,
        early_stopping=10,
        plateau=Plateau(factor=0.5, patience=5, floor=1e-5),
        validation_share=0.2,
    ),
    zoo=replace(ZOO, epochs=12, optimizer="sgd", momentum=0.9, learning_rate=0.02, precision="mixed_bfloat16"),
)
def alexnet(input_shape: Shape, num_classes: int) -> "keras.Model":
    """AlexNet (Krizhevsky et al., 2012; with batch normalization, as in the ResCo-Mini project).

    58,327,818 parameters at 10 classes in training. Any input is resized to 227 x 227 and repeated to 3 channels in the
    graph.

    The recipe `paper` follows the ResCo-Mini project as far as it says:

    | setting | publication | here |
    | --- | --- | --- |
    | precision | not given | float32, Keras' default; bfloat16 before 26 November 2026 |
    | decay of the learning rate | an argument that Keras 3 ignores | none |
    | validation | last 20% of the training rows | the same |
    | least gain of a plateau | not given | 1e-4, Keras' default |
    | place of BatchNorm | after the activation | the same, so it cannot be folded |
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Resizing(SIDE, SIDE, interpolation="bilinear")(x)
    if input_shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])
    x = _convolution(x, 96, 11, strides=4, padding="valid")  # 55
    x = layers.MaxPooling2D(3, 2)(x)  # 27
    x = _convolution(x, 256, 5)
    x = layers.MaxPooling2D(3, 2)(x)  # 13
    for filters in (384, 384, 256):
        x = _convolution(x, filters, 3)
    x = layers.MaxPooling2D(3, 2)(x)  # 6
    x = layers.Flatten()(x)  # 9216
    for _ in range(2):
        x = layers.Dense(4096, activation="relu")(x)
        x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="alexnet")


def _convolution(
    x: "keras.KerasTensor", filters: int, size: int, strides: int = 1, padding: str = "same"
) -> "keras.KerasTensor":
    layers = keras.layers
    x = layers.Conv2D(filters, size, strides=strides, padding=padding, activation="relu")(x)
    return layers.BatchNormalization()(x)
