"""What every flow and task promises: its name, its retries, its timeout, and that only references cross Prefect."""

from __future__ import annotations

import importlib
import inspect
import re
from types import ModuleType

import pytest
from prefect import Flow, Task

from cybersec_mlops.pipeline.policies import is_transient

FORBIDDEN = re.compile(r"\bpl\.|ObjectStore|Secret|Platform")
FLOWS = (
    "data_ingestion_flow",
    "data_transformation_flow",
    "model_training_flow",
    "model_evaluation_flow",
    "batch_scoring_flow",
    "full_mlops_flow",
)


def module(name: str) -> ModuleType:
    return importlib.import_module(f"cybersec_mlops.pipeline.{name}")


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_has_the_name_of_its_module(name: str) -> None:
    flow = getattr(module(name), name)
    assert isinstance(flow, Flow)
    assert flow.name == name
    assert flow.flow_run_name is not None
    assert flow.fn.__doc__


@pytest.mark.parametrize("name", FLOWS[:-1])
def test_its_tasks_say_when_they_give_up(name: str) -> None:
    tasks = {key: one for key, one in vars(module(name)).items() if isinstance(one, Task)}
    assert tasks
    for key, one in tasks.items():
        assert one.retries > 0, key
        assert one.retry_condition_fn is is_transient, key
        assert one.timeout_seconds, key
        assert not one.persist_result, key
        assert one.fn.__doc__, key


@pytest.mark.parametrize("name", FLOWS[:-1])
def test_no_frame_no_client_and_no_secret_is_a_parameter(name: str) -> None:
    for one in vars(module(name)).values():
        if isinstance(one, Task | Flow):
            for parameter in inspect.signature(one.fn).parameters.values():
                assert not any(
                    word in str(parameter.annotation) for word in ("pl.", "ObjectStore", "Secret", "Platform")
                )
