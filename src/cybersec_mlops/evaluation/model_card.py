"""The model card: the report's essence as Markdown, to lie beside the bundle (Mitchell et al., FAT* 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cybersec_mlops.evaluation.bootstrap import Estimate
from cybersec_mlops.evaluation.report import (
    ReportInput,
    accepted,
    drift_words,
    flat,
    mark,
    setting,
    sorted_findings,
    verdict,
)
from cybersec_mlops.evaluation.text import count, markdown, number, percent, round_percent, size

LONG: Final = 600
MOST: Final = 60


def render_model_card(given: ReportInput) -> str:
    """Return the model card as Markdown; whatever comes from data is shortened and escaped."""
    parts = [
        _head(given),
        _figures(given),
        _attacks(given),
        _left_out(given),
        _compared(given),
        _findings(given),
        _drift(given),
        _data(given),
        _facts("Training", given.training),
        _facts("Settings", given.spec),
        _facts("Code", given.code),
        _notes(given),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(given: ReportInput) -> str:
    lines = [f"# Model {markdown(given.model_version)}: an intrusion detector for {markdown(given.dataset)}"]
    if given.synthetic:
        lines.append("**SYNTHETIC DATA: no figure here says anything about a real network.**")
    promoted = "Promoted to champion" if given.decision.promoted else "Not promoted"
    lines.append(f"**{promoted}.** {markdown(verdict(given.metrics), LONG)} {markdown(setting(given.metrics), LONG)}")
    marks = {"no": "refused", "open": "undecided", "yes": "passed"}
    lines.append(_list(f"{marks[mark(check)]}: {markdown(check.reason, LONG)}" for check in given.decision.checks))
    lines.append(f"Run {markdown(given.run_id)}, bundle SHA-256 `{markdown(given.model_sha256)}`.")
    return "\n\n".join(lines)


def _figures(given: ReportInput) -> str:
    metrics = given.metrics
    rows = [
        _figure("ROC-AUC", metrics.roc_auc),
        _figure("Average precision", metrics.average_precision),
        _rate("Detection rate", metrics.detection_rate),
        _rate("False-positive rate", metrics.false_positive_rate),
        _rate("Recall of attacks absent from training", metrics.unseen_attack_recall),
        _rate(
            f"Precision if {round_percent(metrics.prevalence)} of the traffic were attacks",
            metrics.precision_at_prevalence,
        ),
        *(
            _rate(f"Recall at a false-positive rate of {round_percent(one.rate)}, set on the test rows", one.recall)
            for one in metrics.recall_at
        ),
        _figure("Expected calibration error", metrics.expected_calibration_error),
        ("Alerts per day", count(metrics.activity.alerts_per_day), ""),
    ]
    points = [
        (
            round_percent(p.nominal),
            *_values(p.false_positive_rate),
            _values(p.detection_rate)[0],
        )
        for p in metrics.operating_points
    ]
    tables = [_table("Figures", ("Figure", "Value", "95 % interval"), rows)]
    if points:
        tables.append(_table("Promised and achieved", ("Nominal", "Achieved", "95 % interval", "Recall"), points))
    return "\n\n".join(tables)


def _attacks(given: ReportInput) -> str:
    known = {None: "not known", True: "yes", False: "no"}
    rows = [
        (attack.label, count(attack.rows), *_values(attack.recall), known[attack.in_training])
        for attack in given.metrics.recall_by_attack[:MOST]
    ]
    return (
        _table("Recall per attack", ("Attack", "Rows", "Recall", "95 % interval", "In training"), rows) if rows else ""
    )


def _left_out(given: ReportInput) -> str:
    if given.left_out is None:
        return ""
    rows = [
        (one.label, count(one.rows), *_figure("", one.fused.roc_auc)[1:], *_values(one.fused.recall))
        for one in given.left_out.attacks[:MOST]
    ]
    header = ("Attack", "Rows", "ROC-AUC", "95 % interval", "Recall", "95 % interval")
    return _table("Each attack left out of training", header, rows)


def _compared(given: ReportInput) -> str:
    rows = [(one.name, one.rule, *_figure("", one.lead)[1:]) for one in given.baselines]
    if given.comparison is not None:
        rule = f"version {given.comparison.champion_version}, by {given.comparison.metric.replace('_', ' ')}"
        rows.append(("champion", rule, *_figure("", given.comparison.difference)[1:]))
    header = ("Against", "What it is", "This model's lead", "95 % interval")
    return _table("Compared on the same rows", header, rows) if rows else ""


def _drift(given: ReportInput) -> str:
    if given.drift is None:
        return ""
    moved = [one for one in given.drift.features if one.level == "large"][:10]
    named = [markdown(f"{one.feature} moved by {number(one.psi)}") for one in moved]
    return "\n\n".join(["## Drift since training", markdown(drift_words(given.drift), LONG), _list(named)]).rstrip()


def _findings(given: ReportInput) -> str:
    if given.findings is None:
        return "## Leakage audit\n\nSwitched off for this run: nothing is known about leaks."
    found, named = sorted_findings(given.findings), accepted(given)
    return "## Leakage audit\n\n" + _list(
        f"**{one.severity}{accepted_by_name}**, {markdown(one.check)}: {markdown(one.text, LONG)}"
        for one in found
        for accepted_by_name in [", accepted by name" if one in named else ""]
    )


def _data(given: ReportInput) -> str:
    rows = [(one.role, one.name, count(one.rows), size(one.bytes), one.sha256) for one in given.data[:MOST]]
    table = _table("Data", ("Role", "Name", "Rows", "Size", "SHA-256"), rows)
    return f"{table}\n\n{markdown(given.split, LONG)}"


def _facts(title: str, facts: Mapping[str, Any]) -> str:
    pairs = flat(facts)
    return _table(title, ("Name", "Value"), pairs) if pairs else ""


def _notes(given: ReportInput) -> str:
    return "## Limitations\n\n" + _list(markdown(note, LONG) for note in given.notes) if given.notes else ""


def _values(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return percent(None), ""
    return percent(estimate.value), f"{percent(estimate.low)} to {percent(estimate.high)}"


def _rate(name: str, estimate: Estimate | None) -> tuple[str, str, str]:
    return (name, *_values(estimate))


def _figure(name: str, estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return name, number(None), ""
    return name, number(estimate.value), f"{number(estimate.low)} to {number(estimate.high)}"


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(markdown(cell, LONG) for cell in row)} |" for row in rows]
    return f"## {title}\n\n" + "\n".join(lines)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
