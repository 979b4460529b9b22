"""What a training minimizes, and what it counts."""

from zoo.backend import keras
from zoo.recipes import Recipe


def loss(recipe: Recipe, in_logits: bool) -> "keras.losses.Loss":
    """Return the cross-entropy of a recipe, for a network that answers in logits or in probabilities."""
    return keras.losses.CategoricalCrossentropy(from_logits=in_logits, label_smoothing=recipe.label_smoothing)


def without_softmax(model: "keras.Model") -> bool:
    """Let a network that is about to learn answer in logits; return whether it does.

    A loss computed from probabilities has no slope where one of them is rounded to 1: a network that was that sure of
    a wrong answer would learn no more. TensorFlow finds the logits by itself, JAX and PyTorch do not.
    """
    last = model.layers[-1]
    if getattr(last, "activation", None) is not keras.activations.softmax:
        return False
    last.activation = keras.activations.linear  # weights alone are saved: the network that is exported has its softmax
    return True


def accuracy() -> "keras.metrics.Metric":
    """Return the share of right answers among the samples of a class: outliers have no right one."""

    class Accuracy(keras.metrics.CategoricalAccuracy):
        def update_state(
            self, y_true: "keras.KerasTensor", y_pred: "keras.KerasTensor", sample_weight: None = None
        ) -> "keras.KerasTensor":
            even = 1.001 / y_true.shape[-1]  # what every class has in the target of an outlier
            known = keras.ops.cast(keras.ops.max(y_true, axis=-1) > even, "float32")
            return super().update_state(y_true, y_pred, known)

    return Accuracy(name="accuracy")
