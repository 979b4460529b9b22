"""Start a new architecture from a template that passes every check unchanged.

    python scripts/new_architecture.py my_net

It writes zoo/architectures/my_net.py, which the registry finds automatically, and prints the next steps.
"""

import argparse
import keyword
from datetime import date
from pathlib import Path
from string import Template

import cli

from zoo import data, registry
from zoo.errors import ZooError

FOLDER = cli.ROOT / "zoo" / "architectures"
TEMPLATE = Template('''"""$title: describe it here."""

from zoo.backend import keras
from zoo.registry import register
from zoo.types import Shape


@register()  # the datasets that it is trained on, and recipes other than the zoo's: see `zoo.registry.register`
def $name(input_shape: Shape, num_classes: int) -> "keras.Model":
    """$title (ours, $year): two convolutions and a dense layer.

    Name the source in the first line, as in "LeNet-5 (LeCun et al., 1998)", and say here what is not as there.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")  # raw images: scaling is a layer
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)  # 28 -> 14
    x = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")(x)  # 7
    x = layers.Flatten()(x)
    outputs = layers.Dense(num_classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="$name")
''')
NEXT = """\
{path} is there: a small convolutional network, to be made yours. Then:
  python scripts/check_architecture.py {name}          says within a minute whether it would be accepted
  python scripts/train_all.py --only {name}.optdigits  trains on digits that scikit-learn brings along
  python scripts/train_all.py --only {name}.mnist      trains on mnist, which takes longer
Its row shows on the board of `python spaces_app.py`, and no tracked file changes. To add it to the zoo: `make test`,
and a pull request with this one file."""


def main() -> None:
    """Write the file; ZooError, and nothing written, for a name that will not do."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of the network: small letters, digits and underscores, such as my_net")
    path = write(parser.parse_args().name)
    print(NEXT.format(path=path.relative_to(cli.ROOT), name=path.stem))


def write(name: str) -> Path:
    """Write the template under a name and return where.

    Raises:
        ZooError: it is no name for a function of Python in small letters, or it is taken.
    """
    if not data.NAME.fullmatch(name) or name != name.lower() or keyword.iskeyword(name):
        raise ZooError(
            f"{name!r} cannot name a network: expected small letters, digits and underscores that name a function of "
            "Python, such as my_net."
        )
    path: Path = FOLDER / f"{name}.py"
    if name in registry.architectures() or path.exists():
        raise ZooError(f"There is an architecture {name!r} already: choose another name, or edit {path.name}.")
    title = name.replace("_", " ").title()
    with path.open("x", encoding="utf-8") as file:
        file.write(TEMPLATE.substitute(name=name, title=title, year=date.today().year))
    return path


if __name__ == "__main__":
    cli.run(main)
