"""The command line: what it takes, what it prints where, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cybersec_mlops.cli import app, spread_test_sources

COMMANDS = ("run", "ingest", "transform", "train", "evaluate", "inspect", "simulate", "runs", "show")


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_needs_nothing_heavy(command: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom cybersec_mlops.cli import main\ntry:\n    main([*sys.argv[1:], '--help'])\n"
        "except SystemExit as end:\n    heavy = {'prefect', 'polars', 'sklearn', 'xgboost'}\n"
        "    print(sorted(heavy & set(sys.modules)), end.code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 0", done.stdout


@pytest.mark.parametrize(("given", "threads"), [({}, 1), ({"OPENBLAS_NUM_THREADS": "2"}, 2)])
def test_matrices_are_multiplied_on_one_thread_unless_told_otherwise(given: dict[str, str], threads: int) -> None:
    program = (
        "from cybersec_mlops.cli import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "import numpy, threadpoolctl\n"
        "print(*(pool['num_threads'] for pool in threadpoolctl.threadpool_info()))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | given
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) == min(threads, os.cpu_count() or 1)


def test_a_terminal_that_is_not_utf8_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "caf\u00e9.log").write_text("no log")
    command = [sys.executable, "-m", "cybersec_mlops.cli", "inspect", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert rb"caf\xe9.log" in done.stdout
    assert b"Error" not in done.stderr


def test_the_folder_of_simulated_logs_is_shown_as_text(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2Jb"
    shown = CliRunner().invoke(app, ["simulate", str(folder), "--connections", "500"])
    assert shown.exit_code == 0
    assert "\x1b" not in shown.stdout
    assert "a\\x1b[2Jb" in shown.stdout


def test_an_error_is_a_json_document_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path))
    for command in (["inspect", str(tmp_path / "none")], ["show", "nothing"]):
        shown = CliRunner().invoke(app, [*command, "--json"])
        assert shown.exit_code != 0
        assert set(json.loads(shown.stdout)["error"]) == {"kind", "message", "hint"}


def test_a_glob_after_test_stays_in_the_test_set() -> None:
    assert spread_test_sources(["run", "a", "--test", "b", "c"]) == ["run", "a", "--test", "b", "--test", "c"]


@given(st.lists(st.sampled_from(["run", "a", "--test", "--json", "--", "b"])))
def test_no_argument_is_lost(arguments: list[str]) -> None:
    spread = spread_test_sources(arguments)
    assert [one for one in spread if one != "--test"] == [one for one in arguments if one != "--test"]


def test_an_unknown_run_is_told_with_its_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["show", "nothing"])
    assert done.exit_code == 3
    assert "nothing" in done.stderr
    assert "hint" in done.stderr
    assert not done.stdout


def test_no_runs_is_an_empty_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path))
    done = CliRunner().invoke(app, ["runs", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])


def test_simulate_writes_what_it_says(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "day"), "--connections", "2000", "--json"])
    told = json.loads(done.stdout)
    assert (told["synthetic"], told["connections"]) == (True, 2000)
    assert len(list((tmp_path / "day").iterdir())) == told["files"]


def test_a_wrong_flag_is_a_config_error() -> None:
    assert CliRunner().invoke(app, ["run", "--colour"]).exit_code == 2
