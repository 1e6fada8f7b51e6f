"""With a public key configured, no bundle is loaded that a trusted key did not sign: score, evaluate, promote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cybersec_mlops.cli import app
from cybersec_mlops.config import RunSpec, Settings
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.pipeline.batch_scoring_flow import batch_scoring_flow
from cybersec_mlops.pipeline.data_ingestion_flow import data_ingestion_flow
from cybersec_mlops.pipeline.data_transformation_flow import data_transformation_flow
from cybersec_mlops.pipeline.model_evaluation_flow import model_evaluation_flow
from cybersec_mlops.pipeline.model_training_flow import model_training_flow
from cybersec_mlops.pipeline.platform import Platform, open_platform
from cybersec_mlops.pipeline.signing import PHASE, public_keys, require_signed, sign_bundle, signature_key
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.training.signature import generate_keys

SIGNING, PUBLIC = "CYBERSEC_MLOPS_SIGNING_KEY_FILE", "CYBERSEC_MLOPS_PUBLIC_KEY_FILE"
Keys = Callable[[str], tuple[str, str]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Return a function that makes a key pair and gives the two files."""

    def make(name: str) -> tuple[str, str]:
        files = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        for file, data in zip(files, generate_keys(), strict=True):
            file.write_bytes(data)
        return str(files[0]), str(files[1])

    return make


@pytest.fixture
def bundle(platform: Platform) -> Reference:
    data = b"a bundle"
    stored = platform.layers.models.put_bytes("bundles/x", data)
    return platform.layers.models.put_bytes(f"bundles/{stored.sha256[:2]}/{stored.sha256}.zip", data)


def sign_it(bundle: Reference) -> bool:
    return sign_bundle(open_platform(), bundle, dataset="day", run_id="r1")


def test_without_keys_nothing_is_signed_and_nothing_asked(platform: Platform, bundle: Reference) -> None:
    assert not sign_it(bundle)
    require_signed(platform, bundle)
    assert platform.audit.events() == []


def test_a_signature_is_made_once_and_audited(
    platform: Platform, bundle: Reference, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys("one")
    monkeypatch.setenv(SIGNING, private)
    monkeypatch.setenv(PUBLIC, public)
    with pytest.raises(DataError, match="is not signed"):
        require_signed(open_platform(), bundle)
    assert [sign_it(bundle), sign_it(bundle)] == [True, False]
    require_signed(open_platform(), bundle)
    [started, done] = platform.audit.events(phase=PHASE)
    assert (started.status, done.status) == ("started", "completed")
    assert done.inputs[0]["sha256"] == bundle.sha256
    told = f"{done.inputs}{done.outputs}{done.parameters}"
    assert Path(private).read_text().splitlines()[1] not in told, "no key in the audit"


def test_foreign_changed_and_cut_off_are_refused(
    platform: Platform, bundle: Reference, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = platform.layers.models
    monkeypatch.setenv(SIGNING, keys("foreign")[0])
    sign_it(bundle)
    monkeypatch.setenv(PUBLIC, keys("ours")[1])
    here = open_platform()
    with pytest.raises(DataError, match="does not fit"):
        require_signed(here, bundle)
    good = models.get_bytes(signature_key(bundle, here))
    for damaged in (good[:63], good + b"x", bytes(64), b""):
        models.put_bytes(signature_key(bundle, here), damaged, overwrite=True)
        with pytest.raises(DataError, match="does not fit"):
            require_signed(here, bundle)
    models.put_bytes(models.key(bundle.uri), b"another bundle", overwrite=True)
    with pytest.raises(Exception, match="SHA-256"):
        require_signed(here, bundle)


def test_a_key_can_be_replaced(
    platform: Platform, bundle: Reference, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = keys("old"), keys("new")
    monkeypatch.setenv(SIGNING, old[0])
    sign_it(bundle)
    both = tmp_path / "both.pub"
    both.write_text(Path(new[1]).read_text() + Path(old[1]).read_text())
    monkeypatch.setenv(PUBLIC, str(both))
    require_signed(open_platform(), bundle)
    monkeypatch.setenv(SIGNING, new[0])
    assert sign_it(bundle)
    monkeypatch.setenv(PUBLIC, new[1])
    require_signed(open_platform(), bundle)
    monkeypatch.delenv(PUBLIC)
    monkeypatch.setenv("CYBERSEC_MLOPS_PUBLIC_KEY", Path(old[1]).read_text())
    with pytest.raises(DataError):
        require_signed(open_platform(), bundle)


def test_a_key_that_is_none_is_told_without_its_content(
    platform: Platform, bundle: Reference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PUBLIC, str(tmp_path / "nothing.pub"))
    with pytest.raises(ConfigError, match=PUBLIC):
        public_keys(Settings.load())
    (tmp_path / "bad.key").write_text("very secret")
    monkeypatch.setenv(SIGNING, str(tmp_path / "bad.key"))
    with pytest.raises(ConfigError, match="Ed25519") as caught:
        sign_it(bundle)
    assert "secret" not in str(caught.value) + caught.value.hint


def test_keygen_never_replaces_a_key(platform: Platform, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    done = CliRunner().invoke(app, ["models", "keygen", str(folder)])
    assert done.exit_code == 0, done.output
    assert SIGNING in done.stdout
    private = folder / "bundle-signing.key"
    assert private.stat().st_mode & 0o777 == 0o600
    before = private.read_bytes()
    assert before.decode() not in done.output
    again = CliRunner().invoke(app, ["models", "keygen", str(folder)])
    assert again.exit_code == 2
    assert private.read_bytes() == before


@pytest.mark.services
@pytest.mark.xdist_group("prefect")
def test_training_signs_and_every_use_verifies(
    prefect_api: str,
    platform: Platform,
    quick_spec: RunSpec,
    synthetic_day: Path,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silver = data_transformation_flow(quick_spec, data_ingestion_flow(quick_spec))
    model = model_training_flow(quick_spec, silver)
    private, public = keys("ours")
    monkeypatch.setenv(PUBLIC, public)
    spec = RunSpec.parse(
        {"sources": (str(synthetic_day),), "dataset": "day", "scoring": {"model": "1"}}, where="the test"
    )
    promote = ["models", "promote", "day", "1"]
    with pytest.raises(DataError, match="is not signed"):
        batch_scoring_flow(spec)
    with pytest.raises(DataError, match="is not signed"):
        model_evaluation_flow(quick_spec, model, silver)
    with pytest.raises(DataError, match="is not signed"):
        model_training_flow(quick_spec.model_copy(update={"recalibrate": "day@1"}), silver)
    refused = CliRunner().invoke(app, promote)
    assert refused.exit_code == 3
    assert "is not signed" in refused.output

    monkeypatch.setenv(SIGNING, private)
    again = model_training_flow(quick_spec, silver)
    assert again["bundle"] == model["bundle"], "what was trained is signed, and not trained again"
    assert CliRunner().invoke(app, promote).exit_code == 0
    assert batch_scoring_flow(spec)["rows"] == 6000
    assert CliRunner().invoke(app, ["models", "sign", "day", "1"]).stdout.startswith("version 1 of day was signed")
