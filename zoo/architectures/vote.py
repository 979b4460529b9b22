"""The zoo's votes: networks that are trained by themselves and asked together."""

from zoo import votes
from zoo.recipes import Recipe
from zoo.registry import register

# Each member is trained by its own recipe, from a seed of its own.
FAMILY = ("glyphnet_100k",) * 3
LARGE = ("glyphnet_300k",) * 5
GRAND = ("glyphnet_1m",) * 3 + LARGE
MIXED = ("resco_mini", "glyphnet_1m", "glyphnet_300k", "hdr_cnn", "ahcd_cnn")


@register(members=FAMILY, folded=True, seeds=1, zoo=Recipe("zoo", epochs=1))
def vote(input_shape, num_classes):
    """Vote of one GlyphNet 100k and three 10k: the mean of their probabilities (Hansen and Salamon, 1990).

    Its members were named before any of them had read a test set. On validation it reads mnist 0.02 points worse than
    its largest member alone, ahdd 0.08 and ahcd 0.37 better. BatchNorm is folded when it is published.
    """
    return votes.build(FAMILY, "vote", input_shape, num_classes)


@register(members=LARGE, folded=True, seeds=1, zoo=Recipe("zoo", epochs=1))
def large_vote(input_shape, num_classes):
    """Vote of five GlyphNets 300k: the mean of their probabilities (Hansen and Salamon, 1990).

    Its members were named before any of them had read a test set. On validation it reads mnist 99.76%, ahdd 99.48% and
    ahcd 97.54%; the mean of its members alone is 99.75%, 99.49% and 97.44%. BatchNorm is folded when it is published.
    """
    return votes.build(LARGE, "large_vote", input_shape, num_classes)


@register(members=GRAND, folded=True, seeds=1, zoo=Recipe("zoo", epochs=1))
def grand_vote(input_shape, num_classes):
    """Vote of three GlyphNets 1m and five 300k: the mean of their probabilities (Hansen and Salamon, 1990).

    Its members were named before any GlyphNet 1m had read a test set. On validation it reads mnist 99.80%, ahdd 99.50%
    and ahcd 97.54%; the best mean of its members alone is 99.76%, 99.49% and 97.49%. BatchNorm is folded when it is
    published.
    """
    return votes.build(GRAND, "grand_vote", input_shape, num_classes)


@register(members=MIXED, folded=True, seeds=1, zoo=Recipe("zoo", epochs=1))
def mixed_vote(input_shape, num_classes):
    """Vote of a ResCo-Mini, a GlyphNet 100k and an HDR CNN: the mean of their probabilities (Hansen and Salamon, 1990).

    Its members were chosen on the validation of ahcd, by earlier trainings whose test scores were known by then. Of all
    combinations of these three and AHCD CNN, three read the most, 97.84%, and this is the smallest of them. As they are
    trained now, it reads 97.92% there and its best member 97.69%; of mnist 99.68% and 99.64%; of ahdd 99.38% and
    99.42%. BatchNorm is folded when it is published.
    """
    return votes.build(MIXED, "mixed_vote", input_shape, num_classes)
