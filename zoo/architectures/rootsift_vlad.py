"""Writers told apart by what their strokes look like close up: local descriptors, aggregated and compared."""

import numpy as np

from zoo.backend import keras
from zoo.recipes import Recipe
from zoo.registry import register

BOOKS = 3  # codebooks, each from other descriptors: their similarities are added
CENTRES = 64  # of a codebook
DIMENSIONS = 64  # that a descriptor keeps, whitened
EMBEDDING = 128  # numbers that describe a strip, whitened
STRIPS = 9  # of a class, at most, that a page is compared with; a page of pages70 has 8
NEAREST = 3  # of a class's strips that count
SHARPNESS = 40.0  # softmax of so many times the cosine; set beforehand, not tuned: accuracy does not depend on it
SAMPLE = 60_000  # descriptors that a codebook is made of


def fit(model: "keras.Model", images: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Compute the weights: principal components, codebooks, and the strips that pages are compared with.

    Args:
        model: of `rootsift_vlad`.
        images: uint8 (N, rows, columns, channels), what the network sees of each strip.
        labels: int (N,), at most `STRIPS` of each class.
        seed: of the codebooks.
    """
    from sklearn.cluster import MiniBatchKMeans

    rooted = keras.Model(model.input, model.get_layer("root").output)
    rows = np.concatenate([found[found.any(axis=1)] for found in _outputs(rooted, images)])
    rng = np.random.default_rng(seed)
    for book in range(BOOKS):
        sample = rows[rng.permutation(len(rows))[:SAMPLE]]
        components = model.get_layer(f"components_{book}")
        components.set_weights(_whitening(sample, components.units))
        sample = sample @ components.get_weights()[0] + components.get_weights()[1]
        means = MiniBatchKMeans(CENTRES, random_state=seed * BOOKS + book, batch_size=4096, n_init=3).fit(sample)
        centres = means.cluster_centers_.astype(np.float32)
        # The nearest centre c of x has the greatest 2 c x - c c.
        model.get_layer(f"nearest_{book}").set_weights([2 * centres.T, -(centres**2).sum(axis=1)])
        model.get_layer(f"centres_{book}").set_weights([centres])
        vlad = _outputs(keras.Model(model.input, model.get_layer(f"vlad_{book}").output), images)
        whitened = model.get_layer(f"whitened_{book}")
        whitened.set_weights(_whitening(vlad, whitened.units))
        found = _outputs(keras.Model(model.input, model.get_layer(f"embedding_{book}").output), images)
        strips = np.zeros((int(labels.max()) + 1, STRIPS, found.shape[1]), np.float32)
        for label in range(len(strips)):
            of_class = found[labels == label]
            strips[label, : len(of_class)] = of_class
        model.get_layer(f"strips_{book}").set_weights([strips.reshape(-1, found.shape[1]).T * SHARPNESS / BOOKS])


def _outputs(model: "keras.Model", images: np.ndarray) -> np.ndarray:
    batches = (images[start : start + 8] for start in range(0, len(images), 8))
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


@register(
    datasets=("pages70",),
    minimum_size=NEAREST,
    view="keypoints",
    fit=fit,
    seeds=3,
    zoo=Recipe(name="zoo", epochs=1),
)
def rootsift_vlad(input_shape, num_classes):
    """RootSIFT and VLAD (Arandjelovic and Zisserman, 2012; Jegou et al., 2012): writers by their strokes.

    1,864,704 parameters at 70 classes, none of them learned by gradients. An image's rows are descriptors. Each is
    rooted (the Hellinger kernel), whitened and given to its nearest centre; what is left over by each centre is summed,
    normalised within the centre, then by its root (Jegou and Chum, 2012), and whitened again. Two strips are as alike
    as the cosine between these; a class counts by its three most similar strips. After Christlein et al. (2015, 2017),
    who use exemplar SVMs and learned descriptors besides.

    Chosen on held-out lines of the training pages, three strips a page: all 210 are told right. Variants were compared
    there before this file was written, by how far the next writer is, with one seed and mostly one codebook: fewer
    centres and dimensions bring it nearer, embeddings of 96 to 192 numbers do not differ, 256 whiten too much. Learned
    descriptors were not tried.
    """
    layers, ops = keras.layers, keras.ops
    inputs = keras.Input(input_shape, dtype="uint8")
    width = input_shape[1] * input_shape[2]
    x = layers.Rescaling(1.0)(inputs)
    x = layers.Reshape((input_shape[0], width))(x)
    mass = ops.sum(x, axis=-1, keepdims=True)
    there = ops.cast(mass > 0, "float32")  # rows of zeros are no descriptors
    x = layers.Identity(name="root")(ops.sqrt(x / ops.maximum(mass, 1.0)))
    similarities = [_similarities(x, there, book, num_classes) for book in range(BOOKS)]
    outputs = layers.Softmax()(layers.Add()(similarities))
    return keras.Model(inputs, outputs, name="rootsift_vlad")


def _similarities(x, there, book: int, num_classes: int):
    """Return SHARPNESS / BOOKS times the mean cosine to the nearest strips of every class, (N, classes)."""
    layers, ops = keras.layers, keras.ops
    x = layers.Dense(min(DIMENSIONS, x.shape[-1]), name=f"components_{book}")(x)
    scores = layers.Dense(CENTRES, name=f"nearest_{book}")(x)
    nearest = scores >= ops.max(scores, axis=-1, keepdims=True)
    chosen = ops.cast(nearest, "float32") * there  # (N, rows, centres)
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
