"""A home of its own for every test of the flows, and something to run on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.config import RunSpec, Settings
from cybersec_mlops.pipeline.platform import Platform, open_platform


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Platform:
    """Return the embedded platform in an empty home."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CYBERSEC_MLOPS_{name.upper()}", raising=False)
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path / "home"))
    return open_platform()


@pytest.fixture(scope="session")
def synthetic_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small labelled day of traffic in several files."""
    from cybersec_mlops.simulate.simulate import simulate

    folder = tmp_path_factory.mktemp("day") / "synthetic"
    simulate(folder, connections=6000, hours=6.0, seed=3, attack_fraction=0.05)
    return folder


@pytest.fixture
def quick_spec(synthetic_day: Path) -> RunSpec:
    """Return a run on that day with a small model: what is tested is the chain."""
    return RunSpec.parse(
        {
            "sources": (str(synthetic_day),),
            "dataset": "day",
            "training": {"trees": 20, "epochs": 2, "prototypes": 32},
            "evaluation": {"resamples": 50, "leakage_rows": 1000, "top_alerts": 3},
        },
        where="the test",
    )
