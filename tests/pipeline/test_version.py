"""The code version names the code and what shapes its results."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from cybersec_mlops import __version__
from cybersec_mlops.config import Settings
from cybersec_mlops.pipeline import version as version_module
from cybersec_mlops.pipeline.version import (
    METER,
    RESULT_SHAPING,
    _commit_of_checkout,
    code_facts,
    code_version,
    git_commit,
)


def test_it_is_the_version_and_a_hash() -> None:
    assert re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{12}}", code_version())


def test_commit_and_image_are_told_where_they_are_known() -> None:
    facts = code_facts(Settings(git_commit="abc"))
    assert facts["commit"] == "abc"
    assert "image" not in facts
    assert set(RESULT_SHAPING) <= set(facts)


def test_another_version_of_the_meter_is_another_version_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for number in ("6.6.0", "6.7.0", None):

        def one(name: str, number: str | None = number) -> str:
            if name == METER and number is None:
                raise PackageNotFoundError(name)
            return number if name == METER and number else "1"

        monkeypatch.setattr(version_module, "version", one)
        code_version.cache_clear()
        found.append((code_version(), code_facts(Settings()).get(METER)))
    code_version.cache_clear()
    assert len({version for version, _ in found}) == 3
    assert [meter for _, meter in found] == ["6.6.0", "6.7.0", None]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a package in it, committed."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "a@example.org")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"], ["tag", "v1"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return package


def test_a_checkout_tells_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, check=True, text=True)
    assert _commit_of_checkout(checkout) == head.stdout.strip()
    (checkout / "__init__.py").write_text("changed = True")
    _commit_of_checkout.cache_clear()
    assert _commit_of_checkout(checkout) == head.stdout.strip() + "-dirty"


def test_a_package_installed_inside_another_checkout_has_no_commit(checkout: Path) -> None:
    installed = checkout.parent / ".venv" / "cybersec_mlops"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert _commit_of_checkout(installed) is None


def test_the_environment_comes_before_the_checkout() -> None:
    assert git_commit(Settings(git_commit="abc")) == "abc"
