"""Vectors of locally aggregated descriptors (Jegou et al., 2012): pages compared by what their strokes look like.

`similarities` puts a codebook into a graph, as the layers `components_<book>` to `strips_<book>`; `fit` computes the
weights of all codebooks that a network has.
"""

import numpy as np

from zoo.backend import keras

BOOKS = 3  # codebooks, each from other descriptors: their similarities are added
CENTRES = 64  # of a codebook
DIMENSIONS = 64  # that a descriptor keeps, whitened
EMBEDDING = 128  # numbers that describe a strip, whitened
STRIPS = 9  # of a class, at most, that a page is compared with; a page of pages70 has 8
NEAREST = 3  # of a class's strips that count
SHARPNESS = 40.0  # the softmax is of this many times the cosine; not tuned, since accuracy does not depend on it
SAMPLE = 60_000  # descriptors that a codebook is made of


def similarities(rows: "keras.KerasTensor", book: int, num_classes: int) -> "keras.KerasTensor":
    """Return the mean cosine to the nearest strips of every class, (N, classes), times what `fit` weighs the book with.

    Args:
        rows: float32 (N, rows, numbers), a descriptor each; rows of zeros are none.
        book: its number.
        num_classes: of the answer.
    """
    layers, ops = keras.layers, keras.ops
    there = ops.cast(ops.sum(ops.abs(rows), axis=-1, keepdims=True) > 0, "float32")
    x = layers.Dense(min(DIMENSIONS, rows.shape[-1]), name=f"components_{book}")(rows)
    scores = layers.Dense(CENTRES, name=f"nearest_{book}")(x)
    nearest = scores >= ops.max(scores, axis=-1, keepdims=True)
    chosen = ops.cast(nearest, "float32") * there  # (N, rows, centers)
    sums = ops.matmul(ops.transpose(chosen, (0, 2, 1)), x)
    counts = ops.sum(chosen, axis=1)
    expected = layers.EinsumDense("nc,cd->ncd", (CENTRES, x.shape[-1]), name=f"centres_{book}")(counts)
    x = layers.UnitNormalization()(sums - expected)
    x = ops.sign(x) * ops.sqrt(ops.abs(x))
    x = layers.UnitNormalization(name=f"vlad_{book}")(layers.Flatten()(x))
    x = layers.Dense(EMBEDDING, name=f"whitened_{book}")(x)
    x = layers.UnitNormalization(name=f"embedding_{book}")(x)
    x = layers.Dense(num_classes * STRIPS, use_bias=False, name=f"strips_{book}")(x)
    x = layers.Reshape((num_classes, STRIPS))(x)
    return ops.mean(ops.top_k(x, NEAREST)[0], axis=-1)


def fit(model: "keras.Model", images: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Compute the weights: principal components, codebooks, and the strips that pages are compared with.

    Args:
        model: a network of codebooks.
        images: uint8 (N, rows, columns, channels), what the network sees of each strip.
        labels: int (N,), at most `STRIPS` of each class.
        seed: of the codebooks.
    """
    from sklearn.cluster import MiniBatchKMeans

    books = sum(layer.name.startswith("components_") for layer in model.layers)
    rng = np.random.default_rng(seed)
    described, rows = None, np.empty(0)
    for book in range(books):
        components = model.get_layer(f"components_{book}")
        if components.input is not described:  # several books may be of the same descriptors
            described = components.input
            rows = outputs(keras.Model(model.input, described), images)
        sample = rows[rows.any(axis=-1)]
        sample = sample[rng.permutation(len(sample))[:SAMPLE]]
        components.set_weights(_whitening(sample, components.units))
        sample = sample @ components.get_weights()[0] + components.get_weights()[1]
        means = MiniBatchKMeans(CENTRES, random_state=seed * books + book, batch_size=4096, n_init=3).fit(sample)
        centres = means.cluster_centers_.astype(np.float32)
        # The nearest center c of x has the greatest 2 c x - c c.
        model.get_layer(f"nearest_{book}").set_weights([2 * centres.T, -(centres**2).sum(axis=1)])
        model.get_layer(f"centres_{book}").set_weights([centres])
        vlad = outputs(keras.Model(described, model.get_layer(f"vlad_{book}").output), rows)
        whitened = model.get_layer(f"whitened_{book}")
        whitened.set_weights(_whitening(vlad, whitened.units))
        embedding = keras.Model(whitened.input, model.get_layer(f"embedding_{book}").output)
        found = outputs(embedding, vlad)
        strips = np.zeros((int(labels.max()) + 1, STRIPS, found.shape[1]), np.float32)
        for label in range(len(strips)):
            of_class = found[labels == label]
            strips[label, : len(of_class)] = of_class
        model.get_layer(f"strips_{book}").set_weights([strips.reshape(-1, found.shape[1]).T * SHARPNESS / books])


def outputs(model: "keras.Model", inputs: np.ndarray) -> np.ndarray:
    """Return a network's outputs for many inputs, a few at a time: a strip has thousands of rows."""
    batches = (inputs[start : start + 8] for start in range(0, len(inputs), 8))
    return np.concatenate([keras.ops.convert_to_numpy(model(batch)) for batch in batches])


def _whitening(samples: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias of the dense layer that whitens samples; zero beyond the directions that they span."""
    mean = samples.mean(axis=0, dtype=np.float64)
    _, deviations, directions = np.linalg.svd(samples - mean, full_matrices=False)
    deviations = deviations[:count] / np.sqrt(len(samples))
    used = deviations > 1e-4 * deviations[0]
    kernel = np.zeros((samples.shape[1], count))
    kernel[:, : len(used)] = np.where(used, directions[:count].T / np.where(used, deviations, 1), 0)
    return kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)
