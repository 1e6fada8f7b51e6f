"""The engine changes where the work is done, and nothing else."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from tests.zeek_sample import line, write_log

from cybersec_mlops.config import RunSpec
from cybersec_mlops.engine import Engine
from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.pipeline import engines
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.phase import references_in
from cybersec_mlops.pipeline.platform import Platform, open_platform

pytestmark = [pytest.mark.services, pytest.mark.xdist_group("prefect")]


@pytest.mark.filterwarnings("default")  # Dask's own: sockets and loops of a cluster that ends
def test_two_dask_workers_give_the_same_silver(
    prefect_api: str, platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("prefect_dask")
    days = [write_log(tmp_path / f"conn-{day}.log", [line(day * 400 + n) for n in range(400)]) for day in range(2)]
    days.append(write_log(tmp_path / "conn-2.log", [line(900), line(901, resp_p="99999")]))
    made, keys = [], []
    for engine in ("threads", "dask://local?workers=2"):
        monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path / engine.partition(":")[0]))
        here = open_platform()
        spec = RunSpec.parse(
            {
                "sources": [str(day) for day in days],
                "dataset": "days",
                "engine": engine,
                "transformation": {"slice_rows": 1000, "windows_s": [60]},
            },
            where="the test",
        )
        silver = data_transformation_flow(spec, data_ingestion_flow(spec, "r"), "r")
        made.append(silver["train"]["sha256"])
        keys.append(here.audit.events(run_id="r", phase="transformation")[-1].key)
        assert here.layers.silver.holds(next(iter(references_in(silver))))
        assert list(here.layers.silver.list("staging")) == []
    assert made[0] == made[1]
    assert keys[0] == keys[1]


@flow(name="engine-of-a-test", persist_result=False)
def _work_on(text: str) -> None:
    with engines.on_engine(Engine.parse(text)):
        pass


def test_without_the_extra_it_says_what_to_install(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without_dask(name: str, *given: Any, **named: Any) -> Any:
        if name.startswith("prefect_dask"):
            raise ModuleNotFoundError("No module named 'prefect_dask'", name="prefect_dask")
        return plain(name, *given, **named)

    monkeypatch.delitem(sys.modules, "prefect_dask", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_dask)
    with pytest.raises(ConfigError, match="not installed") as caught:
        _work_on("dask")
    assert "cybersec-mlops-pipeline[dask]" in caught.value.hint


def test_prefect_2_cannot(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "HAS_DASK", False)
    with pytest.raises(ConfigError, match="needs Prefect 3"):
        _work_on("dask")


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there_is_told(prefect_api: str) -> None:
    dask = pytest.importorskip("dask")
    pytest.importorskip("prefect_dask")
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}), pytest.raises(PlatformError, match="no Dask"):
        _work_on("dask://127.0.0.1:1")
