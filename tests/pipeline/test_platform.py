"""The platform is opened from the environment, once, and says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline.platform import Platform, open_platform


def test_it_is_opened_once(platform: Platform) -> None:
    assert open_platform() is platform


def test_scratch_is_gone_afterwards(platform: Platform) -> None:
    with platform.scratch() as folder:
        (folder / "a").write_text("x")
    assert not folder.exists()


def test_a_home_that_cannot_be_made_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(PlatformError, match="cannot be made"):
        open_platform()


def test_no_scratch_is_told(platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_SCRATCH_DIR", str(tmp_path / "none"))
    with pytest.raises(PlatformError, match="scratch"), open_platform().scratch():
        pass
