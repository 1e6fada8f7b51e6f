"""A terminal is never told anything by a log file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.pipeline.result import run_document
from cybersec_mlops.presentation import print_described, print_error, print_run, safe


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = safe(text).plain
    assert not any(ord(one) < 32 and one not in "\t\n" for one in shown)
    assert "\x1b" not in shown


def test_markup_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_error({"message": "[bold]x[/bold] \x1b[2J", "hint": None})
    shown = capsys.readouterr()
    assert "[bold]x[/bold]" in shown.err
    assert not shown.out


def test_a_run_without_figures_prints_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_run({**run_document("r1", []), "run_id": "r1"}, {"synthetic": True})
    shown = capsys.readouterr().err
    assert "SYNTHETIC" in shown
    assert "detected" not in shown


def test_a_warning_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_run({**run_document("r1", []), "run_id": "r1", "warnings": ["careful\x1b"]}, {})
    shown = capsys.readouterr().err
    assert "warning: careful" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(("status", "said"), [("running", True), ("completed", False)])
def test_a_run_without_an_end_may_have_been_killed(status: str, said: bool, capsys: pytest.CaptureFixture[str]) -> None:
    print_described({**run_document("r1", []), "status": status, "lineage": []})
    assert ("or killed" in capsys.readouterr().out) is said
