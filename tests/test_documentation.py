"""The documentation is complete where a program can tell: commands, settings, exit codes, links, the example."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from cybersec_mlops import errors
from cybersec_mlops.cli import app
from cybersec_mlops.config import RunSpec, Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
KINDS = (errors.ConfigError, errors.DataError, errors.PlatformError, errors.GateError, errors.CybersecMlopsError)


def _commands(group: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*above, name))
        elif not command.hidden:
            yield (*above, name)


COMMANDS = sorted(_commands(typer.main.get_command(app)))


def test_there_are_commands_to_look_for() -> None:
    assert ("run",) in COMMANDS
    assert any(len(command) > 1 for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_is_documented(command: tuple[str, ...]) -> None:
    words = r"\s+".join(map(re.escape, command))
    # a command of a group may stand by itself in code: `audit head`; one without a group needs the program before it
    pattern = rf"`(?:cybersec-mlops )?{words}\b" if len(command) > 1 else rf"cybersec-mlops {words}\b"
    assert any(re.search(pattern, page.read_text()) for page in PAGES), " ".join(command)


@pytest.mark.parametrize("field", sorted(Settings.model_fields))
def test_every_setting_is_in_operations(field: str) -> None:
    assert f"`CYBERSEC_MLOPS_{field.upper()}`" in (ROOT / "docs" / "operations.md").read_text()


def test_every_other_variable_of_the_code_is_in_operations() -> None:
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r"\"(CYBERSEC_MLOPS_[A-Z0-9_]+[A-Z0-9]|AWS_[A-Z0-9_]+)\"", code))
    documented = (ROOT / "docs" / "operations.md").read_text()
    assert used
    assert {name for name in used if f"`{name}`" not in documented} == set()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_exit_code_is_documented(kind: type[errors.CybersecMlopsError]) -> None:
    table = re.findall(r"^\| (\d+) \| (\w*) \|", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert (str(kind.exit_code), kind.kind) in table


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"^\[[^]]+\]: (\S+)$", text, re.MULTILINE)]
    local = [target for target in targets if not target.startswith(("https://", "http://", "#"))]
    assert [target for target in local if not (page.parent / target.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"\b((?:benchmarks|tests|requirements)/[\w./-]+\.(?:py|sh|txt))\b", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_exist(page: Path) -> None:
    file: Path | None = None
    for name, test in re.findall(r"`(?:(?:tests/)?([\w/]+\.py)(?:::)?|::)?(test_\w+)?`", page.read_text()):
        if name:
            file = next(iter((ROOT / "tests").rglob(Path(name).name)), None)
        if test and not name and file is None:
            continue  # a name alone, in a table whose head names the file
        if test and name:
            assert file is not None, name
            assert f"def {test}(" in file.read_text(), f"{name}::{test}"


def test_the_example_names_every_setting() -> None:
    text = re.sub(r"^# (?=\w+ = )", "", (ROOT / "examples" / "run.toml").read_text(), flags=re.MULTILINE)
    assert set(_names(RunSpec)) == set(_keys(tomllib.loads(text)))


def _names(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{above}{name}.")
        else:
            yield above + name


def _keys(table: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{above}{name}.")
        else:
            yield above + name
