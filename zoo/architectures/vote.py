"""The zoo's vote: the best networks of its first generation together."""

from zoo import votes
from zoo.recipes import Recipe
from zoo.registry import register

MEMBERS = ("resco_mini", "ahcd_cnn", "ahcd_cnn", "ahcd_cnn")


@register(members=MEMBERS, seeds=1, zoo=Recipe("zoo", epochs=1))
def vote(input_shape, num_classes):
    """Vote of one ResCo-Mini and three AHCD CNN: the mean of their probabilities (Hansen and Salamon, 1990).

    Declared before its members were trained, each by its own `zoo` recipe from a seed of its own. 3,942,120 parameters
    at (28, 28, 1) and 10 classes.
    """
    return votes.build(MEMBERS, "vote", input_shape, num_classes)
