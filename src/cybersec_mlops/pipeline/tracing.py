"""How runs are named in Prefect, and how the audit and Prefect lead to each other."""

from __future__ import annotations

from collections.abc import Callable

from prefect.runtime import flow_run


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
