"""`model_training_flow`: a SILVER snapshot becomes a stored, registered bundle in MODELS. Orchestration only."""

from __future__ import annotations

from typing import Any

from prefect import flow, get_run_logger

from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline.artifacts import show_summary
from cybersec_mlops.pipeline.mlflow_copy import HOOKS
from cybersec_mlops.pipeline.phase import Outcome, Phase, find_model, new_run_id, run_phase
from cybersec_mlops.pipeline.platform import open_platform
from cybersec_mlops.pipeline.policies import configured, phase_task
from cybersec_mlops.pipeline.signing import require_signed, sign_bundle
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, tag_run
from cybersec_mlops.pipeline.version import code_version
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.train import train

FLOW_NAME = "model_training_flow"


@phase_task("fit-detector")
def fit_detector_task(
    silver: dict[str, Any], spec: TrainingSpec, holdout: bool, parent: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Fit the detectors or carry a parent over, fuse, set the threshold, and store the bundle under its hash."""
    platform = open_platform()
    with platform.scratch() as scratch:
        trained = train(
            Reference.from_dict(silver),
            platform.layers.silver,
            platform.layers.models,
            scratch,
            spec=spec,
            holdout=holdout,
            code={"version": code_version()},
            parent=None if parent is None else Reference.from_dict(parent),
        )
    get_run_logger().info("bundle %s, %d bytes", trained.bundle.uri, trained.bundle.bytes)
    return {"bundle": trained.bundle.to_dict(), "report": trained.report}


@phase_task("register-model")
def register_model_task(dataset: str, bundle: dict[str, Any], run_id: str) -> int:
    """Give the bundle a version in the registry; the same bundle keeps its version."""
    version = open_platform().registry.register(dataset, Reference.from_dict(bundle), run_id=run_id)
    get_run_logger().info("%s version %d", dataset, version)
    return version


@phase_task("sign-bundle")
def sign_bundle_task(dataset: str, bundle: dict[str, Any], run_id: str) -> None:
    """Sign the bundle where the environment names a key, also one that an earlier run made."""
    platform = open_platform()
    if sign_bundle(platform, Reference.from_dict(bundle), dataset=dataset, run_id=run_id, flow_run_id=flow_run_id()):
        get_run_logger().info("signed %s", bundle["uri"])


@flow(name=FLOW_NAME, flow_run_name=run_name("train"), persist_result=False, **HOOKS)
def model_training_flow(spec: RunSpec, silver: dict[str, Any], run_id: str | None = None) -> dict[str, Any]:
    """Train on a SILVER snapshot.

    Parameters
    ----------
    spec : RunSpec
        Its `training` says how, its `recalibrate` which model to carry over instead.
    silver : dict
        ``train`` and ``test``: references to SILVER manifests. Without a ``test`` a part of ``train`` is held out.
    run_id : str, optional
        The run that this is part of; a new one when it runs alone.

    Returns
    -------
    dict
        ``bundle``: reference; ``version``: number in the registry.
    """
    run_id = run_id or new_run_id()
    tag_run(spec.dataset_name, run_id)
    holdout = not silver.get("test")
    platform = open_platform()
    parent = None if spec.recalibrate is None else find_model(platform, spec.recalibrate)
    if parent is not None:
        require_signed(platform, parent)
    phase = Phase(
        name="training",
        run_id=run_id,
        dataset=spec.dataset_name,
        inputs=tuple(one for one in (Reference.from_dict(silver["train"]), parent) if one is not None),
        parameters={"training": spec.training.model_dump(mode="json", exclude={"threads"}), "holdout": holdout},
        flow_run_id=flow_run_id(),
    )
    outcome = run_phase(platform, phase, lambda: _train(phase, silver["train"], spec, holdout, parent))
    configured(sign_bundle_task, spec.tasks)(spec.dataset_name, outcome.outputs["bundle"], run_id)
    told = {name: outcome.outputs.get(name) for name in ("uri", "sha256", "version")}
    show_summary("training", run_id, {"reused": outcome.reused, **told, **outcome.outputs["report"]})
    return {"run_id": run_id, "bundle": outcome.outputs["bundle"], "version": outcome.outputs["version"]}


def _train(phase: Phase, silver: dict[str, Any], spec: RunSpec, holdout: bool, parent: Reference | None) -> Outcome:
    carried = None if parent is None else parent.to_dict()
    made = configured(fit_detector_task, spec.tasks)(silver, spec.training, holdout, carried)
    bundle = made["bundle"]
    version = configured(register_model_task, spec.tasks)(phase.dataset, bundle, phase.run_id)
    outputs = {**made, "uri": bundle["uri"], "sha256": bundle["sha256"], "version": version}
    return Outcome(outputs, rows=made["report"].get("rows"))
