"""Runs, metrics and models on an MLflow server as well, where MLFLOW_TRACKING_URI names one.

It is a copy for people who look there: the audit stays the record, and what is copied is read from it. An MLflow that
is away, slow or broken costs a run at most `LIMIT_S` and a warning, never its result; the audit says whether the copy
was made. Credentials stay in the MLFLOW_* variables, which MLflow's own client reads.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cybersec_mlops.audit.events import COPY, PhaseEvent
from cybersec_mlops.audit.registry import ALIASES, ModelVersion
from cybersec_mlops.errors import ConfigError, CybersecMlopsError, PlatformError, describe_error
from cybersec_mlops.pipeline.alerts import ALERTS, clean
from cybersec_mlops.pipeline.mlflow_facts import PREFIX, RunFacts, facts_of
from cybersec_mlops.pipeline.platform import Platform, open_platform
from cybersec_mlops.pipeline.version import code_version
from cybersec_mlops.storage.reference import Reference

LOG = logging.getLogger("cybersec_mlops.mlflow")
LIMIT_S: Final = 120.0
"""A copy that takes longer is given up, seconds."""
CLIENT: Final = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""How its client behaves where the environment does not say otherwise: bounded, silent, telling nobody."""
_EXTRA: Final = "pip install 'cybersec-mlops-pipeline[mlflow]'"


def is_wanted() -> bool:
    """Say whether the environment names an MLflow server."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def copy_when_ended(flow: Any, flow_run: Any, state: Any) -> None:  # noqa: ARG001 - Prefect gives them by name
    """Copy the run that a flow run was, when it has ended: Prefect's hook. A subflow is a part of its parent's run."""
    if not is_wanted() or flow_run.parent_task_run_id is not None:
        return
    try:
        platform = open_platform()
        latest = reversed(platform.audit.events(limit=1000))
        run_id = (flow_run.parameters or {}).get("run_id") or next(
            (event.run_id for event in latest if event.prefect_flow_run_id == str(flow_run.id)), None
        )
        if run_id is not None:
            copy_run(platform, run_id, str(flow_run.id))
    except CybersecMlopsError as error:
        LOG.warning("the run is not in MLflow: %s", clean(error.message))


def copy_run(platform: Platform, run_id: str, flow_run_id: str | None) -> None:
    """Copy a run that has ended, and write into the audit whether that worked.

    Parameters
    ----------
    platform : Platform
        Whose audit is read and written.
    run_id : str
        Of the audit. A run that neither trained nor evaluated is not copied.
    flow_run_id : str, optional
        Of Prefect, for the audit row.

    Raises
    ------
    PlatformError
        The audit failed. That MLflow failed is only warned of.
    """
    facts = facts_of(platform.audit.events(run_id=run_id), platform.settings)
    if facts is None:
        return
    began = datetime.now(UTC)
    made, error = _bounded(lambda deadline: _Copy(platform, facts.dataset, deadline).run(facts), f"run {run_id}")
    platform.audit.append(
        PhaseEvent(
            run_id=run_id,
            phase=COPY,
            attempt=platform.audit.next_attempt(run_id, COPY),
            status="completed" if error is None else "failed",
            started_at=began,
            ended_at=datetime.now(UTC),
            dataset=facts.dataset,
            outputs=made or {},
            code_version=code_version(),
            prefect_flow_run_id=flow_run_id,
            error=error,
        )
    )


def copy_aliases(dataset: str) -> None:
    """Let champion and challenger in MLflow be those of our registry, after a change by hand. Raises nothing."""
    if is_wanted():
        platform = open_platform()
        _bounded(lambda deadline: _Copy(platform, dataset, deadline).aliases(), f"the aliases of {dataset}")


HOOKS: Final[dict[str, Any]] = {
    **ALERTS,
    "on_completion": [copy_when_ended],
    "on_failure": [*ALERTS["on_failure"], copy_when_ended],
}
"""Options of the flows that make or measure models."""


def _bounded(work: Callable[[float], dict[str, Any]], what: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Work in a thread that may be left behind; return what it made, or the error that was warned of."""
    made: list[dict[str, Any]] = []
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            made.append(work(time.monotonic() + LIMIT_S))
        except BaseException as error:  # noqa: BLE001 - a copy is not worth a run
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True, name="mlflow")
    thread.start()
    thread.join(LIMIT_S)
    if made:
        return made[0], None
    error = _told(raised[0] if raised else PlatformError(f"it was not done after {LIMIT_S:.0f} s"))
    LOG.warning("%s is not in MLflow: %s (%s)", what, error["message"], error["hint"])
    return None, error


def _told(error: BaseException) -> dict[str, Any]:
    """Return the error without a secret, with what to do."""
    told = describe_error(error)
    told["message"] = clean(str(told["message"]))
    if not isinstance(error, ConfigError):
        told |= {"kind": "platform", "hint": "look at MLflow, or unset MLFLOW_TRACKING_URI; the run itself is complete"}
    return told


