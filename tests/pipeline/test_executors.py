"""Each phase alone, one after the other, found by the id of the run before or by the location that it printed."""

from __future__ import annotations

import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline import executors
from cybersec_mlops.pipeline.platform import Platform

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


def bare(spec: RunSpec) -> RunSpec:
    """Return a spec as the later commands make it: without sources and without a name."""
    return spec.model_copy(update={"sources": (), "dataset": None})


def test_the_phases_one_after_the_other(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    spec = bare(quick_spec)
    raw = executors.execute_ingest(quick_spec, "run-1")
    silver = executors.execute_transform(spec, "run-2", source="run-1", test=None)
    model = executors.execute_train(spec, "run-3", source="run-2", test=None)
    done = executors.execute_evaluate(spec, "run-4", source="run-3", silver=None, test=None)
    assert isinstance(done["promoted"], bool)
    assert [raw["test"], silver["test"]] == [None, None]
    assert model["version"] == 1
    assert {event.dataset for event in platform.audit.events()} == {"day"}

    named = spec.model_copy(update={"dataset": "day"})
    again = executors.execute_transform(named, "run-5", source=raw["train"]["uri"], test=None)
    assert again["train"] == silver["train"]
    assert platform.audit.events(run_id="run-5")[-1].status == "reused"


def test_what_is_not_there_is_told(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    with pytest.raises(DataError, match="no run"):
        executors.execute_train(bare(quick_spec), "run-1", source="nothing", test=None)
    executors.execute_ingest(quick_spec, "run-1")
    with pytest.raises(DataError, match="no finished transformation"):
        executors.execute_train(bare(quick_spec), "run-2", source="run-1", test=None)


def test_a_location_needs_a_dataset(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    raw = executors.execute_ingest(quick_spec, "run-1")
    with pytest.raises(ConfigError, match="dataset"):
        executors.execute_transform(bare(quick_spec), "run-2", source=raw["train"]["uri"], test=None)
