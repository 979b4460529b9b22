"""The scores that the Hub shows next to a model and on the page of its dataset."""

from zoo.cards.wording import METRICS, as_yaml
from zoo.types import Facts


def eval_results(facts: Facts, scores: Facts) -> dict[str, str]:
    """Return the files of `.eval_results/`, path -> YAML: one task a metric, scores of the weights in the repo.

    Args:
        facts: what the model is, see `cards.render`.
        scores: what it was measured at.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    dataset = facts["dataset"]
    if not dataset["hub_id"] or dataset["scored"] != "test":
        return {}  # scores that nobody else can compare with
    entries = [
        EvalResultEntry(
            dataset_id=dataset["hub_id"],
            task_id=f"{dataset['name']}_{name}",
            value=scores["metrics"][name]["shipped"],
            dataset_revision=dataset["revision"],
            date=scores["date"],
            source_url=facts["board"],
            source_name="Handwriting Zoo leaderboard",
            notes=f"seed {facts['seed']}, the best on validation of {scores['seeds']}; "
            f"versions measured on the test split: {scores.get('readings', 1)}",
        )
        for name in METRICS
        if name in scores["metrics"]
    ]
    return {f".eval_results/{dataset['name']}.yaml": as_yaml(eval_result_entries_to_yaml(entries))}
