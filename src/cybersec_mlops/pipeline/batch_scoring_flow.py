"""`batch_scoring_flow`: new logs and a model become ranked, explained alerts in EVAL. Orchestration only.

``python -m cybersec_mlops.pipeline.batch_scoring_flow`` is a container's command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger

from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline.alerts import ALERTS
from cybersec_mlops.pipeline.artifacts import show_summary
from cybersec_mlops.pipeline.compat import thread_runner
from cybersec_mlops.pipeline.data_ingestion_flow import ingest_set
from cybersec_mlops.pipeline.data_transformation_flow import list_originals_task, parse_all
from cybersec_mlops.pipeline.delivery import check_target, deliver
from cybersec_mlops.pipeline.model_choice import ChosenModel, choose_model
from cybersec_mlops.pipeline.parsed import place_for_parsed
from cybersec_mlops.pipeline.phase import PROGRESS, Outcome, Phase, new_run_id, run_phase, run_unkeyed_phase
from cybersec_mlops.pipeline.platform import open_platform
from cybersec_mlops.pipeline.policies import WORKERS, configured, phase_task
from cybersec_mlops.pipeline.scoring_result import DELIVERY, PHASE, ROLE
from cybersec_mlops.pipeline.signing import require_signed
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, tag_run
from cybersec_mlops.scoring.batch import ScoredSlice, ScoringJob, conclude, score_slice, slice_job
from cybersec_mlops.scoring.model import load_model
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.slices import Slice
from cybersec_mlops.transformation.staging import Staged
from cybersec_mlops.transformation.transform import SliceJob, plan

FLOW_NAME = "batch_scoring_flow"


@phase_task("plan-scoring")
def plan_scoring_task(staged: list[dict[str, Any]], job: ScoringJob, folder: str) -> dict[str, Any]:
    """Cut the rows of all originals into slices; compute for them what the model looks at."""
    parsed = [Staged.from_dict(one) for one in staged]
    slices = slice_job(load_model(job.bundle, open_platform().layers.models), parsed, job, Path(folder))
    pieces = plan(parsed, slices.spec)
    get_run_logger().info("%d slices", len(pieces))
    return {"slices": slices, "pieces": [piece.to_dict() for piece in pieces]}


@phase_task("score-slice")
def score_slice_task(piece: dict[str, Any], slices: SliceJob, job: ScoringJob, path: str) -> dict[str, Any]:
    """Compute the features of one slice, score its rows, keep its alerts on scratch."""
    scored = score_slice(Slice.from_dict(piece), slices, job, open_platform().layers.models, Path(path))
    get_run_logger().info("%d rows, %d of them alert", scored.tally.rows, scored.tally.alerting)
    return scored.to_dict()


@phase_task("rank-alerts")
def rank_alerts_task(
    staged: list[dict[str, Any]], scored: list[dict[str, Any]], job: ScoringJob, folder: str
) -> dict[str, Any]:
    """Merge the alerts of all slices, explain and store them; compare the scores with the calibration."""
    parsed, slices = [Staged.from_dict(one) for one in staged], [ScoredSlice.from_dict(one) for one in scored]
    concluded = conclude(parsed, slices, job, open_platform().layers, Path(folder))
    get_run_logger().info("%d alerts in %s", concluded["alerts"], concluded["uri"])
    return concluded


@phase_task("deliver-alerts")
def deliver_task(out: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """Copy the alerts to where they are wanted."""
    return deliver(out, outputs, open_platform().layers)


@flow(
    name=FLOW_NAME,
    flow_run_name=run_name("score"),
    task_runner=thread_runner(WORKERS),
    persist_result=False,
    **ALERTS,
)
def batch_scoring_flow(spec: RunSpec, run_id: str | None = None) -> dict[str, Any]:
    """Score new logs.

    Parameters
    ----------
    spec : RunSpec
        Its `sources` are scored, by the model that its `scoring` names; `dataset` says whose model that is.
    run_id : str, optional
        Id of the run in the audit; a new one by default.

    Returns
    -------
    dict
        ``run_id``, ``alerts`` (how many), ``rows``, ``uri`` (of the alerts in EVAL), ``out`` and ``warnings``.
    """
    run_id = run_id or new_run_id()
    if spec.scoring.out is not None:
        check_target(spec.scoring.out)
    platform = open_platform()
    model = choose_model(platform, spec)
    spec = spec.model_copy(update={"dataset": model.dataset})
    tag_run(model.dataset, run_id)
    require_signed(platform, model.bundle)
    with place_for_parsed(spec) as parsed:
        raw = ingest_set(ROLE, spec.sources, spec, run_id, parsed)
        job = ScoringJob(
            model.bundle, model.dataset, model.version, Reference.from_dict(raw), spec.transformation, spec.scoring
        )
        phase = Phase(
            name=PHASE,
            run_id=run_id,
            dataset=model.dataset,
            inputs=job.inputs,
            parameters={**job.parameters, "limits": spec.limits.model_dump(mode="json")},
            flow_run_id=flow_run_id(),
        )
        outputs = run_phase(platform, phase, lambda: _score(job, spec, parsed)).outputs
    warnings = warnings_of(outputs)
    for warning in warnings:
        PROGRESS.warning("warning: %s", warning)
    if spec.scoring.out is not None:
        _deliver(phase, model, spec, outputs)
    told = ("model", "rows", "quarantined", "alerting_rows", "alerts", "missing_features", "uri")
    show_summary(PHASE, run_id, {**{name: outputs[name] for name in told}, "warnings": " ".join(warnings)})
    return {
        "run_id": run_id,
        **{name: outputs[name] for name in ("alerts", "rows", "uri")},
        "out": spec.scoring.out,
        "warnings": warnings,
    }


def warnings_of(outputs: dict[str, Any]) -> list[str]:
    """Return what somebody who reads the alerts must know of them."""
    missing, features = outputs["missing_features"], outputs["features"]
    lacking = []
    if missing:
        names = f"{', '.join(missing[:8])}{f' and {len(missing) - 8} more' if len(missing) > 8 else ''}"
        lacking = [f"these logs lack {len(missing)} of the model's {features} features, taken as missing: {names}"]
    warned = outputs["calibration"]["warnings"]
    return [*lacking, *warned, *([outputs["calibration"]["advice"]] if warned else [])]


def _score(job: ScoringJob, spec: RunSpec, parsed: str | None) -> Outcome:
    with open_platform().scratch() as scratch:
        originals = configured(list_originals_task, spec.tasks)(job.raw.to_dict())
        staged = parse_all(originals, str(scratch), job.transformation.timezone, spec, parsed)
        planned = configured(plan_scoring_task, spec.tasks)(staged, job, str(scratch))
        score = configured(score_slice_task, spec.tasks)
        waiting = [
            score.submit(piece, planned["slices"], job, str(scratch / f"alerts-{number:06}.parquet"))
            for number, piece in enumerate(planned["pieces"])
        ]
        scored = [future.result() for future in waiting]
        outputs = configured(rank_alerts_task, spec.tasks)(staged, scored, job, str(scratch))
    told = ("read", "rows", "quarantined", "alerting_rows", "alerts", "days", "calibration")
    return Outcome(outputs, rows=outputs["rows"], metrics={name: outputs[name] for name in told})


def _deliver(phase: Phase, model: ChosenModel, spec: RunSpec, outputs: dict[str, Any]) -> None:
    out = str(spec.scoring.out)
    delivery = Phase(
        name=DELIVERY,
        run_id=phase.run_id,
        dataset=model.dataset,
        inputs=(Reference.from_dict(outputs["alerts_ndjson"]), Reference.from_dict(outputs["alerts_parquet"])),
        parameters={"role": ROLE, "out": out},
        flow_run_id=phase.flow_run_id,
    )
    work = configured(deliver_task, spec.tasks)
    run_unkeyed_phase(open_platform(), delivery, lambda: Outcome(work(out, outputs)))


if __name__ == "__main__":
    from cybersec_mlops.pipeline.scoring_entrypoint import main

    main()
