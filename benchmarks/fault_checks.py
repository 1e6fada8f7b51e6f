"""What must hold after every fault, whatever it was: nothing half, nothing lost, nothing double, nothing unsaid."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

import polars as pl

from cybersec_mlops.audit.events import Head, StoredEvent
from cybersec_mlops.errors import CybersecMlopsError
from cybersec_mlops.pipeline.manifests import references_inside
from cybersec_mlops.pipeline.phase import references_in
from fault_world import DATASET, LIMIT_S, PHASES, Case, Ended

EXPECTED_CODES: Final = (0, 2, 3, 4, 5, 130, 137, 143)
"""All that docs/operations.md knows but 1, which is a defect."""
WORDLESS_S: Final = 30
"""Who waits longer than this for something that is away must say so."""
_HASHED: Final = re.compile(r"/([0-9a-f]{64})(?:\.\w+)?$")


def check_run(ended: Ended, *, waits: bool) -> Iterator[str]:
    """Give what is wrong with how a run ended.

    Parameters
    ----------
    ended : Ended
        The run to which the fault was done.
    waits : bool
        Whether something that it needs was away.
    """
    if ended.code is None:
        yield f"it did not end within {LIMIT_S} s"
    elif ended.code not in EXPECTED_CODES:
        yield f"exit code {ended.code}"
    if "Traceback" in ended.stderr:
        yield "a traceback on the terminal"
    if ended.code != 137 and not ended.document:
        yield "no document"
    if waits and ended.after > WORDLESS_S and not ended.waiting:
        yield f"it waited up to {ended.after:.0f} s without a word"
    if ended.orphans:
        yield f"processes left: {'; '.join(ended.orphans)}"
    if ended.scratch and ended.code != 137:
        yield f"left on scratch: {', '.join(ended.scratch[:5])}"


def check_case(
    case: Case, first: list[Ended], second: Ended, noted: Head, *, may_redo: bool, unwritten: bool
) -> Iterator[str]:
    """Give every requirement on what is stored that does not hold after the second run.

    Parameters
    ----------
    case : Case
        Its store and its audit are read, object by object and row by row.
    first : list of Ended
        The runs that the fault was done to.
    second : Ended
        The run after them.
    noted : Head
        Where the audit ended between the two: it must still be a part of the chain.
    may_redo : bool
        Whether finished work is rightly done again.
    unwritten : bool
        Whether the first runs could not write to the audit how they ended.
    """
    yield from (f"audit: {fault.message}" for fault in case.audit.verify(expected=[noted]))
    events = case.audit.events()
    yield from damaged_objects(case)
    yield from _untrue(case, events)
    could = [second] if unwritten else [run for run in (*first, second) if run.code != 137]
    yield from _unended(events, [run.document.get("run_id") for run in could])
    if not may_redo:
        yield from _redone(events)
    yield from check_run(second, waits=False)
    if second.scratch:
        yield f"left on scratch by or before the next run: {', '.join(second.scratch[:5])}"
    if second.code not in (0, 5):
        yield f"the next run ended with {second.code}: {second.sees}"
    else:
        yield from _differences(case, second)
        yield from _rows(case, second)


def damaged_objects(case: Case) -> Iterator[str]:
    """Give every object of the store whose name is a hash that is not its content's."""
    for store in case.layers.stores().values():
        for key, _ in store.list():
            named = _HASHED.search(f"/{key}")
            if named and not key.startswith("receipts/"):  # those are named by the original's
                found = hashlib.sha256(store.get_bytes(key)).hexdigest()
                if found != named[1]:
                    yield f"{store.uri(key)} has SHA-256 {found}"


def _untrue(case: Case, events: list[StoredEvent]) -> Iterator[str]:
    """Give what the audit tells as done and the store does not hold, complete and verified."""
    references = {one for event in events if event.status != "started" for one in references_in(event.outputs)}
    for reference in sorted(references, key=lambda one: one.uri):
        inside = references_inside(reference.uri, reference.sha256, case.layers)
        for one in (reference, *inside):
            if not case.layers.store_of(one.uri).holds(one):
                yield f"told as done, but {one.uri} does not hold"


def _unended(events: list[StoredEvent], run_ids: Iterable[str | None]) -> Iterator[str]:
    """Give what began in a run that could still write, and has no end in the audit."""
    ended = {(event.run_id, event.phase, event.attempt) for event in events if event.status != "started"}
    for event in events:
        if (
            event.status == "started"
            and event.run_id in run_ids
            and (event.run_id, event.phase, event.attempt) not in ended
        ):
            yield f"the audit does not say how the {event.phase} of {event.run_id} ended"


def _redone(events: list[StoredEvent]) -> Iterator[str]:
    done = Counter((event.phase, event.key) for event in events if event.status == "completed")
    for (phase, _), times in done.items():
        if times > 1 and phase in PHASES[1:]:
            yield f"the {phase} was done {times} times"


def _differences(case: Case, second: Ended) -> Iterator[str]:
    baseline = case.world.baseline
    assert baseline is not None
    phases, wanted = second.document["phases"], baseline.document["phases"]
    facts = (("ingestion", "bytes"), ("transformation", "rows"), ("transformation", "quarantined"))
    for phase, name in (*facts, ("training", "sha256")):
        if phases[phase][name] != wanted[phase][name]:
            yield f"{phase}: {name} is {phases[phase][name]}, {wanted[phase][name]} without a fault"
    for name, value in baseline.document["metrics"].items():
        if second.document["metrics"][name] != value:
            yield f"metrics: {name} is {second.document['metrics'][name]}, {value} without a fault"


def _rows(case: Case, second: Ended) -> Iterator[str]:
    """Give what is wrong with the rows that a reader of the SILVER table gets."""
    wanted = second.document["phases"]["transformation"]["rows"]
    table = f"silver.{DATASET}"
    for event in case.audit.events(run_id=second.document["run_id"], phase="transformation"):
        if not event.outputs:
            continue
        try:
            rows = case.catalog.scan(table, event.outputs["tag"])
            read = rows.select("raw_sha256", "raw_line").collect()
        except CybersecMlopsError as error:
            yield f"the SILVER table cannot be read: {error.message}"
            continue
        distinct = read.select(pl.struct(pl.all()).n_unique()).item()
        if (read.height, distinct) != (wanted, wanted):
            yield f"{table} gives {read.height} rows, {distinct} of them different; expected {wanted}"
