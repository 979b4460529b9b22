"""The zoo's votes: networks that are trained by themselves and asked together."""

from zoo import votes
from zoo.recipes import Recipe
from zoo.registry import register


def _register(name: str, members: tuple[str, ...], title: str, notes: str) -> None:
    def build(input_shape, num_classes):
        return votes.build(members, name, input_shape, num_classes)

    build.__name__ = name
    build.__doc__ = f"{title} (the mean of their probabilities; Hansen and Salamon, 1990).\n\n{notes}{NOTES}"
    register(members=members, folded=True, seeds=1, zoo=Recipe("zoo", epochs=1))(build)


NOTES = """
Each member is trained by its own recipe, from a seed of its own. BatchNorm is folded when the vote is published.
"""

_register(
    "vote",
    ("glyphnet_100k", "glyphnet_10k", "glyphnet_10k", "glyphnet_10k"),
    "Vote of one GlyphNet 100k and three 10k",
    """
Its members were named before any of them had read a test set. On validation it reads mnist 0.02 points worse
than its largest member alone, ahdd 0.06 and ahcd 0.15 better.
""",
)
_register(
    "mixed_vote",
    ("resco_mini", "glyphnet_100k", "hdr_cnn"),
    "Vote of one ResCo-Mini, one GlyphNet 100k and one HDR CNN",
    """
Networks of different make err on different samples. Its members were chosen on the validation of ahcd, by earlier
trainings of the same: with AHCD CNN as a fourth it read no more of it, 97.84%, at over twice the parameters. As they
are trained now, it reads 97.92% there and its best member 97.69%; of mnist 99.68% and 99.64%; of ahdd 99.38% and
99.42%.
""",
)
