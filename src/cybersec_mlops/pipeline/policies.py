"""How tasks behave: names, retries of what is transient and of nothing else, timeouts, no cache of Prefect's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, ParamSpec, TypeVar

import prefect
from prefect import Task

from cybersec_mlops.config import TaskPolicy
from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline.compat import UNCACHED
from cybersec_mlops.pipeline.termination import raise_if_asked
from cybersec_mlops.waiting import tell

P = ParamSpec("P")
R = TypeVar("R")

WORKERS: Final = max(1, min(os.cpu_count() or 1, 4))
"""Tasks at once: each is a Polars job that uses every core by itself, and each holds a slice in memory."""


def is_transient(task: Any, task_run: Any, state: Any) -> bool:  # noqa: ARG001 - Prefect 2 gives them by name
    """Say whether a failed task is worth another try, and to the person who waits why: only a `PlatformError` is."""
    try:
        state.result(raise_on_failure=True)
    except PlatformError as error:
        tell(f"another attempt of {task.name}", error.message)
        return True
    except Exception:  # noqa: BLE001 - whatever else it was, it would fail again
        return False
    return False


def phase_task(name: str, run_name: str | None = None) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a step: named, uncached, retried only when the platform failed.

    How often and for how long is set by `configured` from the run's `TaskPolicy`.
    """
    default = TaskPolicy()
    options: dict[str, Any] = {
        "name": name,
        "task_run_name": run_name or name,
        "retries": default.retries,
        "retry_delay_seconds": delays(default),
        "retry_condition_fn": is_transient,
        "timeout_seconds": default.timeout_s,
        **UNCACHED,
    }
    return lambda function: prefect.task(function, **options)


def configured(step: Task[P, R], policy: TaskPolicy) -> Task[P, R]:
    """Return a task with the retries, the delays and the timeout that the run's policy asks for.

    Raises
    ------
    Terminated
        The process was asked to end: no further step is begun.
    """
    raise_if_asked()
    return step.with_options(
        retries=policy.retries, retry_delay_seconds=delays(policy), timeout_seconds=policy.timeout_s
    )


def delays(policy: TaskPolicy) -> list[float]:
    """Return the delay before each retry, doubling.

    >>> delays(TaskPolicy(retries=3, retry_delay_s=1))
    [1.0, 2.0, 4.0]
    """
    return [policy.retry_delay_s * 2**attempt for attempt in range(policy.retries)]
