"""Where a thing came from and what it led to, read from the audit's inputs and outputs.

Events are joined by the SHA-256 of what one wrote and another read. Only events that made data out of data are walked:
a whole run's own event names test data beside training data, and a promotion names two models, so they are told, not
followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cybersec_mlops.audit.events import StoredEvent
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.audit.registry import PROMOTION, REGISTRATION, ModelRegistry
from cybersec_mlops.errors import DataError

TOLD_NOT_FOLLOWED: Final = frozenset({"run", REGISTRATION, PROMOTION})
MADE: Final = frozenset({"completed", "rejected", "reused"})
"""Statuses of an event that stands for its outputs; a rejected evaluation has a report too."""
Contents = Callable[[Mapping[str, Any]], Iterable[Mapping[str, Any]]]
"""Gives the references inside an object, where it is a manifest of others: none for everything else."""
SHORTEST_PREFIX: Final = 8


@dataclass(frozen=True, slots=True)
class Trace:
    """What the audit knows about a thing."""

    thing: str
    kind: str
    """run, object, model, snapshot or key."""
    objects: tuple[dict[str, Any], ...]
    """The references that it stands for."""
    sources: tuple[dict[str, Any], ...]
    """What it was made of at the very beginning: the RAW originals."""
    made_by: tuple[StoredEvent, ...]
    """From the originals to the thing, in order."""
    led_to: tuple[StoredEvent, ...]
    """What was done with it and with what came of it, in order."""
    told: tuple[StoredEvent, ...]
    """Registrations and promotions of the models among all these."""


@dataclass(slots=True)
class _Step:
    """An event in short: all of them are held at once."""

    number: int
    run_id: str
    phase: str
    status: str
    key: str | None
    read: frozenset[str]
    wrote: frozenset[str]


@dataclass(slots=True)
class _Graph:
    steps: list[_Step] = field(default_factory=list)
    references: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, set[int]] = field(default_factory=dict)  # a snapshot's tag or id -> events
    inside: dict[str, set[str]] = field(default_factory=dict)  # a manifest -> what it names
    around: dict[str, set[str]] = field(default_factory=dict)  # the other way round

    def add(self, event: StoredEvent) -> None:
        read, wrote = list(_references(event.inputs)), list(_references(event.outputs))
        for reference in (*read, *wrote):
            self.references.setdefault(str(reference["sha256"]), reference)
        self.steps.append(
            _Step(
                event.id,
                event.run_id,
                event.phase,
                event.status,
                event.key,
                frozenset(str(each["sha256"]) for each in read),
                frozenset(str(each["sha256"]) for each in wrote),
            )
        )
        for name in _names(event.outputs):
            self.names.setdefault(name, set()).add(event.id)

    def look_inside(self, contents: Contents) -> None:
        """Learn what the manifests among the references name."""
        for container, reference in list(self.references.items()):
            for inner in contents(reference):
                name = str(inner["sha256"])
                self.references.setdefault(name, dict(inner))
                self.inside.setdefault(container, set()).add(name)
                self.around.setdefault(name, set()).add(container)

    def upward(self, hashes: Collection[str]) -> tuple[set[int], set[str]]:
        """Return the events that made these hashes, back to the beginning, and what nothing in the audit made."""
        makers = self._makers()
        found: set[int] = set()
        beginnings: set[str] = set()

        def follow(each: str) -> Iterator[str]:
            of = makers.get(each, [])
            if not of and each in hashes:  # asked for by itself: whoever made a manifest that names it
                of = [step for container in self.around.get(each, ()) for step in makers.get(container, [])]
            found.update(step.number for step in of)
            before = {read for step in of for read in step.read if read != each}
            before = before or self.inside.get(each, set())
            if not before:
                beginnings.add(each)
            yield from before

        _walk(hashes, follow)
        return found, beginnings

    def _makers(self) -> dict[str, list[_Step]]:
        """Return who made each hash: those who did the work, or who found it done where the audit knows nobody else."""
        makers: dict[str, list[_Step]] = {}
        for step in self.steps:
            if step.status in MADE and step.phase not in TOLD_NOT_FOLLOWED:
                for each in step.wrote:
                    makers.setdefault(each, []).append(step)
        return {each: [step for step in steps if step.status != "reused"] or steps for each, steps in makers.items()}

    def downward(self, hashes: Collection[str]) -> tuple[set[int], set[str]]:
        """Return the events that used these hashes and what came of them, and all those hashes."""
        readers: dict[str, list[_Step]] = {}
        for step in self.steps:
            if step.status != "started" and step.phase not in TOLD_NOT_FOLLOWED:
                for each in step.read:
                    readers.setdefault(each, []).append(step)
        found: set[int] = set()

        def follow(each: str) -> Iterator[str]:
            yield from self.around.get(each, ())
            for step in readers.get(each, []):
                found.add(step.number)
                yield from step.wrote

        return found, _walk(hashes, follow)


def trace(audit: AuditLog, thing: str, *, contents: Contents | None = None) -> Trace:
    """Tell where a thing came from and what it led to.

    Parameters
    ----------
    audit : AuditLog
        The evidence.
    thing : str
        A SHA-256 (or its first eight digits or more) or the location of any object, RAW or made; a model as
        ``dataset@version`` or ``dataset@champion``; a SILVER snapshot by tag or id; a phase's key; a run by the
        beginning of its id.
    contents : callable, optional
        Looks into the manifests, through which phases hand each other many objects at once. Without it an original is
        known only where an event names it itself.

    Raises
    ------
    DataError
        The audit knows nothing of that name, or several things.
    """
    graph = _Graph()
    with audit.reading() as reader:
        for event in reader.events():
            graph.add(event)
    if contents is not None:
        graph.look_inside(contents)
    kind, hashes = _resolve(audit, graph, thing)
    above, beginnings = graph.upward(hashes)
    below, reached = graph.downward(hashes)
    models = set(hashes) | reached
    told = {
        step.number
        for step in graph.steps
        if step.phase in (REGISTRATION, PROMOTION) and step.key is not None and step.key in models
    }
    events = {event.id: event for event in _events(audit, above | below | told)}

    def chosen(numbers: set[int]) -> tuple[StoredEvent, ...]:
        return tuple(events[number] for number in sorted(numbers))

    def described(found: Collection[str]) -> tuple[dict[str, Any], ...]:
        return tuple(graph.references[each] for each in sorted(found))

    return Trace(
        thing=thing,
        kind=kind,
        objects=described(hashes),
        sources=described(beginnings),
        made_by=chosen(above),
        led_to=chosen(below - above),
        told=chosen(told),
    )


def _walk(start: Collection[str], follow: Callable[[str], Iterator[str]]) -> set[str]:
    seen, waiting = set(start), list(start)
    while waiting:
        for each in follow(waiting.pop()):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return seen


def _references(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("sha256"), str) and "uri" in value:
            yield value
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _names(value: object) -> Iterator[str]:
    """Give the snapshots that an event names in its outputs: by tag and by id, at any depth."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("tag", "snapshot", "snapshot_id") and isinstance(each, (str, int)):
                yield str(each)
            else:
                yield from _names(each)
    elif isinstance(value, list):
        for each in value:
            yield from _names(each)


