"""What each command runs: a flow, with its inputs found in the audit where the user named a run."""

from __future__ import annotations

from typing import Any

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline.batch_scoring_flow import batch_scoring_flow
from cybersec_mlops.pipeline.compat import run_under_key
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.full_mlops_flow import full_mlops_flow
from cybersec_mlops.pipeline.model_evaluation_flow import model_evaluation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.phase import reference_of
from cybersec_mlops.pipeline.platform import open_platform


def execute_run(spec: RunSpec, run_id: str) -> dict[str, Any]:
    """Run the whole pipeline."""
    return full_mlops_flow(spec, run_id)


def execute_job(spec: RunSpec, run_id: str, *, key: str) -> None:
    """Run the whole pipeline as the one flow run of a key: a retried job goes on in it."""
    run_under_key(full_mlops_flow, key, {"spec": spec, "run_id": run_id})


def execute_score(spec: RunSpec, run_id: str) -> dict[str, Any]:
    """Score new logs."""
    return batch_scoring_flow(spec, run_id)


def execute_score_job(spec: RunSpec, run_id: str, *, key: str) -> None:
    """Score new logs as the one flow run of a key: a retried job goes on in it."""
    run_under_key(batch_scoring_flow, key, {"spec": spec, "run_id": run_id})


def execute_ingest(spec: RunSpec, run_id: str) -> dict[str, Any]:
    """Run the ingestion alone."""
    return data_ingestion_flow(spec, run_id)


def execute_transform(spec: RunSpec, run_id: str, *, source: str, test: str | None) -> dict[str, Any]:
    """Run the transformation alone, on RAW manifests."""
    found = _Inputs(source)
    raw = {"train": found.of("ingestion", "train", source), "test": found.of("ingestion", "test", test)}
    return data_transformation_flow(found.named(spec), raw, run_id)


def execute_train(spec: RunSpec, run_id: str, *, source: str, test: str | None) -> dict[str, Any]:
    """Run the training alone, on SILVER manifests."""
    found = _Inputs(source)
    return model_training_flow(found.named(spec), found.silver(source, test), run_id)


def execute_evaluate(
    spec: RunSpec, run_id: str, *, source: str, silver: str | None, test: str | None
) -> dict[str, Any]:
    """Run the evaluation alone, on a bundle and SILVER manifests."""
    found = _Inputs(source)
    model = {"bundle": found.of("training", None, source, output="bundle")}
    return model_evaluation_flow(found.named(spec), model, found.silver(silver or source, test), run_id)


class _Inputs:
    """References that a user named by a run's id or by their location."""

    def __init__(self, source: str) -> None:
        self._platform = open_platform()
        self._events = []
        if "://" not in source:
            self._events = self._platform.audit.events(run_id=self._platform.audit.resolve_run(source))

    def named(self, spec: RunSpec) -> RunSpec:
        """Return the spec with the dataset of the run, where none was given."""
        known = [event.dataset for event in self._events if event.dataset and event.parameters.get("role") != "test"]
        if spec.dataset is not None:
            return spec
        if not known:
            raise ConfigError("a uri does not say which dataset it belongs to", hint="add --dataset NAME")
        return spec.model_copy(update={"dataset": known[0]})

    def silver(self, source: str, test: str | None) -> dict[str, Any]:
        """Return the references of the train and the test snapshot."""
        if "://" not in source and self._trained_on() is not None:
            return {"train": self._trained_on(), "test": self.of("transformation", "test", test)}
        return {
            "train": self.of("transformation", "train", source),
            "test": self.of("transformation", "test", test),
        }

    def _trained_on(self) -> dict[str, Any] | None:
        """Return the snapshot that a run of the training alone worked on."""
        return next((event.inputs[0] for event in self._events if event.phase == "training" and event.inputs), None)

    def of(self, phase: str, role: str | None, named: str | None, *, output: str = "manifest") -> dict[str, Any] | None:
        """Return the reference that a phase of the run made, or that a uri names; None for a test set not there."""
        if named is not None and "://" in named:
            return reference_of(self._platform, named).to_dict()
        for event in reversed(self._events):
            if event.phase == phase and output in event.outputs and role in (None, event.parameters.get("role")):
                return dict(event.outputs[output])
        if role == "test":
            return None
        raise DataError(f"no finished {phase} was found for {named!r}", hint=f"run the {phase} first")
