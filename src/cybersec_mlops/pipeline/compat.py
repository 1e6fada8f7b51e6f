"""What differs between Prefect 2.20 and 3.x, and nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any

import prefect

IS_PREFECT_3 = int(prefect.__version__.split(".")[0]) >= 3
HAS_DASK = IS_PREFECT_3
"""Whether prefect-dask works: its versions that are kept need Prefect 3."""

if IS_PREFECT_3:
    from prefect.cache_policies import NO_CACHE
    from prefect.task_runners import ThreadPoolTaskRunner

    UNCACHED: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
    """Task options: our own key of a phase decides what is reused (docs/adr/0003)."""
else:
    import anyio
    from prefect.task_runners import ConcurrentTaskRunner

    UNCACHED = {"persist_result": False}

    class _Threads(ConcurrentTaskRunner):  # type: ignore[type-arg]
        """Prefect 2's own begins every submitted task at once, each with its slice in memory."""

        def __init__(self, workers: int) -> None:
            super().__init__()
            self._workers, self._turns = workers, anyio.Semaphore(workers)

        def duplicate(self) -> _Threads:
            return type(self)(self._workers)

        async def _run_and_store_result(self, key: Any, call: Any) -> None:
            async with self._turns:
                await super()._run_and_store_result(key, call)  # type: ignore[misc]


def thread_runner(workers: int) -> Any:
    """Return a task runner that runs submitted tasks in threads of this process."""
    return ThreadPoolTaskRunner(max_workers=workers) if IS_PREFECT_3 else _Threads(workers)


@contextmanager
def use_api(url: str) -> Iterator[None]:
    """Send everything to this Prefect API, also where Prefect was imported before its address was known."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        yield


HEARTBEAT_S = 30
"""Three of them fit into what deploy/automations.yaml waits for."""
REQUEST_TIMEOUT_S = 20.0
"""A request is tried six times: with Prefect's own minute a server that hangs would be waited for half an hour."""


@contextmanager
def server_limits() -> Iterator[None]:
    """Send heartbeats, and give up on a request, as often and as soon as above, where the environment does not say."""
    from prefect import settings

    ours: dict[Any, Any] = {}
    if "PREFECT_API_REQUEST_TIMEOUT" not in os.environ:
        ours[settings.PREFECT_API_REQUEST_TIMEOUT] = REQUEST_TIMEOUT_S
    if IS_PREFECT_3 and "PREFECT_FLOWS_HEARTBEAT_FREQUENCY" not in os.environ:
        ours[settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY] = HEARTBEAT_S
    with settings.temporary_settings(ours):
        yield


_heartbeat_s: ContextVar[float | None] = ContextVar("heartbeat_s", default=None)


@contextmanager
def no_heartbeat() -> Iterator[None]:
    """Run subflows without Prefect's heartbeats; `heartbeat` sends them, as often as the settings say.

    Prefect 3 joins the thread that sends them, which costs a second for each synchronous flow.
    """
    if not IS_PREFECT_3:
        yield
        return
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    before = _heartbeat_s.set(PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value())
    try:
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        _heartbeat_s.reset(before)


@contextmanager
def heartbeat() -> Iterator[None]:
    """Tell the server that the flow run that is going on lives, where Prefect itself was told not to.

    By this an automation finds the subflows of a killed process as well as their parent (deploy/automations.yaml).
    """
    from prefect.runtime import flow_run

    seconds, name = _heartbeat_s.get(), flow_run.get_id()
    if seconds is None or name is None:
        yield
        return
    resource = {"prefect.resource.id": f"prefect.flow-run.{name}", "prefect.resource.name": flow_run.get_name() or ""}
    over = threading.Event()
    beat = copy_context().run  # with the settings of this thread
    thread = threading.Thread(target=beat, args=(_beat, resource, seconds, over), daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=2)


def _beat(resource: dict[str, str], seconds: float, over: threading.Event) -> None:
    from prefect.events import emit_event

    while True:
        emit_event(event="prefect.flow-run.heartbeat", resource=resource)
        if over.wait(seconds):
            return


def call_api(method: str, path: str, json: dict[str, Any]) -> Any:
    """Ask the server's REST API, which is the same on both, with the settings and limits of its client.

    Returns
    -------
    object
        The answer's JSON; None where it has none.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        answer = client._client.request(method, path, json=json)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def run_under_key(flow: Any, key: str, parameters: dict[str, Any]) -> None:
    """Run a flow as the flow run of a key, the same one again for the same key; done when that one is completed.

    What the flow raises is raised.
    """
    from prefect.client.orchestration import get_client
    from prefect.states import Pending

    found = call_api("POST", "/flows/", {"name": flow.name})
    wanted = {
        "flow_id": found["id"],
        "parameters": flow.serialize_parameters(parameters),
        "idempotency_key": key,
        "state": {"type": "PENDING", "name": "Pending"},
    }
    flow_run_id = call_api("POST", "/flow_runs/", wanted)["id"]
    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(flow_run_id)
        if flow_run.state is not None and flow_run.state.is_completed():
            return
        if flow_run.state is not None and not flow_run.state.is_pending():  # failed, crashed, or killed as it ran
            client.set_flow_run_state(flow_run.id, Pending(message="taken up again"), force=True)
            flow_run = client.read_flow_run(flow_run_id)
    _take_up(flow, flow_run, parameters)


def _take_up(flow: Any, flow_run: Any, parameters: dict[str, Any]) -> None:
    """Run a flow in this process as a flow run that is there already."""
    if IS_PREFECT_3:
        from prefect.flow_engine import run_flow

        run_flow(flow, flow_run=flow_run, parameters=parameters)
        return
    from prefect.engine import enter_flow_run_engine_from_subprocess  # what `python -m prefect.engine ID` calls

    os.environ["PREFECT__FLOW_ENTRYPOINT"] = f"{flow.fn.__module__}.{flow.fn.__name__}"
    try:
        enter_flow_run_engine_from_subprocess(flow_run.id).result()
    finally:
        del os.environ["PREFECT__FLOW_ENTRYPOINT"]


def raised_in(state: Any) -> BaseException | None:
    """Return what a failed run raised, while this process has it; None where nothing was, or it is gone."""
    found = getattr(state.data, "result" if IS_PREFECT_3 else "_cache", None)
    return found if isinstance(found, BaseException) else None


def flush(timeout_s: float) -> bool:
    """Send what Prefect still has in its queues (logs, events), and say whether all of it was taken in time."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    options: dict[str, Any] = {"at_exit": False} if IS_PREFECT_3 else {}
    workers: tuple[Any, ...] = (APILogWorker, EventsWorker)
    until = time.monotonic() + timeout_s
    unsent = [worker.drain_all(timeout=max(0.0, until - time.monotonic()), **options)[1] for worker in workers]
    return not any(unsent)
