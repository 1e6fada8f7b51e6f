"""The evaluation as one self-contained HTML file, for the analyst who will get the alerts and the auditor who asks why.

The file holds no script and no reference to anything outside it, and its content-security policy forbids both.
Everything that comes from data is shortened, made visible and escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from cybersec_mlops.evaluation import plots, text
from cybersec_mlops.evaluation.baselines import Baseline
from cybersec_mlops.evaluation.drift import LARGE, Drift
from cybersec_mlops.evaluation.examples import AlertExample as AlertExample
from cybersec_mlops.evaluation.examples import Reason as Reason
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.gate import Check, Comparison, Decision, is_accepted
from cybersec_mlops.evaluation.leave_one_out import LeaveOneOut
from cybersec_mlops.evaluation.metrics import Metrics
from cybersec_mlops.evaluation.ranking import Ranking

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE: Final = "report.html.j2"
MOST_ATTACKS: Final = 60
MOST_REFERENCES: Final = 40
MARKS: Final = ("no", "yes", "open")
SEVERITIES: Final = ("severe", "warning", "info")


@dataclass(frozen=True, slots=True)
class DataReference:
    """One artefact that the evaluation rests on."""

    role: str
    """What it is here: ``RAW original``, ``training rows``, ``test rows``, ``model bundle``, ..."""
    name: str
    """Source name or URI."""
    sha256: str
    bytes: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Everything that the report and the model card say."""

    dataset: str
    synthetic: bool
    run_id: str
    created: datetime
    model_version: str
    model_sha256: str
    metrics: Metrics
    decision: Decision
    scored: pl.DataFrame
    """The test rows: ``score``, ``is_attack``, ``label``."""
    split: str
    """How training and test were separated, in a sentence."""
    findings: tuple[Finding, ...] | None = None
    """None where the leakage audit was switched off."""
    drift: Drift | None = None
    baselines: tuple[Baseline, ...] = ()
    comparison: Comparison | None = None
    left_out: LeaveOneOut | None = None
    """None where it was not asked for."""
    importance: pl.DataFrame | None = None
    """``feature``, ``importance``, ``part``."""
    alerts: tuple[AlertExample, ...] = ()
    data: tuple[DataReference, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    """What training reports of itself, flat or nested."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The settings of every phase, nested by phase."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Version, commit, image digest, libraries."""
    notes: tuple[str, ...] = ()
    """Limitations that the reader must know, one sentence each."""


def render_report(given: ReportInput) -> str:
    """Return the report as HTML. The same input gives the same bytes."""
    from markupsafe import Markup

    template = _environment().get_template(TEMPLATE)
    style = files(__package__).joinpath("templates/report.css").read_text("utf-8")
    html: str = template.render(
        given=given,
        m=given.metrics,
        checks=sorted(given.decision.checks, key=lambda check: MARKS.index(mark(check))),
        mark=mark,
        verdict=verdict(given.metrics),
        setting=setting(given.metrics),
        plots={plot.name: plot for plot in _pictures(given)},
        findings=None if given.findings is None else sorted_findings(given.findings),
        accepted=accepted(given),
        drift_words=None if given.drift is None else drift_words(given.drift),
        tuning=given.training.get("tuning"),
        facts={
            "training": flat({name: value for name, value in given.training.items() if name != "tuning"}),
            "spec": flat(given.spec),
            "code": flat(given.code),
        },
        most=MOST_ATTACKS,
        most_references=MOST_REFERENCES,
        style=Markup(style),  # noqa: S704 - ours, no data in it
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return html.replace(" %", "\N{NO-BREAK SPACE}%")


def mark(check: Check) -> str:
    """Say how a condition of the gate went: no, open or yes."""
    return "open" if check.passed is None else "yes" if check.passed else "no"


def verdict(metrics: Metrics) -> str:
    """Say in one sentence what was detected at what false-positive rate."""
    detected, false = metrics.detection_rate, metrics.false_positive_rate
    if detected and false:
        return (
            f"{text.percent(detected.value)} of the attacks detected, "
            f"with a false alarm on {text.percent(false.value)} of benign connections."
        )
    if detected:
        return f"{text.percent(detected.value)} of the attacks detected; the test set has no benign rows."
    if false:
        return f"A false alarm on {text.percent(false.value)} of benign connections; the test set has no attacks."
    share = text.percent(metrics.alerts / metrics.rows)
    return f"{text.count(metrics.alerts)} alerts, {share} of the connections; no labels say which are right."


def setting(metrics: Metrics) -> str:
    """Say in a few sentences what the verdict rests on."""
    rows = [
        f"{text.count(number)} {name}"
        for number, name in (
            (metrics.attacks, "attacks"),
            (metrics.benign, "benign"),
            (metrics.background, "background"),
            (metrics.unlabelled, "unlabelled"),
        )
        if number
    ]
    said = [f"Measured on {text.count(metrics.rows)} connections that no fitted part has seen: {', '.join(rows)}."]
    if metrics.nominal_false_positive_rate is not None:
        rate = text.round_percent(metrics.nominal_false_positive_rate)
        said.append(
            f"The threshold was frozen beforehand, on benign training traffic, for a false-alarm rate of {rate}."
        )
    if metrics.unseen_attack_recall is not None:
        said.append(
            f"Of {text.count(metrics.unseen_attacks)} connections of attacks that training never saw, "
            f"{text.percent(metrics.unseen_attack_recall.value)} were detected."
        )
    return " ".join(said)


def sorted_findings(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with the severe ones first."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def accepted(given: ReportInput) -> frozenset[Finding]:
    """Return the severe findings that the configuration accepts by name."""
    names = given.spec.get("evaluation", {}).get("gate", {}).get("accepted_findings", ())
    severe = [finding for finding in given.findings or () if finding.severity == "severe"]
    return frozenset(finding for finding in severe if is_accepted(finding, names))


def drift_words(drift: Drift) -> str:
    """Say what moved between training and test, and whether the calibration went with it."""
    large = sum(one.level == "large" for one in drift.features)
    rows = "benign rows" if drift.benign_only else "all rows"
    moved = f"{text.count(large)} of {text.count(len(drift.features))} features moved"
    said = [f"{moved} by more than the usual alarm of {LARGE} (population stability index), comparing {rows}."]
    if drift.score_psi is not None:
        words = "above" if drift.score_psi > LARGE else "within"
        said.append(
            f"The scores of all rows moved by {text.number(drift.score_psi)} (Kolmogorov-Smirnov distance "
            f"{text.number(drift.score_ks)}), {words} that alarm; more or fewer attacks move them too."
        )
    if drift.benign_p_value_ks is not None:
        holds = "the calibration holds" if drift.calibration_holds else "THE CALIBRATION DOES NOT HOLD on this traffic"
        said.append(
            f"The p-values of benign rows lie {text.number(drift.benign_p_value_ks)} from the uniform law that they "
            f"should follow: {holds}."
        )
    return " ".join(said)


def flat(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return nested facts as (dotted name, text) pairs.

    >>> flat({"a": {"b": 1, "c": None}, "d": [1, 2]})
    [('a.b', '1'), ('a.c', 'none'), ('d', '1, 2')]
    """
    found = []
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            found += flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", _fact(value)))
    return found


def _fact(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(_fact(one) for one in value) or "none"
    return str(value)


def _pictures(given: ReportInput) -> list[plots.Plot]:
    metrics, scored = given.metrics, given.scored
    labelled = scored.filter(pl.col("is_attack").is_not_null())
    found = [
        plots.score_distribution(scored, metrics),
        plots.recall_by_attack(metrics),
        plots.threshold_curve(scored, metrics),
        plots.alerts_over_time(metrics.activity),
        plots.nominal_against_achieved(metrics),
        None if given.drift is None else plots.drift(given.drift),
    ]
    if metrics.attacks and metrics.benign:
        ranking = Ranking.of(labelled["is_attack"].to_numpy().astype(np.bool_), labelled["score"].to_numpy())
        found += [plots.roc_curve(ranking, metrics), plots.precision_recall_curve(ranking, metrics)]
    if given.importance is not None:
        found += [plots.importance(given.importance, part) for part in sorted(set(given.importance["part"]))]
    return [plot for plot in found if plot is not None]


def _when(moment: datetime | None, pattern: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    return text.NONE if moment is None else moment.astimezone(UTC).strftime(pattern)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    package = __package__ or "cybersec_mlops.evaluation"
    environment = Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["startswith"] = str.startswith
    environment.filters.update(
        data=_data,
        line=text.plain,
        count=text.count,
        percent=text.percent,
        round_percent=text.round_percent,
        percent_interval=text.percent_interval,
        number=text.number,
        interval=text.interval,
        size=text.size,
        duration=text.duration,
        ratio=text.ratio,
        when=_when,
        picture=lambda plot: "data:image/svg+xml;base64," + base64.b64encode(plot.svg).decode(),
    )
    return environment


def _data(value: object, limit: int = text.LIMIT) -> str:
    """Return text from data, shortened, escaped, and with its writing direction kept to itself."""
    from markupsafe import Markup

    return Markup("<bdi>{}</bdi>").format(text.plain(value, limit))
