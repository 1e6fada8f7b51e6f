"""`full_mlops_flow`: ingestion, transformation, training and evaluation in a row. Orchestration only.

It chains the four phases, passes references and writes the run's own events; it holds no data logic.
``python -m cybersec_mlops.pipeline.full_mlops_flow`` is a container's command.
"""

from __future__ import annotations

from typing import Any

from prefect import flow

from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline.artifacts import show_summary
from cybersec_mlops.pipeline.compat import no_heartbeat
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.mlflow_copy import HOOKS
from cybersec_mlops.pipeline.model_evaluation_flow import model_evaluation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.parsed import place_for_parsed
from cybersec_mlops.pipeline.phase import Outcome, Phase, new_run_id, run_unkeyed_phase
from cybersec_mlops.pipeline.platform import open_platform
from cybersec_mlops.pipeline.tracing import flow_run_id, run_name, tag_run

FLOW_NAME = "full_mlops_flow"


@flow(name=FLOW_NAME, flow_run_name=run_name("run"), persist_result=False, **HOOKS)
def full_mlops_flow(spec: RunSpec, run_id: str | None = None) -> dict[str, Any]:
    """Run the whole pipeline on some sources.

    Parameters
    ----------
    spec : RunSpec
        What to do.
    run_id : str, optional
        Id of the run in the audit; a new one by default.

    Returns
    -------
    dict
        ``run_id``, ``promoted`` and the references that the evaluation returned.
    """
    run_id = run_id or new_run_id()
    tag_run(spec.dataset_name, run_id)
    phase = Phase(
        name="run",
        run_id=run_id,
        dataset=spec.dataset_name,
        inputs=(),
        parameters=spec.model_dump(mode="json"),
        flow_run_id=flow_run_id(),
    )
    outcome = run_unkeyed_phase(open_platform(), phase, lambda: _phases(spec, run_id))
    show_summary("run", run_id, outcome.outputs)
    return {"run_id": run_id, **outcome.outputs}


def _phases(spec: RunSpec, run_id: str) -> Outcome:
    with no_heartbeat():
        with place_for_parsed(spec) as parsed:
            raw = data_ingestion_flow(spec, run_id, parsed)
            silver = data_transformation_flow(spec, raw, run_id, parsed)
        model = model_training_flow(spec, silver, run_id)
        evaluation = model_evaluation_flow(spec, model, silver, run_id)
    outputs = {name: evaluation[name] for name in ("promoted", "reasons", "report")}
    return Outcome(outputs, refused=not evaluation["promoted"])


if __name__ == "__main__":
    from cybersec_mlops.pipeline.entrypoint import main

    main()
