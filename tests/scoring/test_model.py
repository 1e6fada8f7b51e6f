"""What a bundle needs to know of a connection."""

from __future__ import annotations

import polars as pl
import pytest
from tests.scoring.conftest import World

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.scoring.model import ScoringModel, load_model
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.transformation.spec import TransformationSpec


def test_its_windows_go_before_those_of_the_settings(world: World) -> None:
    model = world.model
    asked = TransformationSpec(windows_s=(30,), timezone="Europe/Prague", slice_rows=1000)
    assert model.transformation(asked) == asked.model_copy(update={"windows_s": (60, 600), "behaviour": True})
    assert model.synthetic


def test_what_rows_lack_is_missing_and_of_the_right_type(world: World) -> None:
    model = world.model
    rows = model.complete(pl.DataFrame({"duration_s": [1.0], "proto": [None]}))
    assert set(model.features) <= set(rows.columns)
    assert model.detector.missing_features(rows) == []
    assert model.detector.score(rows)["score"].is_finite().all()


def test_only_what_is_needed_is_read(world: World) -> None:
    available = {name: pl.Int64() for name in ("duration_s", "orig_bytes", "cic_other", "history", "conn_state", "uid")}
    assert set(world.model.inputs(available, ("uid",))) == set(available) - {"cic_other"}


def test_a_changed_bundle_is_not_parsed(world: World) -> None:
    layers = Layers.open("memory://changed-{layer}")
    data = world.layers.models.get_bytes(world.layers.models.key(world.bundle.uri))
    layers.models.put_bytes("bundles/b.zip", data[:-1] + b"x")
    stored = type(world.bundle)(layers.models.uri("bundles/b.zip"), world.bundle.sha256, len(data))
    with pytest.raises(PlatformError, match="SHA-256"):
        load_model(stored, layers.models)


def test_it_is_read_once(world: World) -> None:
    assert isinstance(world.model, ScoringModel)
    assert world.model is world.model
