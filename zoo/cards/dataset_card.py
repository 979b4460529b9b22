"""The card of a dataset repo, and the tasks that models report under."""

from zoo.cards.seal import sealed
from zoo.cards.wording import METRICS, TASK, as_yaml, plain, table
from zoo.types import Facts


def render_dataset(facts: Facts) -> str:
    """Return the card of a dataset repo, sealed.

    Args:
        facts: repo, name, title, source, licence, terms, script, labels, limits (sentences), done (sentences:
            corrections made to the originals), columns (name -> description), splits (name -> samples, fingerprint).
    """
    front = {
        "pretty_name": facts["title"],
        "license": facts["licence"],
        "task_categories": [TASK],
        "tags": ["handwriting", facts["script"]],
        "size_categories": [_size_category(sum(split["samples"] for split in facts["splits"].values()))],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"data/{name}-*"} for name in facts["splits"]],
            }
        ],
    }
    columns = [(f"`{name}`", what) for name, what in facts["columns"].items()]
    splits = [(name, f"{s['samples']:,}", f"`{s['fingerprint']}`") for name, s in facts["splits"].items()]
    lines = [
        f"# {facts['title']}",
        "",
        f"Source: {facts['source']}.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'train = load_dataset("{facts["repo"]}", split="train")',
        "```",
        "",
        table(("column", "description"), columns, "ll"),
        "",
        table(("split", "samples", "fingerprint"), splits, "lrl"),
        "",
        "The fingerprint is the SHA-256 over, sample by sample, the gray pixels (uint8, row by row) and then the label "
        "as one byte: equal fingerprints mean equal data in equal order, however it is stored.",
        "",
        "## How it was made from the originals",
        "",
        *[f"- {sentence}" for sentence in plain(facts["done"])],
        "",
        "## Limits",
        "",
        *[f"- {sentence}" for sentence in facts["limits"]],
        "",
        f"## Licence\n\n{facts['terms']}",
    ]
    return sealed(f"---\n{as_yaml(front)}---\n\n" + "\n".join(lines) + "\n")


def eval_yaml(facts: Facts) -> str:
    """Return a dataset repo's `eval.yaml`: the tasks that models report under in `.eval_results/`."""
    tasks = [{"id": f"{facts['name']}_{metric}", "config": "default", "split": "test"} for metric in METRICS]
    text = {
        "name": facts["title"],
        "description": f"{facts['title']}: every test sample predicted once by weights that were chosen on validation.",
        "evaluation_framework": "handwriting-zoo",
        "tasks": tasks,
    }
    rendered = as_yaml(text)
    return rendered


def _size_category(count: int) -> str:
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for bound, name in bounds if count < bound), "n>1M")
