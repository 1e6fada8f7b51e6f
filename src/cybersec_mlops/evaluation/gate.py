"""Whether a model may become champion, and why: better by more than noise, within the false-positive limit, clean.

The decision is a pure function of what was measured. Registering it is the caller's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cybersec_mlops.evaluation.baselines import Baseline
from cybersec_mlops.evaluation.bootstrap import Bootstrap, Estimate, wilson
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.metrics import Metrics
from cybersec_mlops.evaluation.ranking import FloatArray, Ranking, average_precision, roc_auc
from cybersec_mlops.evaluation.spec import GateSpec


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of the gate."""

    name: str
    passed: bool | None
    """None where the data cannot decide it; the condition then neither helps nor refuses."""
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate decided."""

    promoted: bool
    checks: tuple[Check, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every condition in words, those that refuse first."""
        return tuple(check.reason for check in sorted(self.checks, key=lambda one: one.passed is not False))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Challenger against the current champion, on the same labelled rows."""

    metric: str
    challenger: Estimate
    champion: Estimate
    difference: Estimate
    """Challenger minus champion, on the same resamples of rows."""
    champion_version: str


@dataclass(frozen=True, slots=True)
class Opponent:
    """The current champion, and how many of the labelled rows it knows."""

    version: str
    rows: int
    """Labelled test rows."""
    seen: int = 0
    """Those among them that it was trained on: they say nothing of it, and nothing is compared by them."""


def compare(
    labelled: pl.DataFrame,
    challenger: FloatArray,
    champion: FloatArray,
    *,
    champion_version: str,
    spec: GateSpec,
    resamples: int = 500,
    seed: int = 0,
) -> Comparison | None:
    """Compare two scores of the same rows by a paired bootstrap.

    Parameters
    ----------
    labelled : DataFrame
        ``is_attack`` (Boolean, no null), and where known ``ts`` and ``orig_h``.
    challenger, champion : ndarray of float64
        Their scores of these rows, in this order.

    Returns
    -------
    Comparison or None
        None where the rows have one class only.
    """
    statistic = average_precision if spec.metric == "average_precision" else roc_auc
    bootstrap = Bootstrap.of(labelled, resamples=resamples, seed=seed)
    first, second = (Ranking.of(bootstrap.is_attack, score) for score in (challenger, champion))
    (new,), (old,) = bootstrap.ranked(first, statistic), bootstrap.ranked(second, statistic)
    if new is None or old is None:
        return None
    difference = bootstrap.difference(first, second, statistic)
    assert difference is not None
    return Comparison(spec.metric, new, old, difference, champion_version)


def decide(
    spec: GateSpec,
    metrics: Metrics,
    findings: Sequence[Finding] | None,
    *,
    baselines: Sequence[Baseline] = (),
    comparison: Comparison | None = None,
    champion: Opponent | None = None,
) -> Decision:
    """Decide whether the challenger becomes champion.

    Parameters
    ----------
    spec : GateSpec
        The limits.
    metrics : Metrics
        The challenger's figures on the test set.
    findings : sequence of Finding or None
        The leakage audit; None where it was switched off.
    baselines : sequence of Baseline
        Trivial detectors on the same rows; they judge a first model.
    comparison : Comparison, optional
        Against the current champion; None where there is none, or nothing to compare by.
    champion : Opponent, optional
        The current champion, None where there is none.
    """
    checks = [_false_positives(spec, metrics), _leakage(spec, findings)]
    if champion is None:
        checks += [_better_than_chance(metrics), _better_than_trivial(baselines)]
    else:
        checks.append(_better_than_champion(spec, comparison, champion))
    return Decision(all(check.passed is not False for check in checks), tuple(checks))


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _interval(estimate: Estimate) -> str:
    return f"{_percent(estimate.value)} (95 % interval {_percent(estimate.low)} to {_percent(estimate.high)})"


def _false_positives(spec: GateSpec, metrics: Metrics) -> Check:
    name = "false_positive_limit"
    nominal = metrics.nominal_false_positive_rate
    if spec.max_false_positive_rate is not None:
        limit, meaning = spec.max_false_positive_rate, "the configured limit"
    elif nominal is not None:
        limit = min(1.0, nominal * spec.max_false_positive_rate_ratio)
        meaning = f"{spec.max_false_positive_rate_ratio:g} times the nominal {_percent(nominal)}"
    else:
        return Check(name, None, "No false-positive limit applies: the threshold was not set for a rate.")
    rate = metrics.false_positive_rate
    if rate is None:
        return _alert_rate(metrics, limit)
    passed = rate.low <= limit
    words = "is within" if rate.value <= limit else "is not clearly above" if passed else "is above"
    text = f"The false-positive rate of {_interval(rate)} {words} {meaning}"
    return Check(name, passed, f"{text}." if spec.max_false_positive_rate is None else f"{text}, {_percent(limit)}.")


def _alert_rate(metrics: Metrics, limit: float) -> Check:
    """Judge by the rate of all alerts where no row is known to be benign; attacks alone cannot be judged at all."""
    alerts = wilson(metrics.alerts, metrics.rows)
    unlabelled = metrics.attacks == 0
    passed = alerts.low <= limit if unlabelled else None
    why = "has no labels" if unlabelled else "has no benign row"
    text = f"The test set {why}, so the false-positive rate is unknown; {_interval(alerts)} of all rows raised an alert"
    return Check("false_positive_limit", passed, f"{text}, against a limit of {_percent(limit)} for benign rows.")


def is_accepted(finding: Finding, accepted: Sequence[str]) -> bool:
    """Say whether a finding is accepted by name: ``check``, or ``check:column`` for each of its columns."""
    by_column = {f"{finding.check}:{column}" for column in finding.columns}
    return finding.check in accepted or (bool(by_column) and by_column <= set(accepted))


def _leakage(spec: GateSpec, findings: Sequence[Finding] | None) -> Check:
    name = "leakage"
    if findings is None:
        return Check(name, None, "The leakage audit was switched off: nothing is known about leaks.")
    severe = [finding for finding in findings if finding.severity == "severe"]
    refused = [finding for finding in severe if not is_accepted(finding, spec.accepted_findings)]
    if refused:
        named = ", ".join(sorted({_name(finding) for finding in refused}))
        return Check(name, False, f"The leakage audit has severe findings that nobody accepted: {named}.")
    if severe:
        named = ", ".join(sorted({_name(finding) for finding in severe}))
        return Check(name, True, f"Every severe finding of the leakage audit was accepted by name: {named}.")
    return Check(name, True, "The leakage audit has no severe finding.")


def _name(finding: Finding) -> str:
    return f"{finding.check} ({', '.join(finding.columns)})" if finding.columns else finding.check


def _better_than_chance(metrics: Metrics) -> Check:
    name, auc = "better_than_chance", metrics.roc_auc
    if auc is None:
        return Check(name, None, "The test set lacks attacks or benign rows with a label: detection cannot be judged.")
    passed = auc.low > 0.5
    words = "better than chance" if passed else "not distinguishable from chance (0.5)"
    text = f"The ranking is {words}: ROC-AUC {auc.value:.3f} (95 % interval {auc.low:.3f} to {auc.high:.3f})"
    detected, false = metrics.detection_rate, metrics.false_positive_rate
    if passed and detected and false and detected.value <= false.value:
        return Check(name, False, f"{text}, but at its threshold it alerts on attacks no more than on benign rows.")
    return Check(name, passed, f"{text}.")


def _better_than_trivial(baselines: Sequence[Baseline]) -> Check:
    name = "better_than_trivial"
    compared = [(baseline, baseline.lead) for baseline in baselines if baseline.lead is not None]
    if not compared:
        return Check(name, None, "There is no champion yet, and no trivial detector to compare with.")
    baseline, lead = min(compared, key=lambda pair: pair[1].value)
    passed = lead.high >= 0.0
    words = "better than" if lead.low > 0 else "as good as, within noise," if passed else "worse than"
    return Check(
        name,
        passed,
        f"There is no champion yet; the model is {words} the strongest trivial detector ({baseline.name}: "
        f"{baseline.rule}): average precision {lead.value:+.3f} ({lead.low:+.3f} to {lead.high:+.3f}).",
    )


def _better_than_champion(spec: GateSpec, comparison: Comparison | None, champion: Opponent) -> Check:
    name, left = "better_than_champion", champion.rows - champion.seen
    if comparison is None:
        why = "the test set has no two classes with labels."
        if champion.seen:
            others = f", and the other {left:,} have no two classes" if left else ""
            why = (
                f"it was trained on {champion.seen:,} of the {champion.rows:,} labelled test rows{others}. "
                "Give rows that neither has seen with --test."
            )
        return Check(name, False, f"Nothing shows that it is better than champion {champion.version}: {why}")
    lead = comparison.difference
    passed = lead.low > spec.min_difference
    words = "better than" if passed else "not better, by more than noise, than"
    metric = comparison.metric.replace("_", " ").replace("roc auc", "ROC-AUC")
    which = (
        "the same rows" if not champion.seen else f"the {left:,} of {champion.rows:,} rows that it was not trained on"
    )
    return Check(
        name,
        passed,
        f"It is {words} champion {champion.version} on {which}: {metric} {comparison.challenger.value:.4f} against "
        f"{comparison.champion.value:.4f}, a difference of {lead.value:+.4f} ({lead.low:+.4f} to {lead.high:+.4f}).",
    )
