"""docs/kubernetes.md says what is so: its files exist, its codes, names and numbers are those of the manifests."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from cybersec_mlops import errors


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    """Return the page."""
    return (root / "docs" / "kubernetes.md").read_text()


def test_every_file_that_is_named_exists(text: str, root: Path) -> None:
    named = set(re.findall(r"\b((?:deploy|docs|examples)/[\w./-]+\w)", text))
    assert len(named) > 8
    made_by_the_reader = {"deploy/.env"}
    assert {name for name in named - made_by_the_reader if not (root / name).exists()} == set()


def test_links_go_somewhere(text: str, root: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert target.startswith("https://") or (root / "docs" / target).exists(), target


def test_exit_codes_are_those_of_the_errors(text: str) -> None:
    documented = {int(code): kind for code, kind in re.findall(r"^\| (\d+) \| `?(\w+)`? \|", text, re.MULTILINE)}
    kinds = (errors.ConfigError, errors.DataError, errors.PlatformError, errors.GateError)
    assert {kind.exit_code: kind.kind for kind in kinds}.items() <= documented.items()


def test_names_in_the_commands_are_those_of_the_manifests(
    text: str, plain_objects: list[tuple[str, dict[str, Any]]]
) -> None:
    names = {made["metadata"]["name"] for _, made in plain_objects}
    used = set(re.findall(r"(?:job|svc|statefulset|deployment)/([a-z0-9-]+)", text))
    assert used
    assert used - {"cybersec-mlops-1", "cybersec-mlops-now"} <= names
    secrets = set(re.findall(r"create secret generic ([a-z0-9-]+)", text))
    assert secrets == {made["metadata"]["name"] for _, made in plain_objects if made["kind"] == "Secret"}


def test_commands_are_complete_shell(text: str) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    for block in blocks:
        assert shlex.split(block, comments=True)
        assert "$ " not in block.split("\n")[0][:2]
