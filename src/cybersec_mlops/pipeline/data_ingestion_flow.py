"""`data_ingestion_flow`: files, globs, folders and ``s3://`` prefixes become RAW originals. Orchestration only."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import PlatformError
from cybersec_mlops.ingestion.ingest import Found, find_sources, store_original, write_manifest
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.mappings import NamedMapping, load_mappings, store_mapping, stored_mapping
from cybersec_mlops.ingestion.originals import Original, same_content
from cybersec_mlops.ingestion.sources import Source
from cybersec_mlops.pipeline.alerts import ALERTS
from cybersec_mlops.pipeline.artifacts import show_summary
from cybersec_mlops.pipeline.compat import thread_runner
from cybersec_mlops.pipeline.groups import Group, grouped
from cybersec_mlops.pipeline.phase import PROGRESS, Outcome, Phase, new_run_id, run_unkeyed_phase
from cybersec_mlops.pipeline.platform import open_platform
from cybersec_mlops.pipeline.policies import WORKERS, configured, phase_task
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, tag_run
from cybersec_mlops.transformation.while_storing import parsing

FLOW_NAME = "data_ingestion_flow"
TOLD = 3
"""Files of one content that the terminal names."""
REASON_WIDTH = 60
"""Characters of a reason on the terminal."""


@phase_task("store-mappings")
def store_mappings_task(names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Read the mapping files and put them into RAW: name of the format to reference."""
    raw = open_platform().layers.raw
    return {one.reader.name: store_mapping(one, raw).to_dict() for one in load_mappings(names)}


@phase_task("find-sources")
def find_sources_task(
    sources: tuple[str, ...],
    log_format: str | None,
    limits: Limits,
    mappings: dict[str, dict[str, Any]] | None = None,
) -> Found:
    """Resolve what the user named to files and objects; pass over what is of another type, with the reason."""
    with applied(limits):
        found = find_sources(sources, format=log_format, mappings=_stored(mappings))
    for one in found.skipped:
        get_run_logger().warning("%s: skipped: %s", one.name, one.reason)
    get_run_logger().info("%d to ingest, %d skipped", len(found.sources), len(found.skipped))
    return found


@phase_task("store-originals", "store {group.name}")
def store_originals_task(
    group: Group[Source],
    log_format: str | None,
    limits: Limits,
    mappings: dict[str, dict[str, Any]] | None = None,
    parsed: str | None = None,
    timezone: str = "UTC",
) -> list[dict[str, Any]]:
    """Store originals in RAW under their SHA-256, each with a receipt; those before one that the platform refused."""
    raw, known, done = open_platform().layers.raw, _stored(mappings), list[dict[str, Any]]()
    onlooker = None if parsed is None else parsing(raw, Path(parsed), timezone=timezone)
    for source in group.items:
        try:
            with applied(limits):
                original = store_original(source, raw, format=log_format, mappings=known, onlooker=onlooker)
        except PlatformError as error:
            if not done:
                raise
            get_run_logger().warning("%s: %s; it is tried again in another task", source.name, error.message)
            break  # done again, what was stored now would count as known before
        state = "stored" if original.stored else "was there already"
        get_run_logger().info("%s: %s, %d bytes, %s", source.name, original.format, original.bytes, state)
        done.append(original.to_dict())
    return done


def _stored(mappings: dict[str, dict[str, Any]] | None) -> tuple[NamedMapping, ...]:
    return tuple(stored_mapping(one["sha256"], open_platform().layers.raw) for one in (mappings or {}).values())


@phase_task("write-raw-manifest")
def write_manifest_task(originals: list[dict[str, Any]]) -> dict[str, Any]:
    """Store the list of the originals, under its hash."""
    raw = open_platform().layers.raw
    return write_manifest([Original.from_dict(one) for one in originals], raw).to_dict()


