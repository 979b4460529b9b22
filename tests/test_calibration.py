"""Calibration: the temperature that made the labels is found, and folding it changes no answer's label."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from zoo.export.calibration import calibrate, temperature


def drawn(logits, rng):
    """Return labels that are drawn from the probabilities of logits (N, classes)."""
    return np.array([rng.choice(logits.shape[1], p=row) for row in softmax(logits, axis=1)])


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(true):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 6))
    labels = drawn(logits / true, rng)
    assert temperature([softmax(logits, axis=1)], labels) == pytest.approx(true, rel=0.05)
    doubled = [softmax(logits, axis=1)] * 2  # an ensemble of equals is one of them
    assert temperature(doubled, labels) == pytest.approx(true, rel=0.05)


def network(name, seed):
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    initial = keras.initializers.RandomNormal(stddev=5, seed=seed)
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", kernel_initializer=initial)(x), name=name)


def test_a_temperature_is_folded_into_one_network_and_into_every_member_of_an_ensemble():
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (3000, 4, 4, 1), np.uint8)
    single = network("single", 0)
    before = single.predict(images, verbose=0)
    labels = drawn(np.log(before + 1e-30) / 2, rng)
    found = calibrate(single, images, labels)
    after = single.predict(images, verbose=0)
    assert found == pytest.approx(2, rel=0.1)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    expected = softmax(np.log(before + 1e-30) / found, axis=1)
    np.testing.assert_allclose(after, expected, atol=1e-3)
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    members = [network(f"member_{seed}", seed) for seed in (2, 3)]
    ensemble = keras.Model(inputs, keras.layers.Average()([member(inputs) for member in members]))
    answers = [member.predict(images, verbose=0) for member in members]
    found = calibrate(ensemble, images, labels)
    assert found > 1.5
    expected = np.mean([softmax(np.log(a + 1e-30) / found, axis=1) for a in answers], axis=0)
    np.testing.assert_allclose(ensemble.predict(images, verbose=0), expected, atol=1e-3)


def test_a_network_that_does_not_end_in_a_softmax_layer_stays_as_it_is():
    inputs = keras.Input((4, 4, 1), dtype="uint8")
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(5)(x)))
    before = [weight.copy() for weight in model.get_weights()]
    assert calibrate(model, np.zeros((10, 4, 4, 1), np.uint8), np.zeros(10, int)) == 1.0
    for weight, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)
