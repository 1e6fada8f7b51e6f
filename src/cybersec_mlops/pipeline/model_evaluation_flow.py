"""`model_evaluation_flow`: a bundle and a SILVER snapshot become metrics, a report, a decision. Orchestration only."""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger

from cybersec_mlops.audit.registry import CHALLENGER, CHAMPION, ModelRegistry, ModelVersion
from cybersec_mlops.config import RunSpec
from cybersec_mlops.evaluation.evaluate import EvaluationJob, assess, score_test
from cybersec_mlops.pipeline.artifacts import show_metrics, show_report, show_summary
from cybersec_mlops.pipeline.mlflow_copy import HOOKS
from cybersec_mlops.pipeline.phase import Outcome, Phase, new_run_id, run_phase
from cybersec_mlops.pipeline.platform import open_platform
from cybersec_mlops.pipeline.policies import configured, phase_task
from cybersec_mlops.pipeline.signing import require_signed
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, tag_run
from cybersec_mlops.pipeline.version import code_facts
from cybersec_mlops.storage.reference import Reference

FLOW_NAME = "model_evaluation_flow"


@phase_task("score-test-set")
def score_test_task(job: EvaluationJob) -> dict[str, Any]:
    """Score every row of the test set with the frozen bundle; store the predictions."""
    platform = open_platform()
    with platform.scratch() as scratch:
        predictions = score_test(job, platform.layers, scratch)
    get_run_logger().info("%d rows scored", predictions.rows)
    return predictions.to_dict()


@phase_task("assess")
def assess_task(job: EvaluationJob, predictions: dict[str, Any]) -> dict[str, Any]:
    """Measure, audit for leakage, compare with the champion, decide, write the report."""
    platform = open_platform()
    with platform.scratch() as scratch:
        assessed = assess(job, Reference.from_dict(predictions), platform.layers, scratch)
    for reason in assessed["reasons"]:
        get_run_logger().info("%s", reason)
    return assessed


@phase_task("promote")
def promote_task(dataset: str, version: int, run_id: str, promoted: bool, reasons: list[str]) -> None:
    """Write the decision into the registry: the model becomes champion, or stays a challenger."""
    registry = open_platform().registry
    alias = CHAMPION if promoted else CHALLENGER
    holder = registry.champion(dataset) if promoted else registry.challenger(dataset)
    if holder is None or holder.version != version:
        registry.set_alias(dataset, alias, version, run_id=run_id, reason=" ".join(reasons))
    get_run_logger().info("%s version %d is %s", dataset, version, alias)


def _opponent(registry: ModelRegistry, dataset: str, bundle: Reference) -> ModelVersion | None:
    """Return whom the bundle has to beat: the champion, or the one before where the bundle is champion already."""
    champion = registry.champion(dataset)
    if champion is not None and champion.sha256 == bundle.sha256:
        return registry.predecessor(bundle.sha256)
    return champion


@flow(name=FLOW_NAME, flow_run_name=run_name("evaluate"), persist_result=False, **HOOKS)
def model_evaluation_flow(
    spec: RunSpec, model: dict[str, Any], silver: dict[str, Any], run_id: str | None = None
) -> dict[str, Any]:
    """Evaluate a bundle and decide on its promotion.

    Parameters
    ----------
    spec : RunSpec
        Its `evaluation` says how.
    model : dict
        ``bundle``: reference, as `model_training_flow` returns it.
    silver : dict
        ``train`` and ``test``: references to SILVER manifests. Without a ``test`` the rows that the training held out.
    run_id : str, optional
        The run that this is part of; a new one when it runs alone.

    Returns
    -------
    dict
        ``promoted``, ``reasons``, and the references ``report``, ``metrics`` and ``predictions``.
    """
    run_id = run_id or new_run_id()
    tag_run(spec.dataset_name, run_id)
    platform = open_platform()
    bundle = Reference.from_dict(model["bundle"])
    registry = platform.registry
    opponent = _opponent(registry, spec.dataset_name, bundle)
    for one in (bundle, None if opponent is None else Reference.from_dict(opponent.bundle)):
        if one is not None:
            require_signed(platform, one)
    job = EvaluationJob(
        bundle=bundle,
        version=registry.register(spec.dataset_name, bundle, run_id=run_id),
        train=Reference.from_dict(silver["train"]),
        test=Reference.from_dict(silver["test"]) if silver.get("test") else None,
        champion=None if opponent is None else Reference.from_dict(opponent.bundle),
        champion_version=None if opponent is None else opponent.version,
        training=spec.training,
        evaluation=spec.evaluation,
        dataset=spec.dataset_name,
        run_id=run_id,
        code=code_facts(platform.settings),
    )
    phase = Phase(
        name="evaluation",
        run_id=run_id,
        dataset=spec.dataset_name,
        inputs=job.inputs,
        parameters=job.parameters,
        flow_run_id=flow_run_id(),
    )
    outcome = run_phase(platform, phase, lambda: _evaluate(phase, job, spec))
    _show(run_id, outcome)
    wanted = ("promoted", "reasons", "report", "metrics_object", "predictions")
    return {"run_id": run_id, **{name: outcome.outputs[name] for name in wanted}}


def _evaluate(phase: Phase, job: EvaluationJob, spec: RunSpec) -> Outcome:
    predictions = configured(score_test_task, spec.tasks)(job)
    assessed = configured(assess_task, spec.tasks)(job, predictions)
    decision = assessed["promoted"], assessed["reasons"]
    configured(promote_task, spec.tasks)(phase.dataset, job.version, phase.run_id, *decision)
    metrics = assessed.pop("headline")
    return Outcome({**assessed, "predictions": predictions}, rows=metrics.get("rows"), metrics=metrics)


def _show(run_id: str, outcome: Outcome) -> None:
    show_metrics(run_id, outcome.outputs["table"])
    show_report(run_id, outcome.outputs["report"])
    facts = {"reused": outcome.reused, "promoted": outcome.outputs["promoted"], **outcome.metrics}
    show_summary("evaluation", run_id, {**facts, "reasons": " ".join(outcome.outputs["reasons"])})
