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
Networks of different make err on different samples. Its members were chosen on validation, where AHCD CNN would be a
fourth: of ahcd's letters both read 97.84%, the three without it at less than half the parameters, and their best member
97.69%.
""",
)
