"""LeNet-5, the convolutional network for reading checks."""

from zoo.backend import keras
from zoo.recipes import Plateau, Recipe
from zoo.registry import GLYPH_SETS, LETTERS, register
from zoo.types import Shape


@register(
    datasets=(*GLYPH_SETS, LETTERS),
    seeds=5,
    undamaged=("ahcd",),  # validation, one training each: 90.2% without damage, 85.8% with it
    paper=Recipe(
        name="paper",
        epochs=50,
        early_stopping=10,
        plateau=Plateau(factor=0.5, patience=5, floor=1e-5),
        validation_share=0.2,
    ),
)
def lenet5(input_shape: Shape, num_classes: int) -> "keras.Model":
    """LeNet-5 (LeCun et al., 1998, "Gradient-based learning applied to document recognition").

    61,706 parameters at (28, 28, 1) and 10 classes. As in the ResCo-Mini project, the output is a softmax layer and the
    subsampling a plain average. Images smaller than the original's 32 x 32 are padded to it with background.

    The recipe `paper` follows the ResCo-Mini project as far as it says:

    | setting | publication | here |
    | --- | --- | --- |
    | epochs, batch, callbacks | 50, 128, patience 10, plateau x 0.5 after 5, floor 1e-5 | the same |
    | validation | last 20% of the training rows | the same |
    | least gain of a plateau | not given | 1e-4, Keras' default |
    | initial weights | not given | Keras' default |
    | shipped seed | one training | the best of the seeds on our validation writers |
    """
    layers = keras.layers
    height, width, _ = input_shape
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.ZeroPadding2D((_halves(32 - height), _halves(32 - width)))(x)  # 28 -> 32
    x = layers.Conv2D(6, 5, activation="tanh")(x)  # 28
    x = layers.AveragePooling2D(2)(x)  # 14
    x = layers.Conv2D(16, 5, activation="tanh")(x)  # 10
    x = layers.AveragePooling2D(2)(x)  # 5
    x = layers.Conv2D(120, 5, activation="tanh")(x)  # 1
    x = layers.Flatten()(x)
    x = layers.Dense(84, activation="tanh")(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="lenet5")


def _halves(missing: int) -> tuple[int, int]:
    """Split the missing pixels between the two sides; none when the image is large enough."""
    missing = max(missing, 0)
    return missing // 2, missing - missing // 2
