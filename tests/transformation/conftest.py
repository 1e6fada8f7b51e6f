"""The stores that the transformation works between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cybersec_mlops.ingestion.ingest import ingest
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.silver import SilverManifest
from cybersec_mlops.transformation.spec import TransformationSpec
from cybersec_mlops.transformation.transform import transform

Transform = Callable[..., tuple[Reference, SilverManifest]]


@pytest.fixture
def stores(request: pytest.FixtureRequest) -> tuple[ObjectStore, ObjectStore]:
    return tuple(ObjectStore.from_url(f"memory://{request.node.nodeid}-{layer}") for layer in ("raw", "silver"))  # type: ignore[return-value]


@pytest.fixture
def run_transform(stores: tuple[ObjectStore, ObjectStore], tmp_path: Path) -> Transform:
    """Return a function from paths to a SILVER manifest."""

    def run(*paths: Path, spec: TransformationSpec | None = None) -> tuple[Reference, SilverManifest]:
        raw, silver = stores
        manifest, originals, _ = ingest([str(path) for path in paths], raw)
        spec = spec or TransformationSpec()
        return transform(originals, manifest, raw, silver, tmp_path / "scratch", dataset="test", spec=spec)

    return run
