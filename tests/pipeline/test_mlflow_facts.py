"""What MLflow is told: settings, figures with their bounds, and what leads back to the evidence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.config import Settings
from cybersec_mlops.pipeline.mlflow_facts import KEY_LIMIT, facts_of, flattened, plain_name

BEGUN = datetime(2026, 11, 23, tzinfo=UTC)
SETTINGS = Settings(git_commit="0123abc", image_digest="sha256:feed")


def reference(name: str) -> dict[str, Any]:
    return {"uri": f"s3://{name}/x", "sha256": name * 8, "bytes": 3, "rows": None}


def event(phase: str, status: str = "completed", **given: Any) -> StoredEvent:
    ended = None if status == "started" else BEGUN + timedelta(seconds=5)
    defaults: dict[str, Any] = {"run_id": "r1", "attempt": 1, "started_at": BEGUN, "ended_at": ended, "dataset": "day"}
    chain = {"id": 1, "recorded_at": BEGUN, "previous_hash": "", "hash": ""}
    return StoredEvent(phase=phase, status=status, **{**defaults, **chain, **given})


RUN = [
    event("run", "started"),
    event("ingestion", outputs={"manifest": reference("raw")}, parameters={"role": "train"}),
    event("transformation", outputs={"manifest": reference("silver")}, parameters={"role": "train"}),
    event("training", outputs={"bundle": reference("bundle")}, parameters={"training": {"trees": 20}, "holdout": True}),
    event(
        "evaluation",
        inputs=[reference("bundle")],
        outputs={
            "report_object": reference("report"),
            "report": "s3://report/x",
            "promoted": True,
            "table": [{"metric": "recall: <b>", "value": 0.5, "low": 0.25, "high": float("inf")}],
        },
        metrics={"roc_auc": 0.9, "rows": 10, "recall_by_attack": {"a": 1}, "unseen_attack_recall": None},
    ),
    event("run", prefect_flow_run_id="f1", code_version="0.1.0+abc"),
]


def test_a_run_is_told_with_what_leads_back() -> None:
    facts = facts_of(RUN, SETTINGS)
    assert facts is not None
    assert facts.tags == {
        "cybersec_mlops.run_id": "r1",
        "cybersec_mlops.dataset": "day",
        "cybersec_mlops.status": "completed",
        "cybersec_mlops.code_version": "0.1.0+abc",
        "cybersec_mlops.git_commit": "0123abc",
        "cybersec_mlops.image_digest": "sha256:feed",
        "cybersec_mlops.prefect_flow_run_id": "f1",
        "cybersec_mlops.raw_sha256": "raw" * 8,
        "cybersec_mlops.silver_sha256": "silver" * 8,
        "cybersec_mlops.bundle_sha256": "bundle" * 8,
        "cybersec_mlops.promoted": "true",
        "cybersec_mlops.report": "s3://report/x",
        "mlflow.source.name": "cybersec-mlops",
        "mlflow.source.git.commit": "0123abc",
    }
    assert facts.parameters == {"training.trees": "20"}
    assert facts.metrics == {"roc_auc": 0.9, "rows": 10.0, "recall/_b_": 0.5, "recall/_b_.low": 0.25}
    assert facts.bundle is not None
    assert facts.bundle.sha256 == "bundle" * 8
    assert list(facts.documents) == ["report"]
    assert (facts.has_failed, facts.ended_ms - facts.started_ms) == (False, 5000)


def test_a_failed_run_is_told_as_one() -> None:
    error = {"kind": "data", "message": "m", "hint": None}
    facts = facts_of([*RUN[:4], event("run", "failed", error=error)], SETTINGS)
    assert facts is not None
    assert facts.has_failed
    assert facts.metrics == {}
    assert facts.tags["cybersec_mlops.error"] == "data"


def test_a_refused_model_is_a_finished_run() -> None:
    facts = facts_of([*RUN[:5], event("run", "rejected")], SETTINGS)
    assert facts is not None
    assert not facts.has_failed
    assert facts.tags["cybersec_mlops.status"] == "rejected"


def test_a_run_without_a_model_is_not_told() -> None:
    assert facts_of(RUN[:3], SETTINGS) is None
    assert facts_of([], SETTINGS) is None


def test_the_newest_attempt_counts() -> None:
    again = replace(RUN[3], parameters={"training": {"trees": 7}})
    facts = facts_of([*RUN[:4], again, *RUN[4:]], SETTINGS)
    assert facts is not None
    assert facts.parameters == {"training.trees": "7"}


@given(st.text())
def test_any_label_becomes_a_name_that_is_taken(label: str) -> None:
    name = plain_name(label)
    assert len(name) == min(len(label), KEY_LIMIT)
    assert name.isascii()
    assert not set(name) & set("<>:'\"`\\\n\0")


def test_nothing_nested_is_lost() -> None:
    assert dict(flattened("a", {"b": {"c": 1}, "d": None})) == {"a.b.c": "1", "a.d": "None"}
