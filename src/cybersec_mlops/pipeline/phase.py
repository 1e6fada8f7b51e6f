"""A phase is a function of its inputs' hashes: reuse what is done and verifies, do what is not, write down both.

The key of a result is the hash of (phase, inputs, parameters, code version). One event goes to the audit for everything
that happens to a phase, failures and interruptions included.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cybersec_mlops.audit.events import PhaseEvent
from cybersec_mlops.audit.registry import CHAMPION
from cybersec_mlops.errors import DataError, GateError, describe_error
from cybersec_mlops.pipeline.compat import heartbeat
from cybersec_mlops.pipeline.manifests import references_inside
from cybersec_mlops.pipeline.orchestrator import server_failure
from cybersec_mlops.pipeline.platform import Platform
from cybersec_mlops.pipeline.version import code_version
from cybersec_mlops.storage.reference import Reference

PROGRESS = logging.getLogger("cybersec_mlops.progress")
"""A line for every phase, for the person who waits; the details are in Prefect's log."""


@dataclass(frozen=True)
class Outcome:
    """What a phase made."""

    outputs: dict[str, Any]
    """References (as dicts) and small facts; what a later phase or a reader needs."""
    rows: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    reused: bool = False
    refused: bool = False
    """The gate refused the model: the run is done, and its result is a no."""


@dataclass(frozen=True)
class Phase:
    """One phase of one run, as it goes into the audit."""

    name: str
    run_id: str
    dataset: str
    inputs: tuple[Reference, ...]
    parameters: dict[str, Any]
    flow_run_id: str | None = None

    @property
    def title(self) -> str:
        """What a person calls it: ``transformation`` or ``transformation of the test set``."""
        return f"{self.name} of the test set" if self.parameters.get("role") == "test" else self.name

    @property
    def key(self) -> str:
        """The hash that names the result."""
        hashes = [reference.sha256 for reference in self.inputs]
        return phase_key(self.name, hashes, {**self.parameters, "dataset": self.dataset})


def phase_key(name: str, inputs: list[str], parameters: Mapping[str, Any]) -> str:
    """Hash what a result depends on.

    >>> phase_key("training", ["ab"], {"seed": 0}) == phase_key("training", ["ab"], {"seed": 1})
    False
    """
    told = [name, inputs, parameters, code_version()]
    return hashlib.sha256(json.dumps(told, sort_keys=True, allow_nan=False).encode()).hexdigest()


def new_run_id() -> str:
    """Return an id that sorts by time and never collides."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def run_id_of_key(key: str) -> str:
    """Return the id of the run that a key stands for: the same key, the same run.

    >>> run_id_of_key("0b6c") == run_id_of_key("0b6c"), run_id_of_key("0b6c") == run_id_of_key("0b6d")
    (True, False)
    """
    return f"job-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


def run_phase(platform: Platform, phase: Phase, work: Callable[[], Outcome]) -> Outcome:
    """Return the result of a phase, from the audit where it is there and verifies, from `work` otherwise.

    Parameters
    ----------
    platform : Platform
        Whose audit is asked and written, and whose stores are verified.
    phase : Phase
        What is to be done, with its inputs.
    work : callable
        Does it. What it raises is written to the audit and raised again.
    """
    with heartbeat():
        known = find_result(platform, phase)
        recorder = _Recorder(platform, phase)
        if known is not None:
            recorder.write("reused", known)
            PROGRESS.info("%s: nothing to do, the result is there and verifies", phase.title)
            return known
        return _recorded(recorder, work)


def run_unkeyed_phase(platform: Platform, phase: Phase, work: Callable[[], Outcome]) -> Outcome:
    """Run a phase whose inputs' hashes are not known before it runs: the ingestion, which computes them.

    The work itself says whether it found everything done already.
    """
    with heartbeat():
        return _recorded(_Recorder(platform, phase), work)


def _recorded(recorder: _Recorder, work: Callable[[], Outcome]) -> Outcome:
    with recorder.recording():
        outcome = work()
        if outcome.refused:
            recorder.write("rejected", outcome, describe_error(_refusal(outcome)))
        else:
            recorder.write("reused" if outcome.reused else "completed", outcome)
        recorder.tell(outcome)
    return outcome


def _refusal(outcome: Outcome) -> GateError:
    """Return the gate's no as an error; the reasons that refuse come first."""
    reasons = outcome.outputs.get("reasons") or ["the gate refused the model"]
    return GateError(str(reasons[0]), hint="read the report; the gate's limits are in [evaluation.gate]")


