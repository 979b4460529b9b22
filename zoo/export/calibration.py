"""Calibration: one temperature, fitted on validation and folded into the last layer.

Probabilities p become softmax(log p / T) (Guo et al., 2017, "On calibration of modern neural networks"). That is the
last dense layer with its weights divided by T: the file keeps its size and its interface, and every answer its label.
An ensemble has one temperature for all of its members.
"""

from collections.abc import Sequence

import numpy as np

from zoo.backend import keras

RANGE = 0.05, 20.0  # of temperatures that are tried


def calibrate(model: "keras.Model", images: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature of a network, fold it into its weights, in place, and return it.

    Args:
        model: ends in a dense layer with a softmax, or averages networks that do; any other stays as it is.
        images: uint8 (N, H, W, C), samples of known class that nothing was trained on.
        labels: int (N,), their classes.

    Returns:
        The temperature; 1.0 for a network that stays as it is.
    """
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)] or [model]
    heads = [network.layers[-1] for network in networks]
    if not all(isinstance(head, keras.layers.Dense) and head.activation is keras.activations.softmax for head in heads):
        return 1.0
    found = temperature([network.predict(images, batch_size=256, verbose=0) for network in networks], labels)
    for head in heads:
        head.set_weights([weights / np.float32(found) for weights in head.get_weights()])
    return found


def temperature(answers: Sequence[np.ndarray], labels: np.ndarray) -> float:
    """Return the temperature under which the mean of answers has the least negative log-likelihood.

    Args:
        answers: of each network, float32 (N, classes) that sum to 1.
        labels: int (N,), the true classes.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits = np.log(np.maximum(np.stack(answers).astype(np.float64), np.finfo(np.float32).tiny))

    def loss(log_temperature: float) -> float:
        of_truth = log_softmax(logits / np.exp(log_temperature), axis=-1)[:, np.arange(len(labels)), labels]
        return float(-np.logaddexp.reduce(of_truth, axis=0).mean())

    bounds = tuple(np.log(RANGE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
