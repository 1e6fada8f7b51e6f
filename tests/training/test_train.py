"""The training step: what it stores, and that it stores the same for the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.simulate.simulate import simulate
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import read_bundle
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.training.train import train
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

SPEC = TrainingSpec(trees=10, epochs=1, prototypes=16)


@pytest.fixture(scope="module")
def silver(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reference, ObjectStore]:
    folder = tmp_path_factory.mktemp("silver")
    simulate(folder / "logs", connections=3000, hours=4.0, attack_fraction=0.05)
    raw, store = (ObjectStore.from_url(f"file://{folder}/{layer}") for layer in ("raw", "silver"))
    manifest, originals, _ = ingest([str(folder / "logs")], raw)
    made, _ = transform(originals, manifest, raw, store, folder / "scratch", dataset="d", spec=TransformationSpec())
    return made, store


@pytest.mark.parametrize("holdout", [True, False])
def test_equal_inputs_give_an_equal_bundle(
    silver: tuple[Reference, ObjectStore], tmp_path: Path, holdout: bool
) -> None:
    made = [
        train(*silver, ObjectStore.from_url(f"file://{tmp_path}/{name}"), tmp_path, spec=SPEC, holdout=holdout, code={})
        for name in ("one", "two")
    ]
    assert made[0].bundle.sha256 == made[1].bundle.sha256
    assert made[0].bundle.uri != made[1].bundle.uri
    assert made[0].report["rows"] == (pytest.approx(2100, abs=5) if holdout else 3000)


def test_the_bundle_names_its_data(silver: tuple[Reference, ObjectStore], tmp_path: Path) -> None:
    models = ObjectStore.from_url(f"file://{tmp_path}/models")
    trained = train(*silver, models, tmp_path, spec=SPEC, holdout=True, code={"version": "1"})
    _, manifest = read_bundle(models.get_bytes(models.key(trained.bundle.uri)), sha256=trained.bundle.sha256)
    provenance = manifest["provenance"]
    assert provenance["silver_manifest"]["sha256"] == silver[0].sha256
    assert provenance["split"]["method"] == "time"
    assert provenance["synthetic"] is True
    assert provenance["code"] == {"version": "1"}
    assert not {"ts", "uid", "orig_h", "resp_h", "resp_p"} & set(provenance["training"]["features"])
