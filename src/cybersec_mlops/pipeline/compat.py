"""What differs between Prefect 2.20 and 3.x, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import prefect

IS_PREFECT_3 = int(prefect.__version__.split(".")[0]) >= 3

if IS_PREFECT_3:
    from prefect.cache_policies import NO_CACHE
    from prefect.task_runners import ThreadPoolTaskRunner

    UNCACHED: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
    """Task options: our own key of a phase decides what is reused (docs/adr/0003)."""
else:
    from prefect.task_runners import ConcurrentTaskRunner

    UNCACHED = {"persist_result": False}


def thread_runner(workers: int) -> Any:
    """Return a task runner that runs submitted tasks in threads of this process."""
    return ThreadPoolTaskRunner(max_workers=workers) if IS_PREFECT_3 else ConcurrentTaskRunner(max_workers=workers)


@contextmanager
def use_api(url: str) -> Iterator[None]:
    """Send everything to this Prefect API, also where Prefect was imported before its address was known."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: url}):
        yield


@contextmanager
def no_heartbeat() -> Iterator[None]:
    """Run subflows without a heartbeat of their own: the parent's tells that the process lives.

    Prefect 3 joins the thread that sends it, which costs a second for each synchronous flow.
    """
    if not IS_PREFECT_3:
        yield
        return
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def flush(timeout_s: float = 10.0) -> None:
    """Send what Prefect still has in its queues (logs, events) before its server goes away."""
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=timeout_s, at_exit=False)
    if IS_PREFECT_3:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=timeout_s, at_exit=False)
