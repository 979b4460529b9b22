"""Rows in the schema of Every Eval Ever: what that schema requires, told by its version 0.2.1."""

import json

import jsonschema
import pytest
from records import made_up

from leaderboard import every_eval_ever, results

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
DETAILS = {"type": "object", "additionalProperties": TEXT}


def required(**properties):
    return {"type": "object", "required": list(properties), "properties": properties}


SOURCE = {
    "oneOf": [
        required(dataset_name=TEXT, source_type={"const": kind}, additional_details=DETAILS)
        for kind in ("hf_dataset", "other")
    ]
}
METRIC = required(lower_is_better={"type": "boolean"}, score_type=TEXT, min_score=NUMBER, max_score=NUMBER)
SCORE = required(
    evaluation_name=TEXT,
    source_data=SOURCE,
    metric_config=METRIC,
    score_details=required(score={"type": "number", "minimum": 0, "maximum": 1}, details=DETAILS),
)
SCHEMA = required(
    schema_version={"const": "0.2.1"},
    evaluation_id=TEXT,
    retrieved_timestamp=TEXT,
    source_metadata=required(
        source_type={"enum": ["documentation", "evaluation_run"]},
        source_organization_name=TEXT,
        evaluator_relationship={"enum": ["first_party", "third_party", "collaborative", "other"]},
    ),
    model_info=required(name=TEXT, id=TEXT, additional_details=DETAILS),
    eval_library=required(name=TEXT, version=TEXT),
    evaluation_results={"type": "array", "items": SCORE, "minItems": 1},
)


@pytest.mark.parametrize("dataset", ["mnist", "alnum", "somebodys_own"])
def test_a_row_has_what_the_schema_requires(dataset):
    row = made_up(f"net.{dataset}", [0.98, 0.99])
    found = json.loads(json.dumps(every_eval_ever.export(row)))
    jsonschema.validate(found, SCHEMA)
    scores = {one["evaluation_name"]: one for one in found["evaluation_results"]}
    accuracy = scores[f"{dataset}: Accuracy %"]["score_details"]
    assert accuracy["score"] == pytest.approx(0.985)
    assert accuracy["details"]["seeds"] == "0.98, 0.99"
    assert scores[f"{dataset}: ECE"]["metric_config"]["lower_is_better"]


def test_every_committed_row_can_be_exported(run_script, tmp_path):
    done = run_script("chores.export_evals", str(tmp_path / "out"), "--records", str(results.RECORDS))
    written = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("*/*.json")]
    assert done.stdout.startswith(f"{len(results.read_all(results.RECORDS))} rows written")
    for row in written:
        jsonschema.validate(row, SCHEMA)
    assert len({row["evaluation_id"] for row in written}) == len(written)
