"""What differs between the versions of Prefect is answered for the one that is installed, and in one place."""

from __future__ import annotations

import shutil
from pathlib import Path

import prefect
import pytest
import yaml  # type: ignore[import-untyped]

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import DataError
from cybersec_mlops.pipeline import compat
from cybersec_mlops.pipeline.compat import (
    IS_PREFECT_3,
    REQUEST_TIMEOUT_S,
    UNCACHED,
    call_api,
    flush,
    heartbeat,
    no_heartbeat,
    run_under_key,
    server_limits,
    thread_runner,
)
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.phase import new_run_id
from cybersec_mlops.pipeline.platform import Platform

pytestmark = pytest.mark.prefect2
ON_PREFECT = (pytest.mark.services, pytest.mark.xdist_group("prefect"))


def test_the_version_is_recognised() -> None:
    assert prefect.__version__.startswith("3." if IS_PREFECT_3 else "2.")
    assert UNCACHED["persist_result"] is False


def test_nothing_else_asks_for_the_version() -> None:
    package = Path(compat.__file__).parents[1]
    asking = [
        path.name
        for path in package.rglob("*.py")
        if any(word in path.read_text() for word in ("IS_PREFECT_3", "prefect.__version__", 'version("prefect")'))
    ]
    assert asking == ["compat.py"]


@pytest.mark.skipif(not IS_PREFECT_3, reason="Prefect 2 has no heartbeat")
def test_the_heartbeat_is_off_inside_and_back_outside() -> None:
    from prefect.settings import get_current_settings

    before = get_current_settings().flows.heartbeat_frequency
    with no_heartbeat():
        assert get_current_settings().flows.heartbeat_frequency is None
    assert get_current_settings().flows.heartbeat_frequency == before


def test_limits_are_ours_where_the_environment_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT

    monkeypatch.delenv("PREFECT_API_REQUEST_TIMEOUT", raising=False)
    with server_limits():
        assert PREFECT_API_REQUEST_TIMEOUT.value() == REQUEST_TIMEOUT_S
    monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "99")
    with server_limits():
        assert PREFECT_API_REQUEST_TIMEOUT.value() != REQUEST_TIMEOUT_S


@pytest.mark.skipif(not IS_PREFECT_3, reason="Prefect 2 has no heartbeat")
def test_three_heartbeats_fit_into_what_the_automation_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import get_current_settings

    monkeypatch.delenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", raising=False)
    path = Path(__file__).resolve().parents[2] / "deploy" / "automations.yaml"
    [automation] = yaml.safe_load(path.read_text())["automations"]
    with server_limits():
        seconds = get_current_settings().flows.heartbeat_frequency
    assert seconds is not None
    assert automation["trigger"]["within"] > 3 * seconds


@pytest.mark.services
@pytest.mark.xdist_group("prefect")
@pytest.mark.skipif(not IS_PREFECT_3, reason="Prefect 2 has no heartbeat")
def test_a_subflow_sends_its_own(prefect_api: str) -> None:
    from prefect import flow
    from prefect.events.clients import AssertingEventsClient
    from prefect.events.worker import EventsWorker
    from prefect.runtime import flow_run
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    @flow(name="heartbeat-inner", persist_result=False)
    def inner() -> str:
        with heartbeat():
            return str(flow_run.get_id())

    @flow(name="heartbeat-outer", persist_result=False)
    def outer() -> str:
        with no_heartbeat():
            return inner()

    flush(timeout_s=10)
    EventsWorker.set_client_override(AssertingEventsClient)
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
            found = outer()
        flush(timeout_s=10)
        sent = [event for client in AssertingEventsClient.all for event in client.events]
    finally:
        EventsWorker.set_client_override(None)
        AssertingEventsClient.reset()
    beats = [event.resource.id for event in sent if event.event == "prefect.flow-run.heartbeat"]
    assert beats.count(f"prefect.flow-run.{found}") == 1


def test_flushing_nothing_is_fine() -> None:
    assert flush(timeout_s=1)


@pytest.mark.services
@pytest.mark.xdist_group("prefect")
def test_no_more_tasks_run_at_once_than_there_are_workers(prefect_api: str) -> None:
    import threading

    at_once, most, lock = 0, 0, threading.Lock()
    both = threading.Barrier(2, timeout=30)  # the six pass in pairs, or not at all

    @prefect.task(**UNCACHED)
    def step() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        both.wait()
        with lock:
            at_once -= 1

    @prefect.flow(name="compat-workers", task_runner=thread_runner(2))
    def run() -> None:
        for future in [step.submit() for _ in range(6)]:
            future.result()

    run()
    assert most == 2


@pytest.mark.services
@pytest.mark.xdist_group("prefect")
def test_the_same_key_takes_up_the_same_flow_run(
    prefect_api: str, platform: Platform, synthetic_day: Path, tmp_path: Path
) -> None:
    source, key, run_id = tmp_path / "conn.log", new_run_id(), new_run_id()
    parameters = {"spec": RunSpec(sources=(str(source),), dataset="compat"), "run_id": run_id}

    def flow_runs() -> list[tuple[str, int]]:
        wanted = {"flow_runs": {"idempotency_key": {"any_": [key]}}}
        return [(one["state_type"], one["run_count"]) for one in call_api("POST", "/flow_runs/filter", wanted)]

    with pytest.raises(DataError, match="no such file"):
        run_under_key(data_ingestion_flow, key, parameters)
    assert flow_runs() == [("FAILED", 1)]
    shutil.copy(sorted(synthetic_day.glob("*.log"))[0], source)
    run_under_key(data_ingestion_flow, key, parameters)
    assert flow_runs() == [("COMPLETED", 2)]
    done = len(platform.audit.events(run_id=run_id))
    run_under_key(data_ingestion_flow, key, parameters)
    assert flow_runs() == [("COMPLETED", 2)]
    assert [event.status for event in platform.audit.events(run_id=run_id)][-1] == "completed"
    assert len(platform.audit.events(run_id=run_id)) == done, "what is completed is not run again"
