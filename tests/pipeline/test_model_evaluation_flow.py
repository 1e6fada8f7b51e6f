"""The evaluation alone: a challenger meets the champion, and the champion is not measured against itself."""

from __future__ import annotations

import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.model_evaluation_flow import model_evaluation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.platform import Platform

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


def test_challenger_and_champion(prefect_api: str, platform: Platform, quick_spec: RunSpec) -> None:
    silver = data_transformation_flow(quick_spec, data_ingestion_flow(quick_spec, "r1"), "r1")
    first = model_training_flow(quick_spec, silver, "r1")
    decided = model_evaluation_flow(quick_spec, first, silver, "r1")
    assert decided["promoted"], decided["reasons"]
    champion = platform.registry.champion("day")
    assert champion is not None
    assert champion.sha256 == first["bundle"]["sha256"]

    weak = quick_spec.model_copy(update={"training": quick_spec.training.model_copy(update={"trees": 1, "seed": 5})})
    challenger = model_training_flow(weak, silver, "r2")
    refused = model_evaluation_flow(weak, challenger, silver, "r2")
    assert not refused["promoted"]
    assert any("champion 1" in reason for reason in refused["reasons"])
    assert platform.registry.champion("day") == champion

    again = model_evaluation_flow(quick_spec, first, silver, "r3")
    assert again["promoted"], "the champion keeps the decision that made it champion"
    assert platform.audit.events(run_id="r3", phase="evaluation")[-1].status == "reused"
