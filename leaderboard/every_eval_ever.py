"""A row of the board in the schema of Every Eval Ever, in which many boards share their results (EvalEval, 2026)."""

from datetime import UTC, datetime

import numpy as np

from leaderboard import table, writers
from leaderboard.results import Result
from zoo import data, environment
from zoo.settings import namespace
from zoo.types import Json

SCHEMA = "0.2.1"
FRACTIONS = ("accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "expected_calibration_error", "robustness",
             "unseen_robustness", "other_hands", "unknown_accepted", "unknown_auroc")  # fmt: skip


def export(result: Result, right: np.ndarray | None = None) -> Json:
    """Return a row in plain JSON types: one result a metric, its mean over the seeds and their standard deviation.

    Args:
        result: the row.
        right: bool (N,), the correct predictions of its shipped model; None: not stored.

    Times are those of the measuring, so that the same row gives the same file.
    """
    measured = str(datetime.fromisoformat(result.date).replace(tzinfo=UTC).timestamp())
    sent = result.submission
    versions = result.environment.get("versions", {})
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{environment.PROJECT}/{result.model}/{measured}",
        "evaluation_timestamp": result.date,
        "retrieved_timestamp": measured,
        "source_metadata": {
            "source_name": "Handwriting Zoo leaderboard",
            "source_type": "evaluation_run",
            "source_organization_name": namespace(),
            "evaluator_relationship": "third_party" if sent else "first_party",
        },
        "eval_library": {
            "name": environment.PROJECT,
            "version": str(result.evaluation_environment.get("commit") or "unknown"),
        },
        "model_info": {
            "name": result.title,
            "id": f"{sent['user'] if sent else namespace()}/{result.model}",
            "developer": sent["user"] if sent else namespace(),
            "inference_engine": {"name": "onnxruntime", "version": str(versions.get("onnxruntime", "unknown"))},
            "additional_details": {"revision": result.revision, "licence": result.licence},
        },
        "evaluation_results": [_score(result, name, right) for name in FRACTIONS if name in result.means],
    }


def _score(result: Result, name: str, right: np.ndarray | None) -> Json:
    column = table.BY_NAME[name]
    uncertainty: Json = {"num_samples": result.samples}
    if name == "accuracy":
        low, high = table.interval(result, right, writers.of(result))
        uncertainty["confidence_interval"] = {"lower": low, "upper": high, "confidence_level": 0.95}
    seeds = ", ".join(f"{seed.metrics[name]:.6g}" for seed in result.seeds)
    return {
        "evaluation_name": f"{result.dataset}: {column.title}",
        "source_data": _source(result),
        "evaluation_timestamp": result.date,
        "metric_config": {
            "evaluation_description": column.description,
            "lower_is_better": column.better < 0,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
            "additional_details": {"metric": name, "version": str(result.metric_versions.get(name, "unknown"))},
        },
        "score_details": {
            "score": result.mean(name),
            "details": {"seeds": seeds, "shipped_seed": str(result.shipped_seed), "selection": result.selection},
            "uncertainty": uncertainty,
        },
    }


def _source(result: Result) -> Json:
    details = {"fingerprint": result.dataset_fingerprint}
    spec = data.DATASETS.get(result.dataset)
    if spec is None or spec.parts:  # of a user, or put together from several: on no Hub under this name
        return {"dataset_name": result.dataset, "source_type": "other", "additional_details": details}
    if spec.revision:
        details["revision"] = spec.revision
    return {
        "dataset_name": result.dataset,
        "source_type": "hf_dataset",
        "hf_repo": spec.hub_id,
        "hf_split": spec.scored,
        "samples_number": result.samples,
        "additional_details": details,
    }