@flow(
    name=FLOW_NAME,
    flow_run_name=run_name("ingest"),
    task_runner=thread_runner(WORKERS),
    validate_parameters=True,
    persist_result=False,
    **ALERTS,
)
def data_ingestion_flow(spec: RunSpec, run_id: str | None = None, parsed: str | None = None) -> dict[str, Any]:
    """Store the originals of a run.

    Parameters
    ----------
    spec : RunSpec
        Names the sources to train on and, optionally, to test on.
    run_id : str, optional
        The run that this is part of; a new one when it runs alone.
    parsed : str, optional
        Scratch folder into which large originals are parsed while they are stored, for the transformation that follows.

    Returns
    -------
    dict
        ``train`` and ``test``: references to RAW manifests; ``test`` is None where there is none.
    """
    run_id = run_id or new_run_id()
    tag_run(spec.dataset_name, run_id)
    train = ingest_set("train", spec.sources, spec, run_id, parsed)
    test = ingest_set("test", spec.test, spec, run_id, parsed) if spec.test else None
    return {"run_id": run_id, "train": train, "test": test}


def ingest_set(role: str, sources: tuple[str, ...], spec: RunSpec, run_id: str, parsed: str | None) -> dict[str, Any]:
    """Store the originals of one set, in a flow run that is going on; return the reference to their manifest."""
    phase = Phase(
        name="ingestion",
        run_id=run_id,
        dataset=spec.dataset_name,
        inputs=(),
        parameters={"role": role, "sources": list(sources), "format": spec.format, "mapping": list(spec.mapping)},
        flow_run_id=flow_run_id(),
    )
    outcome = run_unkeyed_phase(open_platform(), phase, lambda: _store_set(sources, spec, parsed))
    facts = {name: outcome.outputs[name] for name in ("objects", "new", "known", "bytes", "uri", "formats")}
    show_summary("ingestion", run_id, {"set": role, "reused": outcome.reused, **facts})
    return dict(outcome.outputs["manifest"])


def _store_all(
    sources: Sequence[Source], spec: RunSpec, mappings: dict[str, dict[str, Any]], parsed: str | None
) -> list[dict[str, Any]]:
    store = configured(store_originals_task, spec.tasks)
    given = (spec.format, spec.limits, mappings, parsed, spec.transformation.timezone)
    groups = grouped(sources, name=lambda one: one.name, size=lambda one: one.bytes)
    originals = list[dict[str, Any]]()
    for group, future in [(group, store.submit(group, *given)) for group in groups]:
        done = future.result()
        while left := group.items[len(done) :]:
            done += store.submit(Group(f"what is left from {left[0].name}", left), *given).result()
        originals += done
    return originals


def _passed_over(found: Found) -> str:
    """Say how many files are not used and, of the three commonest reasons, why; the audit names each."""
    if not found.skipped:
        return ""
    short = (textwrap.shorten(one.reason.partition(" (")[0], REASON_WIDTH, placeholder=" ...") for one in found.skipped)
    counted = Counter(short).most_common()
    reasons = [f"{count} {reason}" for reason, count in counted[:3]] + ["others"] * (len(counted) > 3)
    return f", {len(found.skipped)} passed over ({'; '.join(reasons)})"


def _store_set(sources: tuple[str, ...], spec: RunSpec, parsed: str | None) -> Outcome:
    mappings = configured(store_mappings_task, spec.tasks)(spec.mapping) if spec.mapping else {}
    found = configured(find_sources_task, spec.tasks)(sources, spec.format, spec.limits, mappings)
    originals = _store_all(found.sources, spec, mappings, parsed)
    manifest = configured(write_manifest_task, spec.tasks)(originals)
    new = {one["sha256"] for one in originals if one["stored"]}
    known = {one["sha256"] for one in originals} - new
    PROGRESS.info("ingestion: %d new files, %d known%s", len(new), len(known), _passed_over(found))
    again = same_content(Original.from_dict(one) for one in originals)
    for name, other in list(again.items())[:TOLD]:  # the audit names each
        PROGRESS.warning("%s has the content of %s: each of its connections counts twice; leave one out", name, other)
    return Outcome(
        outputs={
            "manifest": manifest,
            "uri": manifest["uri"],
            "objects": len(new | known),
            "new": len(new),
            "known": len(known),
            "bytes": sum({one["sha256"]: one["bytes"] for one in originals}.values()),
            "formats": sorted({one["format"] for one in originals}),
            "sources": {one["source_name"]: one["sha256"] for one in originals},
            "passed_over": {one.name: one.reason for one in found.skipped},
            "same_content": again,
            **({"mappings": mappings} if mappings else {}),
        },
        reused=not new,
    )
