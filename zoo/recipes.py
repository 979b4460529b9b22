"""Training recipes: a recipe and a seed determine the weights of a network.

`paper` recipes are in the architecture's file and follow its publication. `zoo` is our recipe, the same for every
network except for the fields that an architecture overrides.
"""

from dataclasses import asdict, astuple, dataclass, replace
from typing import ClassVar

from zoo.typed_json import CLOSED, from_values
from zoo.types import Json


@dataclass(frozen=True)
class Augmentation:
    """Random transformations and damage, drawn again for every image and epoch.

    Pixels from outside are background for a glyph, and mirrored for a page. A share of the images, `damaged`, is also
    damaged: each kind below `damaged` hits such an image with probability 1/2, in the order of the fields. No other
    kind of damage is trained on; `leaderboard.unseen_damage` says which of its kinds are related to these.
    """

    __pydantic_config__: ClassVar = CLOSED

    rotation: float = 0.0  # degrees, uniform in +-rotation
    scale: float = 0.0  # fraction, width and height each uniform in 1 +- scale
    zoom: float = 0.0  # fraction, width and height alike uniform in 1 +- zoom, as Keras' RandomZoom does
    shear: float = 0.0  # tangent of the shear angle, uniform in +-shear
    shift: float = 0.0  # fraction of the side, x and y each uniform in +-shift
    contrast: float = 0.0  # fraction, distance from the image's mean times 1 +- contrast
    elastic: float = (
        0.0  # elastic distortion: fraction of the side by which points of a coarse grid move, x and y each in +-elastic
    )
    damaged: float = 0.0  # share of the images that are damaged too
    pen: float = 0.0  # fraction of the side, what strokes gain or lose in width, in +-pen; a third of the ink stays
    erased: float = 0.0  # fraction of the side, side of a square that turns to background, in 0 to erased
    blur: float = 0.0  # fraction of the side, standard deviation of a Gaussian, in 0 to blur
    noise: float = 0.0  # fraction of full ink, standard deviation of Gaussian noise, in 0 to noise
    fading: float = 0.0  # share of the contrast that is lost, in 0 to fading; paper turns gray by up to a third of it

    @property
    def damage(self) -> bool:
        """Whether any image is damaged."""
        return self.damaged > 0 and max(self.pen, self.erased, self.blur, self.noise, self.fading) > 0

    def combined(self, other: "Augmentation | None") -> "Augmentation":
        """Return both augmentations in one: the larger of each field."""
        return self if other is None else Augmentation(*map(max, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Plateau:
    """Learning rate times `factor` after `patience` epochs without a lower validation loss, never below `floor`."""

    __pydantic_config__: ClassVar = CLOSED

    factor: float
    patience: int
    floor: float
    least_gain: float = 1e-4  # minimum decrease of the loss, as in Keras


@dataclass(frozen=True)
class FineTuning:
    """The second phase of a training that starts from a pretrained backbone; the first trains the head alone.

    BatchNorm stays as it was pretrained in both.
    """

    __pydantic_config__: ClassVar = CLOSED

    layers: int  # number of the backbone's last layers that are trained with the head
    epochs: int  # at most, after those of the first phase
    learning_rate: float
    label_smoothing: float = 0.0


@dataclass(frozen=True)
class Distillation:
    """Targets mixed with another network's predictions for the same samples (Hinton, Vinyals and Dean, 2015)."""

    __pydantic_config__: ClassVar = CLOSED

    teacher: str  # an architecture; its network for the same dataset with seed 0 is trained first
    share: float  # of the teacher in the targets, 0 to 1; the rest is the label's
    temperature: float = 1.0  # the teacher's log-probabilities are divided by it


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of one training; a closed schema, stored with every run and record."""

    __pydantic_config__: ClassVar = CLOSED

    name: str
    epochs: int  # at most: early stopping may end sooner
    batch_size: int = 128
    optimizer: str = "adam"  # a Keras optimizer's name
    momentum: float | None = None  # of SGD
    learning_rate: float = 1e-3
    cosine: bool = False  # learning rate falls to zero along half a cosine, after a warm-up of `warmup` epochs
    warmup: float = 0.0  # epochs of linear rise from zero
    plateau: Plateau | None = None
    early_stopping: int | None = None  # epochs without a better validation score
    watch: str = "loss"  # which validation score stops, and chooses the best epoch: "loss" or "accuracy"
    label_smoothing: float = 0.0
    weight_average: float | None = None  # momentum per step of the exponential moving average; less in short trainings
    keep: str = "best"  # which epoch's weights: "best" on validation, or "last"
    augmentation: Augmentation | None = None  # in a `zoo` recipe, added to that of the dataset
    damaged: float | None = None  # share of the images that are damaged, in place of the dataset's, which is None
    no_augmentation: float = 0.0  # the last share of the epochs, in which samples are not augmented
    outliers: float = 0.0  # images of no class in an epoch, as a share of its samples, see `zoo.training.outliers`
    precision: str = "float32"  # or "mixed_bfloat16": Keras' policy for the arithmetic; weights stay float32
    backbone_weights: str | None = None  # "imagenet", or a file's name: what the backbone starts from
    fine_tuning: FineTuning | None = None  # None: everything learns from the start
    distillation: Distillation | None = None
    views: int | None = None  # samples of an epoch, where a page is seen in patches
    devices: int | None = None  # data parallelism: devices that share every batch; None: one
    validation_share: float | None = (
        None  # last share of the training rows, as in a publication; None: the dataset's split
    )

    def to_dict(self) -> Json:
        """Return plain JSON types; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Json) -> "Recipe":
        """Rebuild a recipe; ValueError for an unknown field, or a value of another type.

        Runs, records and jobs from before version 0.2 call the field `no_augmentation` "plain".
        """
        if "plain" in values:
            values = {"no_augmentation" if key == "plain" else key: value for key, value in values.items()}
        return from_values(cls, values)

    def shortened(self, epochs: int) -> "Recipe":
        """Return this recipe shortened to `epochs`, under another name, so that its results are not confused with the
        full recipe's.

        A second phase is cut by the same share.
        """
        if epochs == self.epochs:
            return self
        second = self.fine_tuning
        if second is not None:
            second = replace(second, epochs=max(1, round(second.epochs * epochs / self.epochs)))
        return replace(self, name=f"{self.name}-{epochs}epochs", epochs=epochs, fine_tuning=second)

    def augmentation_at(self, epoch: int) -> Augmentation | None:
        """Return how the samples of an epoch of this phase, 0 the first, are augmented; None: not at all."""
        last = round(self.no_augmentation * self.epochs)
        return None if last and epoch >= self.epochs - last else self.augmentation

    def phases(self) -> tuple["Recipe", ...]:
        """Return this recipe as trainings of one phase each, in their order."""
        second = self.fine_tuning
        if second is None:
            return (self,)
        changed = {key: getattr(second, key) for key in ("epochs", "learning_rate", "label_smoothing")}
        return self, replace(self, **changed)


# The default: cosine schedule, averaged weights, mild label smoothing, augmentation for the script, images of no class.
ZOO = Recipe(
    name="zoo",
    epochs=30,
    learning_rate=3e-3,
    cosine=True,
    warmup=1.0,
    label_smoothing=0.05,
    weight_average=0.999,
    keep="last",
    outliers=0.1,
)

# For a network that is not trained by gradient descent: one epoch, no settings.
AT_ONCE = Recipe(name="zoo", epochs=1)