def _resolve(audit: AuditLog, graph: _Graph, thing: str) -> tuple[str, frozenset[str]]:
    for resolve in (_model, _object, _snapshot, _key):
        if (found := resolve(audit, graph, thing)) is not None:
            return found
    try:
        run = audit.resolve_run(thing) if thing else ""
    except DataError as error:
        if "could be" in error.message:
            raise
        run = ""
    hashes = frozenset[str]().union(*(step.wrote for step in graph.steps if step.run_id == run))
    if run:
        return "run", hashes
    raise DataError(
        f"the audit knows nothing of {thing!r}",
        hint="give a SHA-256, a location, dataset@version, a snapshot's tag, a phase's key or a run id",
    )


def _model(audit: AuditLog, graph: _Graph, thing: str) -> tuple[str, frozenset[str]] | None:  # noqa: ARG001
    dataset, at, version = thing.rpartition("@")
    if not at or not dataset or not re.fullmatch(r"\d+|[a-z]+", version):
        return None
    return "model", frozenset({ModelRegistry(audit).get(dataset, version).sha256})


def _object(audit: AuditLog, graph: _Graph, thing: str) -> tuple[str, frozenset[str]] | None:  # noqa: ARG001
    here = {sha256 for sha256, reference in graph.references.items() if reference["uri"] == thing}
    if not here and re.fullmatch(rf"[0-9a-f]{{{SHORTEST_PREFIX},64}}", thing):
        here = {sha256 for sha256 in graph.references if sha256.startswith(thing)}
        if len(here) > 1:
            raise DataError(f"{thing!r} is the beginning of {len(here)} hashes", hint="give more of it")
    return ("object", frozenset(here)) if here else None


def _snapshot(audit: AuditLog, graph: _Graph, thing: str) -> tuple[str, frozenset[str]] | None:  # noqa: ARG001
    numbers = graph.names.get(thing)
    if not numbers:
        return None
    return "snapshot", frozenset[str]().union(*(step.wrote for step in graph.steps if step.number in numbers))


def _key(audit: AuditLog, graph: _Graph, thing: str) -> tuple[str, frozenset[str]] | None:  # noqa: ARG001
    steps = [step for step in graph.steps if step.key == thing]
    return ("key", frozenset[str]().union(*(step.wrote for step in steps))) if steps else None


def _events(audit: AuditLog, numbers: Collection[int]) -> Iterator[StoredEvent]:
    ordered = sorted(numbers)
    with audit.reading() as reader:
        for start in range(0, len(ordered), 500):  # SQLite takes a limited number of parameters
            yield from reader.events(numbers=ordered[start : start + 500])
