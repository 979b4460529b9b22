"""MobileNetV2 under a new head: transfer learning on patches of pages."""

from zoo.backend import keras
from zoo.recipes import Augmentation, FineTuning, Plateau, Recipe
from zoo.registry import BACKBONE, register
from zoo.types import Shape


@register(
    datasets=("pages70",),
    minimum_size=32,
    backbone="MobileNetV2",
    paper=Recipe(
        name="paper",
        epochs=20,
        batch_size=32,
        views=250 * 32,
        label_smoothing=0.05,
        early_stopping=5,
        watch="accuracy",
        plateau=Plateau(factor=0.5, patience=2, floor=0.0),
        augmentation=Augmentation(rotation=7.2, shift=0.05, zoom=0.05, contrast=0.2),  # 0.02 of a turn
        backbone_weights="imagenet",
        fine_tuning=FineTuning(layers=40, epochs=30, learning_rate=2e-5, label_smoothing=0.03),
    ),
    # On two cores an epoch of the document's takes minutes: fewer, with a rate that lets the backbone's end learn.
    zoo=Recipe(
        name="zoo",
        epochs=4,
        batch_size=32,
        views=100 * 32,
        learning_rate=3e-3,
        cosine=True,
        label_smoothing=0.05,
        weight_average=0.99,
        keep="last",
        backbone_weights="imagenet",
        fine_tuning=FineTuning(layers=40, epochs=12, learning_rate=3e-4, label_smoothing=0.05),
    ),
)
def mobilenet_v2(input_shape: Shape, num_classes: int) -> "keras.Model":
    """MobileNetV2 (Sandler et al., 2018; transfer learning from ImageNet, after M. H. A. Shokal).

    2,347,654 parameters at 70 classes in training. The input is scaled to [-1, 1] and repeated to 3 channels in the
    graph.

    The recipe `paper` follows the publication as far as it says:

    | setting | publication | here |
    | --- | --- | --- |
    | zoom | 5%, Keras' layer | width and height alike; before 26 November 2026 each by itself |
    | contrast | 20%, Keras' layer | the same; before 26 November 2026 wrong for dark pixels |
    | pixels from outside | not given | mirrored, Keras' default |
    | best epoch of the fine-tuning | not given | of this phase, as Keras' callbacks; before 26 November 2026 of both |
    | patches of a page | top and bottom strip, 15 even and 20 random each | 70; another reading gives 35 |
    | validation | the last two strips | four patches of each, a guess |
    | what the plateau watches | not given | validation loss, a guess |
    | least gain of a plateau | not given | 1e-4, Keras' default |
    | ImageNet weights | those of Keras | the same file |
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    if input_shape[-1] == 1:
        x = layers.Concatenate()([x, x, x])
    shape = (*input_shape[:2], 3)
    backbone = keras.applications.MobileNetV2(shape, include_top=False, weights=None, name=BACKBONE)
    x = layers.GlobalAveragePooling2D()(backbone(x))
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="mobilenet_v2")
