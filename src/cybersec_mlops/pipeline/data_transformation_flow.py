"""`data_transformation_flow`: RAW originals become a SILVER snapshot and a quarantine. Orchestration only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from cybersec_mlops.config import RunSpec
from cybersec_mlops.engine import Engine
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.originals import Original, read_manifest, share
from cybersec_mlops.pipeline.alerts import ALERTS
from cybersec_mlops.pipeline.artifacts import show_summary
from cybersec_mlops.pipeline.compat import thread_runner
from cybersec_mlops.pipeline.engines import on_engine
from cybersec_mlops.pipeline.groups import Group, grouped
from cybersec_mlops.pipeline.phase import PROGRESS, Outcome, Phase, new_run_id, run_phase
from cybersec_mlops.pipeline.platform import open_platform
from cybersec_mlops.pipeline.policies import WORKERS, configured, phase_task
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, tag_run
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation import shared_staging
from cybersec_mlops.transformation.silver import SilverManifest, SilverPart, write_manifest
from cybersec_mlops.transformation.slices import Slice
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.staging import Staged, stage_original
from cybersec_mlops.transformation.transform import (
    SliceJob,
    build_part,
    plan,
    publish,
    silver_columns,
    store_quarantine,
)

FLOW_NAME = "data_transformation_flow"


@phase_task("list-originals")
def list_originals_task(raw_manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Read which originals the run works on."""
    manifest = Reference.from_dict(raw_manifest)
    return [one.to_dict() for one in share(read_manifest(manifest, open_platform().layers.raw))]


@phase_task("parse-originals", "parse {group.name}")
def parse_originals_task(
    group: Group[dict[str, Any]], folder: str, timezone: str, limits: Limits, parsed: str | None = None
) -> list[dict[str, Any]]:
    """Parse originals into typed parts on scratch; count what is kept, refused and skipped."""
    done = None if parsed is None else Path(parsed)
    return [_parse(original, folder, timezone, limits, done).to_dict() for original in group.items]


def _parse(original: dict[str, Any], folder: str, timezone: str, limits: Limits, parsed: Path | None) -> Staged:
    layers, shared = open_platform().layers, shared_staging.is_shared(folder)
    with applied(limits), _scratch(folder) as scratch:
        own = scratch / original["sha256"]
        staged = stage_original(
            Original.from_dict(original), layers.raw, own, timezone=timezone, compress=shared, parsed=parsed
        )
        if shared:
            staged = shared_staging.share(staged, layers.silver, folder)
    get_run_logger().info(
        "%s: %d kept, %d quarantined %s, skipped %s",
        original["source_name"],
        staged.kept,
        sum(staged.reasons.values()),
        staged.reasons,
        staged.skipped,
    )
    return staged


def parse_all(
    originals: list[dict[str, Any]], folder: str, timezone: str, spec: RunSpec, parsed: str | None
) -> list[dict[str, Any]]:
    """Parse originals, in a flow run that is going on; return what became of each, in their order."""
    parse = configured(parse_originals_task, spec.tasks)
    groups = grouped(originals, name=lambda one: one["source_name"], size=lambda one: one["decompressed_bytes"])
    futures = [parse.submit(group, folder, timezone, spec.limits, parsed) for group in groups]
    return [staged for future in futures for staged in future.result()]


@contextmanager
def _scratch(place: str) -> Iterator[Path]:
    """Give the run's folder or, where its place is in the store, one of this process."""
    if not shared_staging.is_shared(place):
        yield Path(place)
        return
    with open_platform().scratch() as folder:
        yield folder


@phase_task("plan-slices")
def plan_slices_task(staged: list[dict[str, Any]], spec: TransformationSpec, folder: str) -> list[dict[str, Any]]:
    """Cut the rows of all originals into slices of time."""
    silver = open_platform().layers.silver
    parsed = [shared_staging.bring_seconds(Staged.from_dict(one), silver, Path(folder)) for one in staged]
    pieces = plan(parsed, spec)
    get_run_logger().info("%d slices", len(pieces))
    return [piece.to_dict() for piece in pieces]


@phase_task("build-part")
def build_part_task(piece: dict[str, Any], job: SliceJob) -> dict[str, Any]:
    """Compute the features of one slice and store the part."""
    silver = open_platform().layers.silver
    with _scratch(job.folder) as scratch:
        part = build_part(shared_staging.bring_slice(Slice.from_dict(piece), silver, scratch), job, silver)
    get_run_logger().info("%s: %d rows", part.reference.uri, part.reference.rows)
    return part.to_dict()


@phase_task("store-quarantine")
def store_quarantine_task(group: Group[dict[str, Any]], folder: str) -> list[dict[str, Any]]:
    """Store the refused rows of originals, each with its reason and line."""
    silver, stored = open_platform().layers.silver, list[Reference]()
    for staged in group.items:
        with _scratch(folder) as scratch:
            refused = shared_staging.bring_refused(Staged.from_dict(staged), silver, scratch)
            stored += store_quarantine(refused, silver)
    return [reference.to_dict() for reference in stored]


