"""How runs are named and tagged in Prefect, and how the audit and Prefect lead to each other."""

from __future__ import annotations

import logging
from collections.abc import Callable

from prefect.runtime import flow_run

from cybersec_mlops.config import Settings
from cybersec_mlops.pipeline.compat import call_api
from cybersec_mlops.pipeline.version import code_version, git_commit

LOG = logging.getLogger("cybersec_mlops.tracing")


def flow_run_id() -> str | None:
    """Return the id of the Prefect flow run that is going on, for the audit."""
    found = flow_run.get_id()
    return None if found is None else str(found)


def run_name(verb: str) -> Callable[[], str]:
    """Return what names a flow run: the verb, the dataset and the audit's run id.

    Prefect calls it when the run begins, so that the UI shows ``train synthetic-day 20261123T...``.
    """

    def name() -> str:
        parameters = flow_run.get_parameters() or {}
        spec, run_id = parameters.get("spec"), parameters.get("run_id")
        dataset = getattr(spec, "dataset_name", None) or "connections"
        return " ".join(part for part in (verb, dataset, run_id) if part)

    return name


def run_tags(dataset: str, run_id: str, settings: Settings) -> list[str]:
    """Return what the Prefect UI filters by: dataset, run in the audit, code version, git commit, image digest.

    >>> run_tags("day", "r1", Settings(git_commit="0123abc"))[:2]
    ['dataset:day', 'run:r1']
    """
    facts = {
        "dataset": dataset,
        "run": run_id,
        "version": code_version(),
        "commit": git_commit(settings),
        "image": settings.image_digest,
    }
    return [f"{name}:{value}" for name, value in facts.items() if value]


def tag_run(dataset: str, run_id: str) -> None:
    """Tag the flow run that is going on; outside of one, or when the server does not take it, nothing happens."""
    current = flow_run_id()
    if current is None:
        return
    tags = sorted({*(flow_run.get_tags() or ()), *run_tags(dataset, run_id, Settings.load())})
    try:
        call_api("PATCH", f"/flow_runs/{current}", {"tags": tags})
    except Exception as error:  # noqa: BLE001 - a label is not worth a run
        LOG.warning("the flow run could not be tagged: %s", type(error).__name__)
