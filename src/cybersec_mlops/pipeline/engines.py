"""Run the submitted tasks of a flow on the engine that the run names: threads of this process, or a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect.context import FlowRunContext

from cybersec_mlops.engine import Engine
from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.pipeline.compat import HAS_DASK
from cybersec_mlops.pipeline.policies import WORKERS
from cybersec_mlops.pipeline.version import code_version

_MISSING = "pip install 'cybersec-mlops-pipeline[dask]'"
_WORKERS_WITHIN_S = 60


@contextmanager
def on_engine(engine: Engine) -> Iterator[None]:
    """Send what the surrounding flow submits to a Dask cluster where the engine is one; threads need nothing.

    A cluster of this machine lives as long as the block. Workers get references and open the stores themselves, so
    their environment must name the same ones.

    Raises
    ------
    ConfigError
        Dask is not installed, Prefect is older than 3, or a worker runs another version of this code.
    PlatformError
        The scheduler cannot be reached, or has no worker.
    """
    context = FlowRunContext.get()
    if not engine.is_dask or context is None:
        yield
        return
    with _dask_runner(engine) as runner, context.model_copy(update={"task_runner": runner}):
        yield


@contextmanager
def _dask_runner(engine: Engine) -> Iterator[Any]:
    if not HAS_DASK:
        raise ConfigError(
            "the Dask engine needs Prefect 3: prefect-dask 0.3 does not work with Prefect 2",
            hint="use --engine threads, or install Prefect 3",
        )
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise ConfigError(f"the Dask engine is not installed ({error.name} is missing)", hint=_MISSING) from None
    if engine.address is None:
        local = {"n_workers": engine.workers or WORKERS, "threads_per_worker": 1, "processes": True}
        made = DaskTaskRunner(cluster_kwargs={**local, "dashboard_address": None})
    else:
        made = DaskTaskRunner(address=engine.address)
    with made as runner:
        _check_workers(runner, engine)
        yield runner


def _check_workers(runner: Any, engine: Engine) -> None:
    where = engine.address or "this machine"
    try:
        runner.client.wait_for_workers(1, timeout=_WORKERS_WITHIN_S)
        versions = runner.client.run(code_version)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the Dask workers of {where} lack {error.name}", hint="give them the same image as this process"
        ) from None
    except (OSError, TimeoutError) as error:  # OSError: the scheduler was not reached
        raise PlatformError(
            f"no Dask worker was reached at {where}: {error}", hint="check the address, and that workers are running"
        ) from None
    other = sorted(worker for worker, version in versions.items() if version != code_version())
    if other:
        raise ConfigError(
            f"{len(other)} of {len(versions)} Dask workers run another version of this code, first {other[0]}",
            hint="give the workers the same image as this process: results are named after the code that made them",
        )
