"""The zoo's vote: members of its own family together."""

from zoo import votes
from zoo.recipes import Recipe
from zoo.registry import register

MEMBERS = ("glyphnet_100k", "glyphnet_10k", "glyphnet_10k", "glyphnet_10k")


@register(members=MEMBERS, folded=True, seeds=1, zoo=Recipe("zoo", epochs=1))
def vote(input_shape, num_classes):
    """Vote of one GlyphNet 100k and three 10k: the mean of their probabilities (Hansen and Salamon, 1990).

    Its members were named before any of them had read a test set; each is trained by its own recipe, from a seed of its
    own. BatchNorm is folded when it is published.
    """
    return votes.build(MEMBERS, "vote", input_shape, num_classes)
