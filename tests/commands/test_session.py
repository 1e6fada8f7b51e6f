"""An error ends a command with its sentence and its exit code, whatever the command."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import typer

from cybersec_mlops.commands.session import conclude, ending_with_exit_code, open_audit, print_json
from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, GateError, PlatformError, describe_error
from cybersec_mlops.pipeline.execute import Performed


@pytest.mark.parametrize("kind", [ConfigError, DataError, PlatformError, GateError])
def test_an_error_becomes_its_exit_code(kind: type[CybersecMlopsError], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, ending_with_exit_code():
        raise kind("it broke", hint="mend it")
    assert ended.value.exit_code == kind.exit_code
    shown = capsys.readouterr()
    assert "it broke" in shown.err
    assert "mend it" in shown.err
    assert not shown.out


def test_what_nobody_expected_is_a_sentence_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, ending_with_exit_code():
        raise OSError(28, "No space left on device")
    shown = capsys.readouterr()
    assert ended.value.exit_code == CybersecMlopsError.exit_code
    assert "OSError: [Errno 28] No space left on device" in shown.err
    assert "--debug" in shown.err


def test_a_machine_gets_the_error_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), ending_with_exit_code(as_json=True):
        raise DataError("no rows", source="conn.log", hint="look")
    told = {"kind": "data", "message": "conn.log: no rows", "hint": "look"}
    assert json.loads(capsys.readouterr().out) == {"error": told}


@pytest.mark.parametrize("end", [typer.Exit(3), typer.Abort(), BrokenPipeError()])
def test_an_end_is_an_end(end: Exception) -> None:
    with pytest.raises(type(end)) as ended, ending_with_exit_code():
        raise end
    assert ended.value is end


def test_a_debugger_sees_the_error_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_DEBUG", "1")
    with pytest.raises(DataError), ending_with_exit_code():
        raise DataError("it broke")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_flow_that_failed_ends_with_its_document_or_what_is_shown_and_its_error(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DataError("no rows", hint="look")
    performed = Performed({"run_id": "r1", "error": describe_error(error)}, error.exit_code, error, {})
    shown: list[str] = []
    with pytest.raises(SystemExit) as ended:
        conclude(performed, as_json=as_json, show=lambda: shown.append("run"))
    told = capsys.readouterr()
    assert ended.value.code == error.exit_code
    assert shown == ([] if as_json else ["run"])
    assert "no rows" in told.err
    assert (json.loads(told.out) if as_json else told.out) == (performed.document if as_json else "")


def test_times_are_printed_with_their_zone(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 1, 2, tzinfo=UTC)})
    assert json.loads(capsys.readouterr().out) == {"at": "2026-01-02T00:00:00+00:00"}


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_database_that_was_not_migrated_is_not_touched(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_DATABASE_URL", postgres_url)
    for _ in range(2):
        with pytest.raises(PlatformError, match="no audit schema"):
            open_audit()


@pytest.mark.parametrize("group", ["audit", "models", "stack"])
def test_help_needs_nothing_heavy(group: str) -> None:
    code = (
        "import sys\nfrom cybersec_mlops.cli import main\ntry:\n    main([*sys.argv[1:], '--help'])\n"
        "except SystemExit as end:\n    heavy = {'prefect', 'polars', 'sklearn', 'xgboost', 'sqlalchemy', 'obstore'}\n"
        "    print(sorted(heavy & set(sys.modules)), end.code)"
    )
    done = subprocess.run([sys.executable, "-c", code, group], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0", done.stdout
