from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cybersec_mlops.audit.events import PhaseEvent, StoredEvent
from cybersec_mlops.audit.lineage import trace
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.audit.registry import ModelRegistry
from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.reference import Reference


def reference(name: str) -> Reference:
    return Reference(f"s3://{name}", hashlib.sha256(name.encode()).hexdigest(), 1)


def sha(name: str) -> str:
    return reference(name).sha256


def write(
    audit: AuditLog,
    run_id: str,
    phase: str,
    reads: list[str],
    writes: list[str],
    *,
    status: str = "completed",
    **more: Any,
) -> StoredEvent:
    outputs = {"objects": [reference(name).to_dict() for name in writes], **more}
    return audit.append(
        PhaseEvent(
            run_id=run_id,
            phase=phase,
            attempt=1,
            status=status,
            started_at=datetime.now(UTC),
            key=f"key-{run_id}-{phase}",
            inputs=[reference(name).to_dict() for name in reads],
            outputs=outputs,
            parameters={"seed": 1},
        )
    )


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    """Two runs: one trains on train.log and is tested on test.log; the other scores with its model."""
    log = AuditLog.open(f"sqlite:///{tmp_path}/audit.db")
    registry = ModelRegistry(log)
    write(log, "run-1", "ingestion", [], ["raw/train", "raw/test"])
    write(
        log, "run-1", "transformation", ["raw/train"], ["silver/train"], snapshot={"table": "silver.ctu", "tag": "t-1"}
    )
    write(log, "run-1", "transformation", ["raw/test"], ["silver/test"])
    write(log, "run-1", "training", ["silver/train"], [], status="started")
    write(log, "run-1", "training", ["silver/train"], ["models/a"])
    version = registry.register("ctu", reference("models/a"), run_id="run-1")
    write(log, "run-1", "evaluation", ["models/a", "silver/test"], ["eval/report-a"])
    registry.set_alias("ctu", "champion", version, run_id="run-1", reason="first")
    write(log, "run-1", "run", ["raw/train", "raw/test"], ["models/a", "eval/report-a"])
    write(log, "run-2", "ingestion", [], ["raw/new"])
    write(log, "run-2", "scoring", ["models/a", "raw/new"], ["eval/alerts"])
    write(log, "run-3", "training", ["silver/train"], ["models/b"])
    write(log, "run-3", "evaluation", ["models/b", "models/a", "silver/test"], ["eval/report-b"], status="rejected")
    write(log, "run-4", "evaluation", [], [], status="failed")
    return log


def steps(events: tuple[StoredEvent, ...]) -> list[str]:
    return [f"{event.run_id} {event.phase}" for event in events]


def uris(references: tuple[dict[str, Any], ...]) -> set[str]:
    return {each["uri"] for each in references}


def test_a_model_leads_back_to_its_training_data_only(audit: AuditLog) -> None:
    found = trace(audit, sha("models/a"))
    assert found.kind == "object"
    assert steps(found.made_by) == ["run-1 ingestion", "run-1 transformation", "run-1 training"]
    assert uris(found.sources) == {"s3://raw/train"}
    assert steps(found.led_to) == ["run-1 evaluation", "run-2 scoring", "run-3 evaluation"]
    assert steps(found.told) == ["run-1 registration", "run-1 promotion"]
    assert found.made_by[-1].parameters == {"seed": 1}


def test_a_raw_original_leads_to_everything_that_came_of_it(audit: AuditLog) -> None:
    found = trace(audit, sha("raw/train"))
    assert steps(found.made_by) == ["run-1 ingestion"]
    assert steps(found.led_to) == [
        "run-1 transformation",
        "run-1 training",
        "run-1 evaluation",
        "run-2 scoring",
        "run-3 training",
        "run-3 evaluation",
    ]
    assert steps(found.told) == ["run-1 registration", "run-1 promotion"]


def test_a_report_leads_back_to_both_its_model_and_its_test_data(audit: AuditLog) -> None:
    found = trace(audit, "s3://eval/report-b")
    assert uris(found.sources) == {"s3://raw/train", "s3://raw/test"}
    assert found.led_to == ()
    assert "run-3 training" in steps(found.made_by)


