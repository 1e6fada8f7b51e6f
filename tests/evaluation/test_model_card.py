from __future__ import annotations

import dataclasses

from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.metrics import AttackRecall
from cybersec_mlops.evaluation.model_card import render_model_card
from cybersec_mlops.evaluation.report import ReportInput

EVIL = "<script>x</script>\n# big | [a](http://evil.test) `code` **b** \u202e"


def test_it_says_the_verdict_the_figures_the_findings_and_the_bytes(report_input: ReportInput) -> None:
    card = render_model_card(report_input)
    for needed in ("# Model toy\\-v1", "ROC\\-AUC", "## Leakage audit", "known\\_shortcut", "cd" * 32, "Only a toy"):
        assert needed in card
    assert render_model_card(report_input) == card
    assert "SYNTHETIC" not in card
    assert "SYNTHETIC" in render_model_card(dataclasses.replace(report_input, synthetic=True))


def test_hostile_text_cannot_become_markup(report_input: ReportInput) -> None:
    recall = report_input.metrics.recall_by_attack[0].recall
    given = dataclasses.replace(
        report_input,
        dataset=EVIL,
        findings=(Finding("x", "severe", (EVIL,), None, None, EVIL),),
        metrics=dataclasses.replace(report_input.metrics, recall_by_attack=(AttackRecall(EVIL, 1, 1, recall, None),)),
    )
    card = render_model_card(given)
    assert "<script" not in card
    assert "\u202e" not in card
    assert "](http" not in card
    assert not [line for line in card.splitlines() if line.startswith("# big")]
    tables = [line.replace("\\|", "") for line in card.splitlines() if line.startswith("| ")]
    assert {line.count("|") for line in tables} <= {3, 4, 5, 6}


def test_a_switched_off_audit_is_said(report_input: ReportInput) -> None:
    assert "Switched off" in render_model_card(dataclasses.replace(report_input, findings=None))


def test_an_accepted_finding_is_still_told_and_said_to_be_accepted(report_input: ReportInput) -> None:
    finding = Finding("known_shortcut", "severe", ("toy_flag",), None, None, "The model sees toy_flag.")
    card = render_model_card(dataclasses.replace(report_input, findings=(finding,)))
    assert "**severe**, known\\_shortcut" in card
    spec = {"evaluation": {"gate": {"accepted_findings": ["known_shortcut:toy_flag"]}}}
    card = render_model_card(dataclasses.replace(report_input, findings=(finding,), spec=spec))
    assert "**severe, accepted by name**, known\\_shortcut" in card


def test_it_compares_with_trivial_detectors_and_tells_of_drift(report_input: ReportInput) -> None:
    card = render_model_card(report_input)
    for heading in ("## Compared on the same rows", "## Drift since training"):
        assert heading in card
    bare = render_model_card(dataclasses.replace(report_input, baselines=(), comparison=None, drift=None))
    assert "Compared on" not in bare
    assert "Drift since" not in bare
