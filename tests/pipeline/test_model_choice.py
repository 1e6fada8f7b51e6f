"""Which bundle is meant, and what is said where that is not clear."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline.model_choice import choose_model, import_bundle
from cybersec_mlops.pipeline.platform import Platform, open_platform
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.bundle import write_bundle
from cybersec_mlops.training.fit import fit_detector
from cybersec_mlops.training.signature import generate_keys, sign
from cybersec_mlops.training.spec import TrainingSpec


@pytest.fixture(scope="module")
def data() -> bytes:
    rows = pl.DataFrame(
        {"cic_a": [float(n % 17) for n in range(300)], "label": ["BENIGN"] * 300, "is_attack": [False] * 300}
    )
    spec = TrainingSpec(supervised="never", epochs=1, prototypes=8)
    return write_bundle(fit_detector(rows, spec).detector, provenance={"dataset": "elsewhere"})


@pytest.fixture
def bundle(platform: Platform, data: bytes) -> Reference:
    return platform.layers.models.put_bytes("bundles/one.zip", data)


def spec_of(model: str = "champion", dataset: str | None = None, source: str = "/logs/new") -> RunSpec:
    return RunSpec.parse({"sources": (source,), "dataset": dataset, "scoring": {"model": model}}, where="the test")


def test_an_alias_a_number_and_both_with_a_dataset(platform: Platform, bundle: Reference) -> None:
    registry = platform.registry
    registry.register("day", bundle, run_id="r")
    for model in ("1", "day@1"):
        assert choose_model(platform, spec_of(model)).version == 1
    with pytest.raises(DataError, match="no dataset has a champion") as caught:
        choose_model(platform, spec_of())
    assert "challenger" in caught.value.hint
    registry.set_alias("day", "champion", 1, run_id="r", reason="t")
    chosen = choose_model(platform, spec_of())
    assert (chosen.dataset, chosen.version, chosen.bundle.sha256) == ("day", 1, bundle.sha256)
    assert choose_model(platform, spec_of(dataset="day")) == choose_model(platform, spec_of("day@champion")) == chosen


def test_two_champions_need_a_name_or_a_source_that_says_it(platform: Platform, bundle: Reference) -> None:
    for dataset in ("day", "night"):
        platform.registry.register(dataset, bundle, run_id="r")
        platform.registry.set_alias(dataset, "champion", 1, run_id="r", reason="t")
    with pytest.raises(ConfigError, match="day, night"):
        choose_model(platform, spec_of())
    assert choose_model(platform, spec_of(dataset="night")).dataset == "night"
    assert choose_model(platform, spec_of(source="night")).dataset == "night"


def test_a_uri_is_known_by_its_registration_or_by_what_it_was_trained_on(platform: Platform, bundle: Reference) -> None:
    chosen = choose_model(platform, spec_of(bundle.uri))
    assert (chosen.dataset, chosen.version) == ("elsewhere", None)
    platform.registry.register("day", bundle, run_id="r")
    assert (
        choose_model(platform, spec_of(bundle.uri)).dataset,
        choose_model(platform, spec_of(bundle.uri)).version,
    ) == ("day", 1)


def test_a_file_comes_into_models_if_it_is_a_bundle(platform: Platform, data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "carried.zip"
    file.write_bytes(data)
    chosen = choose_model(platform, spec_of(str(file)))
    assert platform.layers.models.holds(chosen.bundle)
    file.write_bytes(data[:-9])
    for path, why in ((file, "truncated"), (tmp_path / "none.zip", "cannot be read")):
        with pytest.raises(DataError, match=why) as caught:
            import_bundle(platform, path)
        assert caught.value.message.startswith(f"{path}: ")


def test_a_file_is_verified_before_it_is_parsed(
    platform: Platform, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = generate_keys()
    monkeypatch.setenv("CYBERSEC_MLOPS_PUBLIC_KEY", public.decode())
    here, file = open_platform(), tmp_path / "carried.zip"
    file.write_bytes(b"no bundle at all")
    beside = tmp_path / "carried.zip.sig"
    with pytest.raises(DataError, match="it is not signed"):
        import_bundle(here, file)
    for wrong in (b"short", sign(data, generate_keys()[0])):
        beside.write_bytes(wrong)
        with pytest.raises(DataError, match="does not fit"):
            import_bundle(here, file)
    file.write_bytes(data)
    beside.write_bytes(sign(data, private))
    assert choose_model(here, spec_of(str(file))).dataset == "elsewhere"


def test_nothing_trained_is_told(platform: Platform) -> None:
    with pytest.raises(DataError, match="no model to score with"):
        choose_model(platform, spec_of())
    with pytest.raises(DataError, match="none of the four layers"):
        choose_model(platform, spec_of("file:///elsewhere/x.zip"))
