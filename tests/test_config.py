"""Settings come from the environment, what to do from TOML and flags; what is wrong becomes a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cybersec_mlops.audit.database import Database
from cybersec_mlops.config import RunSpec, Settings, name_dataset
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.storage.layers import Layers


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CYBERSEC_MLOPS_{name.upper()}", raising=False)
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path))


def test_the_default_is_a_folder_and_sqlite(tmp_path: Path) -> None:
    settings = Settings.load()
    assert settings.store_template == f"file://{tmp_path}/store/{{layer}}"
    assert settings.database == f"sqlite:///{tmp_path}/mlops.db"


@pytest.mark.parametrize("name", ["a b", "100%", "a#b", "日本", "{x}"])
def test_everything_is_in_the_home_whatever_its_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path / name))
    settings = Settings.load()
    assert Layers.open(settings.store_template).raw.folder == tmp_path / name / "store" / "raw"
    assert Database(settings.database).url.database == str(tmp_path / name / "mlops.db")


@pytest.mark.parametrize("name", ["a?b", "%41", "a\nb", "a\x1b[2J"])
def test_a_home_that_no_url_can_name_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, place in (("HOME", f"/{name}"), ("CYBERSEC_MLOPS_HOME", f"/tmp/{name}")):
        monkeypatch.setenv("CYBERSEC_MLOPS_HOME", "")
        monkeypatch.setenv(variable, place)
        with pytest.raises(ConfigError, match=r"^CYBERSEC_MLOPS_HOME: the name of a folder cannot have") as caught:
            Settings.load()
        assert caught.value.message.isprintable()


def test_production_differs_in_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_STORE_URL", "s3://mlops-{layer}")
    monkeypatch.setenv("CYBERSEC_MLOPS_EVAL_URL", "s3://reports")
    monkeypatch.setenv("CYBERSEC_MLOPS_DATABASE_URL", "postgresql://u:hunter2@db/audit")
    settings = Settings.load()
    assert settings.layer_urls == {"eval": "s3://reports"}
    assert settings.database == "postgresql://u:hunter2@db/audit"
    assert "hunter2" not in repr(settings)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_STORE_URL", "")
    assert Settings.load().store_url is None


def test_every_setting_of_the_example_is_a_setting() -> None:
    example = Path(__file__).parents[1] / "examples" / "run.toml"
    loaded = RunSpec.load(example)
    assert loaded == RunSpec(), "the example shows the defaults"


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('sources = ["a"]\ndataset = "file"\n[training]\nseed = 3\n')
    spec = RunSpec.load(path, sources=("b",), dataset=None)
    assert (spec.sources, spec.dataset_name, spec.training.seed) == (("b",), "file", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "colour"),
        ("[training]\nseed = 'x'", "training.seed"),
        ("[tasks]\nretries = -1", "tasks.retries"),
        ("[tasks]\ntimeout_s = inf", "tasks.timeout_s"),
        ("[tasks]\ntimeout_s = 1e300", "tasks.timeout_s"),
        ("[training]\nhidden = [64, 0]", "training.hidden.1"),
        ("[training]\nalerts_per_day = inf", "training.alerts_per_day"),
        ("[evaluation.gate]\nmax_false_positive_rate_ratio = inf", "gate.max_false_positive_rate_ratio"),
        ('dataset = "../x"', "dataset"),
        ("sources = [", "not TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        RunSpec.load(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("role", ["sources", "test", "mapping"])
def test_a_name_that_nobody_could_write_down_is_told(role: str) -> None:
    odd = os.fsdecode(b"conn\xff.log")
    with pytest.raises(ConfigError, match=r"'conn\\udcff.log' is not UTF-8") as caught:
        RunSpec.load(None, **{role: (odd,)}).require_utf8()
    assert "pattern" in caught.value.hint
    RunSpec.load(None, **{role: ("日本.log",)}).require_utf8()


def test_a_dataset_of_such_a_name_is_told() -> None:
    with pytest.raises(ConfigError, match="is not a name"):
        RunSpec.load(None, dataset=os.fsdecode(b"\xff"))


def test_a_file_without_an_end_is_told() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: more than 1,048,576 bytes"):
        RunSpec.load(Path("/dev/zero"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        RunSpec.load(tmp_path / "none.toml")


@pytest.mark.parametrize("hostile", ["", "/", "..", "/../..", "s3://", "/日本/語.log", "/" + "x" * 500])
def test_a_dataset_name_is_always_a_name(hostile: str) -> None:
    RunSpec(dataset=name_dataset((hostile,)))


def test_a_flag_of_a_section_goes_before_the_file_setting_by_setting(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("[training]\ntrees = 7\ntune = 3\n")
    spec = RunSpec.load(path, training={"tune": 5}, evaluation={"leave_one_attack_out": None})
    assert (spec.training.trees, spec.training.tune) == (7, 5)
    assert not spec.evaluation.leave_one_attack_out
    path.write_text("training = 3\n")
    with pytest.raises(ConfigError, match="training"):
        RunSpec.load(path, training={"tune": 5})


def test_tuning_and_recalibrating_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="leave one out"):
        RunSpec.load(None, recalibrate="campus", training={"tune": 3})
