"""What MLflow is told of a run, made from its audit events and from nothing else. Knows no client and no network."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.config import Settings
from cybersec_mlops.storage.reference import Reference

PREFIX: Final = "cybersec_mlops"
"""Of every tag of ours."""
LOGGED: Final = ("training", "evaluation")
"""A run of none of these phases made no model and measured none: MLflow is not told of it."""
VALUE_LIMIT: Final = 500
"""Characters of a parameter or tag, which every version of MLflow takes."""
KEY_LIMIT: Final = 200
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_\-. /]")
_DONE: Final = ("completed", "reused", "rejected")


@dataclass(frozen=True)
class RunFacts:
    """A run as MLflow shows it."""

    run_id: str
    dataset: str
    has_failed: bool
    started_ms: int
    ended_ms: int
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    documents: dict[str, Reference]
    """Folder among the run's artifacts to object."""
    bundle: Reference | None


def facts_of(events: Sequence[StoredEvent], settings: Settings) -> RunFacts | None:
    """Return what MLflow is told of a run, None where it neither trained nor evaluated a model.

    Parameters
    ----------
    events : sequence of StoredEvent
        Those of one run, in order.
    settings : Settings
        For commit and image.
    """
    ended = [event for event in events if event.ended_at is not None and event.phase in ("run", *LOGGED, *_EARLIER)]
    if not any(event.phase in LOGGED for event in ended):
        return None
    newest = {(event.phase, event.parameters.get("role")): event for event in ended}
    done = [event for event in newest.values() if event.status in _DONE]
    last = newest.get(("run", None)) or ended[-1]
    own = next((event for event in done if event.phase == "evaluation"), None)
    trained = next((event for event in done if event.phase == "training"), None)
    begun = min(event.started_at for event in ended)
    return RunFacts(
        run_id=last.run_id,
        dataset=str(last.dataset),
        has_failed=last.status not in _DONE,
        started_ms=int(begun.timestamp() * 1000),
        ended_ms=int(max(event.ended_at or begun for event in ended).timestamp() * 1000),
        parameters=dict(_parameters(done)),
        metrics={} if own is None else dict(_metrics(own)),
        tags={name: value[:VALUE_LIMIT] for name, value in _tags(last, done, settings) if value},
        documents={} if own is None else dict(_documents(own)),
        bundle=_bundle(trained, own),
    )


_EARLIER: Final = ("ingestion", "transformation")


def _bundle(trained: StoredEvent | None, evaluated: StoredEvent | None) -> Reference | None:
    if trained is not None:
        return Reference.from_dict(trained.outputs["bundle"])
    return None if evaluated is None else Reference.from_dict(evaluated.inputs[0])


def _documents(evaluated: StoredEvent) -> Iterator[tuple[str, Reference]]:
    for folder, output in (("report", "report_object"), ("model_card", "model_card"), ("metrics", "metrics_object")):
        if isinstance(evaluated.outputs.get(output), dict):
            yield folder, Reference.from_dict(evaluated.outputs[output])


def _parameters(done: Sequence[StoredEvent]) -> Iterator[tuple[str, str]]:
    """Yield the settings of each phase as ``training.trees``, and how its inputs were chosen."""
    for event in done:
        if event.phase in ("transformation", *LOGGED):
            own = event.parameters.get(event.phase)
            yield from flattened(event.phase, own if isinstance(own, Mapping) else {})


def flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield nested settings under dotted names.

    >>> dict(flattened("evaluation", {"gate": {"metric": "roc_auc"}, "rates": [0.1, 0.2]}))
    {'evaluation.gate.metric': 'roc_auc', 'evaluation.rates': '[0.1, 0.2]'}
    """
    if isinstance(value, Mapping):
        for inner, each in value.items():
            yield from flattened(f"{name}.{inner}", each)
    else:
        yield plain_name(name), str(value)[:VALUE_LIMIT]


def plain_name(text: str) -> str:
    """Return a name in the characters that MLflow takes; labels of attacks come from logs.

    >>> plain_name("recall: <Web Attack>")
    'recall_ _Web Attack_'
    """
    return _FOREIGN.sub("_", text)[:KEY_LIMIT]


def _metrics(evaluated: StoredEvent) -> Iterator[tuple[str, float]]:
    """Yield the scalars, and each figure with the bounds of its interval as ``roc_auc.low`` and ``roc_auc.high``."""
    for name, value in evaluated.metrics.items():
        yield from _number(plain_name(name), value)
    for row in evaluated.outputs.get("table", ()):
        name = plain_name(str(row["metric"]).replace(": ", "/"))
        yield from _number(name, row.get("value"))
        for bound in ("low", "high"):
            yield from _number(f"{name}.{bound}", row.get(bound))


def _number(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield name, float(value)


def _tags(last: StoredEvent, done: Sequence[StoredEvent], settings: Settings) -> Iterator[tuple[str, str]]:
    facts = {
        "run_id": last.run_id,
        "dataset": last.dataset,
        "status": last.status,
        "code_version": last.code_version,
        "git_commit": settings.git_commit,
        "image_digest": settings.image_digest,
        "prefect_flow_run_id": last.prefect_flow_run_id,
        "error": (last.error or {}).get("kind"),
    }
    for event in done:
        made = event.outputs.get("manifest") or event.outputs.get("bundle")
        if isinstance(made, Mapping):
            name = {"ingestion": "raw", "transformation": "silver", "training": "bundle"}.get(event.phase, event.phase)
            role = "_test" if event.parameters.get("role") == "test" else ""
            facts[f"{name}{role}_sha256"] = made["sha256"]
        if event.phase == "evaluation":
            facts |= {"promoted": str(event.outputs.get("promoted")).lower(), "report": event.outputs.get("report")}
    yield from ((f"{PREFIX}.{name}", str(value)) for name, value in facts.items() if value)
    yield "mlflow.source.name", "cybersec-mlops"
    yield "mlflow.source.git.commit", settings.git_commit or ""
