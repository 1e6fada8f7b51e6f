"""A small model trained on simulated Zeek logs, and a function that scores any logs with it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.scoring.batch import ScoringJob, score
from cybersec_mlops.scoring.model import ScoringModel, load_model
from cybersec_mlops.scoring.spec import ScoringSpec
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.train import train
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

SMALL = TrainingSpec(trees=15, depth=4, epochs=2, prototypes=48, threads=1, nominal_false_positive_rate=0.05)
_numbers = itertools.count()


@dataclass(frozen=True)
class Scored:
    """What a scoring gave, read back."""

    outputs: dict[str, Any]
    alerts: pl.DataFrame
    documents: list[dict[str, Any]]
    lines: bytes


@dataclass(frozen=True)
class World:
    """Stores in memory with one bundle."""

    layers: Layers
    bundle: Reference
    folder: Path

    @property
    def model(self) -> ScoringModel:
        return load_model(self.bundle, self.layers.models)

    def score(
        self, *sources: Path, spec: ScoringSpec | None = None, transformation: TransformationSpec | None = None
    ) -> Scored:
        """Ingest and score."""
        raw, originals, _ = ingest([str(source) for source in sources], self.layers.raw)
        transformation = transformation or TransformationSpec()
        job = ScoringJob(self.bundle, "day", 1, raw, transformation, spec or ScoringSpec())
        outputs = score(originals, job, self.layers, self.folder / f"scratch-{next(_numbers)}")
        table, lines = (self._read(outputs[name]) for name in ("alerts_parquet", "alerts_ndjson"))
        documents = [json.loads(line) for line in lines.splitlines()]
        return Scored(outputs, pl.read_parquet(table), documents, lines)

    def _read(self, reference: dict[str, Any]) -> bytes:
        store = self.layers.eval
        return store.get_bytes(store.key(reference["uri"]), sha256=reference["sha256"])


Simulated = Callable[..., Path]


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Return a function that writes a simulated log and gives its only file."""

    def write(seed: int = 3, connections: int = 3000, hours: float = 6.0, **options: Any) -> Path:
        folder = tmp_path_factory.mktemp("simulated")
        simulate(folder, connections=connections, hours=hours, seed=seed, rotate=False, attack_fraction=0.05, **options)
        return next(folder.iterdir())

    return write


@pytest.fixture(scope="session")
def world(simulated: Simulated, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    layers = Layers.open("memory://scoring-{layer}")
    raw, originals, _ = ingest([str(simulated(format="zeek-json"))], layers.raw)
    silver, _ = transform(
        originals, raw, layers.raw, layers.silver, folder / "t", dataset="day", spec=TransformationSpec()
    )
    made = train(silver, layers.silver, layers.models, folder, spec=SMALL, holdout=False, code={"version": "test"})
    return World(layers, made.bundle, folder)