def find_result(platform: Platform, phase: Phase) -> Outcome | None:
    """Return the finished result of a phase's key when everything that it made still verifies."""
    event = platform.audit.completed(phase.name, phase.key)
    if event is None or not all(_holds(platform, reference) for reference in references_in(event.outputs)):
        return None
    return Outcome(dict(event.outputs), event.rows, dict(event.metrics), reused=True)


def _holds(platform: Platform, reference: Reference) -> bool:
    layers = platform.layers
    try:
        return layers.store_of(reference.uri).holds(reference) and all(
            layers.store_of(inside.uri).holds(inside)
            for inside in references_inside(reference.uri, reference.sha256, layers)
        )
    except DataError:  # in a store that is no longer ours, or removed while it was read: not there
        return False


def references_in(value: Any) -> Iterator[Reference]:
    """Yield every reference in a JSON value, however deep."""
    if isinstance(value, Mapping):
        if {"uri", "sha256", "bytes"} <= set(value):
            yield Reference.from_dict(dict(value))
        else:
            for inner in value.values():
                yield from references_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from references_in(inner)


class _Recorder:
    """Writes the events of one attempt."""

    def __init__(self, platform: Platform, phase: Phase) -> None:
        self._audit = platform.audit
        self._title = phase.title
        self._began = time.monotonic()
        self._event = PhaseEvent(
            run_id=phase.run_id,
            phase=phase.name,
            attempt=platform.audit.next_attempt(phase.run_id, phase.name),
            status="started",
            started_at=datetime.now(UTC),
            ended_at=None,
            key=phase.key,
            inputs=[reference.to_dict() for reference in phase.inputs],
            outputs={},
            rows=None,
            parameters=phase.parameters,
            metrics={},
            code_version=code_version(),
            prefect_flow_run_id=phase.flow_run_id,
            error=None,
            dataset=phase.dataset,
        )

    def write(self, status: str, outcome: Outcome | None = None, error: dict[str, Any] | None = None) -> None:
        event = replace(self._event, status=status, error=error)
        if status != "started":
            event = replace(event, ended_at=event.started_at + timedelta(seconds=self._seconds()))
        if outcome is not None:
            event = replace(event, outputs=outcome.outputs, rows=outcome.rows, metrics=outcome.metrics)
        self._audit.append(event)

    def _seconds(self) -> float:
        """How long it has been going on, whatever was done to the clock meanwhile."""
        return time.monotonic() - self._began

    def tell(self, outcome: Outcome) -> None:
        """Say that it is done, for the person who waits."""
        if self._event.phase == "run":
            return  # the summary tells
        rows = "" if outcome.rows is None else f", {outcome.rows:,} rows"
        how = "nothing new" if outcome.reused else "done"
        PROGRESS.info("%s: %s%s (%.1f s)", self._title, how, rows, self._seconds())

    @contextmanager
    def recording(self) -> Iterator[None]:
        if self._event.phase != "run":
            PROGRESS.info("%s ...", self._title)
        self.write("started")
        try:
            yield
        except Exception as error:
            self.write("failed", error=describe_error(server_failure(error) or error))
            raise
        except BaseException as error:  # a signal, Prefect's cancellation
            self.write("interrupted", error=describe_error(error))
            raise


def reference_of(platform: Platform, uri: str) -> Reference:
    """Return the reference of a content-addressed object that somebody names by its location."""
    store = platform.layers.store_of(uri)
    key = store.key(uri)
    data = store.get_bytes(key)
    return Reference(uri, hashlib.sha256(data).hexdigest(), len(data))


def find_model(platform: Platform, named: str) -> Reference:
    """Return the bundle that somebody names: ``DATASET`` (its champion), ``DATASET@VERSION``, or a location.

    Raises
    ------
    DataError
        There is no such dataset, version or object.
    """
    if "://" in named:
        return reference_of(platform, named)
    dataset, _, version = named.partition("@")
    return Reference.from_dict(platform.registry.get(dataset, version or CHAMPION).bundle)
