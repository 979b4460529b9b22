"""The seven reproduced systems: published scores, and scores measured here with their recipe and with ours."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from leaderboard import disclosures
from leaderboard.claims import Claim, claims
from leaderboard.results import Result
from zoo import data, registry
from zoo.recipes import Recipe
from zoo.trainers import Stepwise
from zoo.types import Json

RECIPES = ("paper", "zoo")
# What `settings_changed` means for a row.
EARLIER = "Trained by an earlier version of its recipe: by today's, its scores would differ, above all under damage."


@dataclass(frozen=True)
class Row:
    """One system trained with one recipe. Fractions in [0, 1]."""

    claim: Claim
    recipe: str  # "paper": the published recipe, "zoo": ours
    result: Result | None  # None: not trained yet

    @property
    def stated(self) -> float:
        """The goal of the published recipe; claims of other networks have no goal and no row here."""
        return self.claim.goal or 0.0

    @property
    def goal(self) -> float:
        """The accuracy that the mean over the seeds should reach."""
        return self.stated if self.recipe == "paper" else self.claim.aim or self.stated

    @property
    def missed_by(self) -> float | None:
        """How far the mean is below the goal; 0 if it is met, None if it is not trained yet."""
        return None if self.result is None else max(0.0, round(self.goal - self.result.mean("accuracy"), 6))

    def beyond(self, low: float) -> bool:
        """Whether the whole 95% interval of the mean, which begins at `low`, is above the published recipe's goal."""
        return low > self.stated

    @property
    def lacks(self) -> list[str]:
        """Where the training was shortened (seeds, epochs), and which settings of the recipe were others then."""
        architecture = registry.architectures().get(self.claim.network)
        if self.result is None or architecture is None or self.recipe not in architecture.recipes:
            return []
        recipe = architecture.recipe_on(data.get(self.claim.dataset), self.recipe)
        counts = (
            (len(self.result.seeds), architecture.seeds, "seeds"),
            (self.result.recipe["epochs"], recipe.epochs, "epochs"),
        )
        shortened = [f"{found} of {asked} {what}" for found, asked, what in counts if found < asked]
        others = settings_changed(self.result)
        return shortened + [f"trained before {' and '.join(others).replace('_', ' ')} changed"] * bool(others)


def settings_changed(result: Result) -> list[str]:
    """Return which settings of a row's recipe are others today.

    There are none of submissions, and none of ensembles: their members have recipes.
    """
    known, recipe = registry.architectures().get(result.architecture), result.recipe["name"].partition("-")[0]
    if result.submission or known is None or recipe not in known.recipes or result.dataset not in data.DATASETS:
        return []
    try:
        then = Recipe.from_dict(result.recipe).to_dict()
    except ValueError:  # of a version whose settings had other names
        return ["settings"]
    today = known.recipe_on(data.get(result.dataset), recipe).shortened(then["epochs"]).to_dict()
    return [name for name in today if name not in ("name", "fine_tuning") and today[name] != then[name]]


def to_know(result: Result) -> list[str]:
    """Return what a reader of a row's scores must know: of its dataset, of its network, and of its recipe."""
    known = [*disclosures.of_dataset(result.dataset), *disclosures.of_network(result.dataset, result.architecture)]
    known += [EARLIER] * bool(settings_changed(result))
    if not result.chosen_on_todays_validation:
        known.append(
            f"Chosen on an earlier validation split ({result.validation_split}): its validation accuracy does not "
            "compare with that of later rows."
        )
    return known


def settings(result: Result) -> Json:
    """Return the settings of a row's training; none of what is not trained by steps."""
    known = registry.architectures().get(result.architecture)
    return result.recipe if known is None or isinstance(known.trainer, Stepwise) else {}


def rows(results: Iterable[Result]) -> Iterator[Row]:
    """Yield every reproduced system with each recipe, in the order of the claims."""
    results = list(results)
    for claim in claims():
        if claim.goal is not None:
            for recipe in RECIPES:
                yield Row(claim, recipe, find(results, claim.network, claim.dataset, recipe))


def find(results: Iterable[Result], network: str, dataset: str, recipe: str = "zoo") -> Result | None:
    """Return the row of a network on a dataset with a recipe; if it is missing, the longest shortened one."""

    def epochs(result: Result) -> float:
        name = result.recipe["name"]
        if (result.architecture, result.dataset) != (network, dataset):
            return 0
        short = re.fullmatch(rf"{re.escape(recipe)}-(\d+)epochs", name)
        return float("inf") if name == recipe else int(short[1]) if short else 0

    best = max(results, key=epochs, default=None)
    return best if best is not None and epochs(best) else None


def networks() -> list[str]:
    """Return the names of the networks that are small enough to train on every glyph dataset."""
    known = registry.architectures().values()
    return [architecture.name for architecture in known if set(registry.GLYPH_SETS) <= set(architecture.datasets)]