def _client() -> Any:
    """Return MLflow's client; what it does not know from the environment is short and silent.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    for name, value in CLIENT.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        missing = error.name or "mlflow"
        raise ConfigError(f"MLFLOW_TRACKING_URI is set, but {missing} is not installed", hint=_EXTRA) from None
    return MlflowClient()


class _Copy:
    """The runs and the model of one dataset on an MLflow server."""

    def __init__(self, platform: Platform, dataset: str, deadline: float) -> None:
        self._platform = platform
        self._name = f"cybersec-mlops-{dataset}"  # of the experiment and of the registered model
        self._dataset = dataset
        self._deadline = deadline
        self._client = _client()

    def run(self, facts: RunFacts) -> dict[str, Any]:
        """Log a run, its model and the aliases; the same run again is updated."""
        run = self._run(facts.run_id, facts.started_ms)
        self._log(run.info.run_id, facts)
        version = None if facts.bundle is None else self._version(facts.bundle, run)
        for folder, reference in facts.documents.items():
            self._upload(run, reference, folder)
        self._client.set_terminated(run.info.run_id, "FAILED" if facts.has_failed else "FINISHED", facts.ended_ms)
        made = {"mlflow_run_id": run.info.run_id, "experiment": self._name, "model_version": version}
        return {**made, **self.aliases()}

    def aliases(self) -> dict[str, Any]:
        """Let the aliases be borne as in our registry."""
        versions = self._platform.registry.versions(self._dataset)
        return {alias: self._bear(alias, versions) for alias in ALIASES} if versions else {}

    def _bear(self, alias: str, versions: list[ModelVersion]) -> str | None:
        holder = next((each for each in versions if alias in each.aliases), None)
        self._check_time()
        if holder is None:
            if self._versions():
                self._client.delete_registered_model_alias(self._name, alias)
            return None
        number = self._known(holder.sha256) or self._earlier(holder)
        self._client.set_registered_model_alias(self._name, alias, number)
        return number

    def _earlier(self, model: ModelVersion) -> str:
        """Register a model of a run that was never copied: from before MLflow was there, or while it was away."""
        run = self._run(model.run_id, int(model.registered_at.timestamp() * 1000))
        return self._version(Reference.from_dict(model.bundle), run)

    def _run(self, run_id: str, started_ms: int) -> Any:
        self._check_time()
        experiment = self._client.get_experiment_by_name(self._name)
        number = self._client.create_experiment(self._name) if experiment is None else experiment.experiment_id
        known = self._client.search_runs([number], f"tags.`{PREFIX}.run_id` = '{run_id}'", max_results=1)
        if known:
            return known[0]
        tags = {f"{PREFIX}.run_id": run_id}
        return self._client.create_run(number, start_time=started_ms, run_name=run_id, tags=tags)

    def _log(self, mlflow_run_id: str, facts: RunFacts) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._check_time()
        metrics = [Metric(name, value, facts.ended_ms, 0) for name, value in facts.metrics.items()]
        for some in _hundreds([Param(*item) for item in facts.parameters.items()]):
            self._client.log_batch(mlflow_run_id, params=some)
        for some in _hundreds(metrics):
            self._client.log_batch(mlflow_run_id, metrics=some)
        for some in _hundreds([RunTag(*item) for item in facts.tags.items()]):
            self._client.log_batch(mlflow_run_id, tags=some)

    def _versions(self) -> list[Any]:
        return list(self._client.search_model_versions(f"name = '{self._name}'", max_results=1000))

    def _known(self, sha256: str) -> str | None:
        found = (each for each in self._versions() if each.tags.get(f"{PREFIX}.bundle_sha256") == sha256)
        return next((str(each.version) for each in found), None)

    def _version(self, bundle: Reference, run: Any) -> str:
        """Return the version of a bundle, uploaded and registered once, whatever run brings it."""
        self._check_time()
        if (known := self._known(bundle.sha256)) is not None:
            return known
        if not self._client.search_registered_models(f"name = '{self._name}'"):
            self._client.create_registered_model(self._name)
        self._upload(run, bundle, "bundle")
        ours = next(each for each in self._platform.registry.versions(self._dataset) if each.sha256 == bundle.sha256)
        tags = {"bundle_sha256": bundle.sha256, "bundle_uri": bundle.uri, "version": str(ours.version)}
        made = self._client.create_model_version(
            self._name,
            source=f"{run.info.artifact_uri}/bundle",
            run_id=run.info.run_id,
            tags={f"{PREFIX}.{name}": value for name, value in tags.items()},
            await_creation_for=0,
        )
        return str(made.version)

    def _upload(self, run: Any, reference: Reference, folder: str) -> None:
        self._check_time()
        store = self._platform.layers.store_of(reference.uri)
        with self._platform.scratch() as scratch:
            copy = scratch / Path(reference.uri).name
            store.fetch(store.key(reference.uri), copy, sha256=reference.sha256)
            self._client.log_artifact(run.info.run_id, str(copy), folder)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            raise PlatformError(f"it was not done after {LIMIT_S:.0f} s")


def _hundreds(items: list[Any]) -> list[list[Any]]:
    """Cut a list into pieces that MLflow takes at once."""
    return [items[start : start + 100] for start in range(0, len(items), 100)]