@phase_task("publish-silver")
def publish_task(
    staged: list[dict[str, Any]],
    parts: list[dict[str, Any]],
    quarantine: list[dict[str, Any]],
    job: SliceJob,
    raw_manifest: dict[str, Any],
) -> dict[str, Any]:
    """Store the manifest and make the parts the newest snapshot of the dataset's Iceberg tables."""
    platform = open_platform()
    reference, manifest = write_manifest(
        [Staged.from_dict(one) for one in staged],
        [SilverPart.from_dict(one) for one in parts],
        [Reference.from_dict(one) for one in quarantine],
        platform.layers.silver,
        dataset=job.dataset,
        raw_manifest=Reference.from_dict(raw_manifest),
        columns=silver_columns(job),
    )
    snapshot = publish(reference, manifest, platform.catalog)
    return {"manifest": reference.to_dict(), "uri": reference.uri, **snapshot, **_facts(manifest)}


def _facts(manifest: SilverManifest) -> dict[str, Any]:
    quarantined = sum(manifest.quarantined.values())
    names = ("read", "skipped", "labels", "labels_original", "first_ts", "last_ts", "formats", "synthetic")
    told = {name: getattr(manifest, name) for name in names}
    return {"rows": manifest.kept, "quarantined": quarantined, "quarantine_reasons": manifest.quarantined, **told}


@flow(
    name=FLOW_NAME,
    flow_run_name=run_name("transform"),
    task_runner=thread_runner(WORKERS),
    persist_result=False,
    **ALERTS,
)
def data_transformation_flow(
    spec: RunSpec, raw: dict[str, Any], run_id: str | None = None, parsed: str | None = None
) -> dict[str, Any]:
    """Turn RAW originals into SILVER.

    Parameters
    ----------
    spec : RunSpec
        Its `transformation` says how.
    raw : dict
        ``train`` and ``test``: references to RAW manifests, as `data_ingestion_flow` returns them.
    run_id : str, optional
        The run that this is part of; a new one when it runs alone.
    parsed : str, optional
        Scratch folder with what `data_ingestion_flow` parsed already.

    Returns
    -------
    dict
        ``train`` and ``test``: references to SILVER manifests.
    """
    run_id = run_id or new_run_id()
    tag_run(spec.dataset_name, run_id)
    made = {role: _transform_set(role, raw[role], spec, run_id, parsed) for role in ("train", "test") if raw.get(role)}
    return {"run_id": run_id, "train": made["train"], "test": made.get("test")}


def _transform_set(
    role: str, raw_manifest: dict[str, Any], spec: RunSpec, run_id: str, parsed: str | None
) -> dict[str, Any]:
    platform = open_platform()
    phase = Phase(
        name="transformation",
        run_id=run_id,
        dataset=spec.dataset_name if role == "train" else f"{spec.dataset_name}-test",
        inputs=(Reference.from_dict(raw_manifest),),
        parameters={
            "role": role,
            "transformation": spec.transformation.model_dump(mode="json"),
            "limits": spec.limits.model_dump(mode="json"),
        },
        flow_run_id=flow_run_id(),
    )
    outcome = run_phase(platform, phase, lambda: _transform(phase, raw_manifest, spec, parsed))
    if reasons := outcome.outputs["quarantine_reasons"]:
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items())
        PROGRESS.warning("%s: %s rows were quarantined: %s", phase.title, f"{outcome.outputs['quarantined']:,}", told)
    facts = ("rows", "quarantined", "quarantine_reasons", "skipped", "labels", "first_ts", "last_ts", "table", "uri")
    summary = {name: outcome.outputs.get(name) for name in facts}
    show_summary("transformation", run_id, {"set": role, "reused": outcome.reused, **summary})
    return dict(outcome.outputs["manifest"])


def _transform(phase: Phase, raw_manifest: dict[str, Any], spec: RunSpec, parsed: str | None) -> Outcome:
    platform, engine = open_platform(), Engine.parse(spec.engine)
    with platform.scratch() as scratch, on_engine(engine):
        silver = platform.layers.silver
        place = shared_staging.new_place(silver) if engine.is_dask else str(scratch)
        try:
            outputs = _in_steps(phase, raw_manifest, spec, place, str(scratch), parsed)
        finally:
            shared_staging.remove(place, silver)
    return Outcome(outputs, rows=outputs["rows"])


def _in_steps(
    phase: Phase, raw_manifest: dict[str, Any], spec: RunSpec, place: str, scratch: str, parsed: str | None
) -> dict[str, Any]:
    originals = configured(list_originals_task, spec.tasks)(raw_manifest)
    staged = parse_all(originals, place, spec.transformation.timezone, spec, parsed)
    job = SliceJob.of([Staged.from_dict(one) for one in staged], phase.dataset, spec.transformation, place)
    pieces = configured(plan_slices_task, spec.tasks)(staged, spec.transformation, scratch)
    build = configured(build_part_task, spec.tasks)
    parts = [build.submit(piece, job) for piece in pieces]
    refuse = configured(store_quarantine_task, spec.tasks)
    with_refused = grouped((one for one in staged if one["rejected"]), name=lambda one: one["raw_sha256"])
    refused = [refuse.submit(group, place) for group in with_refused]
    quarantine = [reference for future in refused for reference in future.result()]
    made = [future.result() for future in parts]
    return dict(configured(publish_task, spec.tasks)(staged, made, quarantine, job, raw_manifest))