@pytest.mark.parametrize(
    ("thing", "kind", "objects"),
    [
        ("ctu@1", "model", {"s3://models/a"}),
        ("ctu@champion", "model", {"s3://models/a"}),
        (sha("models/a")[:8], "object", {"s3://models/a"}),
        ("t-1", "snapshot", {"s3://silver/train"}),
        ("key-run-3-training", "key", {"s3://models/b"}),
        ("run-2", "run", {"s3://raw/new", "s3://eval/alerts"}),
        ("run-4", "run", set()),
    ],
)
def test_every_way_of_naming_a_thing(audit: AuditLog, thing: str, kind: str, objects: set[str]) -> None:
    found = trace(audit, thing)
    assert (found.kind, uris(found.objects)) == (kind, objects)


@pytest.mark.parametrize("thing", ["", "nothing", "f" * 64, "ctu@9", "s3://raw", "run"])
def test_what_the_audit_does_not_know_is_said(audit: AuditLog, thing: str) -> None:
    with pytest.raises(DataError) as caught:
        trace(audit, thing)
    assert caught.value.hint


def test_a_model_trained_on_its_own_output_ends(audit: AuditLog) -> None:
    write(audit, "loop", "training", ["models/b"], ["silver/train"])
    found = trace(audit, sha("models/b"))
    assert "loop training" in steps(found.made_by)


# -- many objects at once: phases hand each other manifests that name them ---------------------------------------------

INSIDE = {"raw/manifest": ["raw/a", "raw/b"], "raw/other": ["raw/b"], "silver/manifest": ["silver/a", "silver/b"]}


def contents(container: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [reference(name).to_dict() for name in INSIDE.get(container["uri"].removeprefix("s3://"), [])]


@pytest.fixture
def manifests(tmp_path: Path) -> AuditLog:
    log = AuditLog.open(f"sqlite:///{tmp_path}/audit.db")
    write(log, "run-1", "ingestion", [], ["raw/manifest"])
    write(log, "run-1", "transformation", ["raw/manifest"], ["silver/manifest"])
    write(log, "run-1", "training", ["silver/manifest"], ["models/a"])
    write(log, "run-2", "ingestion", [], ["raw/manifest"], status="reused")
    write(log, "run-2", "transformation", ["raw/manifest"], ["silver/manifest"], status="reused")
    write(log, "run-3", "ingestion", [], ["raw/other"], status="reused")
    write(log, "run-3", "scoring", ["models/a", "raw/other"], ["eval/alerts"])
    return log


def test_a_model_leads_back_to_the_originals_in_the_manifest(manifests: AuditLog) -> None:
    found = trace(manifests, sha("models/a"), contents=contents)
    assert uris(found.sources) == {"s3://raw/a", "s3://raw/b"}
    assert steps(found.made_by) == ["run-1 ingestion", "run-1 transformation", "run-1 training"]
    assert uris(trace(manifests, sha("models/a")).sources) == {"s3://raw/manifest"}


def test_an_original_leads_through_every_manifest_that_names_it(manifests: AuditLog) -> None:
    found = trace(manifests, sha("raw/b"), contents=contents)
    assert steps(found.made_by) == ["run-1 ingestion", "run-3 ingestion"]
    assert steps(found.led_to) == [
        "run-1 transformation",
        "run-1 training",
        "run-2 transformation",
        "run-3 scoring",
    ]
    assert steps(trace(manifests, sha("raw/a"), contents=contents).made_by) == ["run-1 ingestion"]


def test_what_was_only_ever_found_done_still_has_a_maker(manifests: AuditLog) -> None:
    found = trace(manifests, sha("eval/alerts"), contents=contents)
    assert "run-3 ingestion" in steps(found.made_by)
    assert uris(found.sources) == {"s3://raw/a", "s3://raw/b"}


def test_a_part_leads_back_to_the_originals_and_on_to_the_model(manifests: AuditLog) -> None:
    found = trace(manifests, sha("silver/a"), contents=contents)
    assert uris(found.sources) == {"s3://raw/a", "s3://raw/b"}
    assert "run-1 training" in steps(found.led_to)
