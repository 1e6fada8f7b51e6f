"""The report's plots as self-contained SVG, the same bytes for the same evaluation.

Text from data is never parsed as mathematics, glyphs are drawn as paths (no font is asked for), and colours are CSS
variables so that a plot follows the reader's light or dark scheme.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from cybersec_mlops.evaluation.activity import DAY_US, HOUR_US, Activity
from cybersec_mlops.evaluation.drift import LARGE, MODERATE, Drift
from cybersec_mlops.evaluation.metrics import Metrics
from cybersec_mlops.evaluation.ranking import FloatArray, Ranking
from cybersec_mlops.evaluation.text import count, percent, plain, round_percent, visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1e2733"
MUTED: Final = "#6b7686"
GRID: Final = "#dfe3e9"
BENIGN: Final = "#2b6cb0"
ATTACK: Final = "#c2410c"
PAPER: Final = "#fefefd"
DARK: Final = {
    INK: "#e4e9f0",
    MUTED: "#98a3b3",
    GRID: "#333d4a",
    BENIGN: "#6db3f2",
    ATTACK: "#fb8c5a",
    PAPER: "#1a212b",
}
NAMES: Final = {INK: "ink", MUTED: "muted", GRID: "grid", BENIGN: "benign", ATTACK: "attack", PAPER: "paper"}

WIDTH: Final = 5.3
HEIGHT: Final = 3.15
LABEL: Final = 32
"""Characters of a label in a plot; the tables show more."""
MOST_BARS: Final = 24
CURVE_POINTS: Final = 400


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture with what it shows in words."""

    name: str
    title: str
    alt: str
    svg: bytes


def score_distribution(scored: pl.DataFrame, metrics: Metrics) -> Plot:
    """Show how scores of benign rows and of attacks lie around the frozen threshold."""
    groups = [
        ("benign", BENIGN, scored.filter(~pl.col("is_attack"))["score"].to_numpy()),
        ("attack", ATTACK, scored.filter(pl.col("is_attack"))["score"].to_numpy()),
    ]
    groups = [group for group in groups if group[2].size] or [("all rows", MUTED, scored["score"].to_numpy())]
    everything = np.concatenate([group[2] for group in groups])
    low, high = np.quantile(everything, [0.0, 0.9995])
    high = max(high, metrics.threshold)
    edges = np.linspace(low, high if high > low else low + 1, 61)
    with _figure() as (figure, axes):
        for name, colour, score in groups:
            share = np.histogram(np.clip(score, edges[0], edges[-1]), edges)[0] / score.size
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.28)
            axes.stairs(share, edges, color=colour, linewidth=1.4, label=f"{name} ({count(score.size)})")
        axes.set_yscale("log")
        axes.set_ylim(bottom=max(0.3 / everything.size, 1e-6))
        axes.axvline(metrics.threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="frozen threshold")
        _axes(axes, "score (higher is more suspicious)", "share of its class", rates="y")
        _legend(figure, axes)
        alt = (
            f"Histogram of scores. The threshold {metrics.threshold:.4g} lies below "
            f"{percent(_share_above(groups[-1][2], metrics.threshold))} of the {groups[-1][0]} scores and below "
            f"{percent(_share_above(groups[0][2], metrics.threshold))} of the {groups[0][0]} scores."
        )
        return Plot("scores", "Scores of benign traffic and of attacks", alt, _svg(figure))


def recall_by_attack(metrics: Metrics) -> Plot | None:
    """Show the share of each attack that was detected, with 95 % intervals."""
    attacks = sorted(metrics.recall_by_attack[:MOST_BARS], key=lambda one: (one.recall.value, one.label))
    if not attacks:
        return None
    with _figure(height=0.9 + 0.27 * len(attacks)) as (figure, axes):
        for place, attack in enumerate(attacks):
            estimate = attack.recall
            axes.plot([estimate.low, estimate.high], [place, place], color=ATTACK, linewidth=2.2, alpha=0.45)
            filled = "none" if attack.in_training is False else ATTACK
            axes.plot(estimate.value, place, "o", markersize=6.5, markeredgecolor=ATTACK, markerfacecolor=filled)
        labels = [_fit(f"{_short(a.label)}  ({count(a.rows)})") for a in attacks]
        axes.set_yticks(range(len(attacks)), labels)
        axes.set_ylim(-0.6, len(attacks) - 0.4)
        axes.set_xlim(-0.02, 1.02)
        _axes(axes, "detected at the frozen threshold", "", grid="x", rates="x")
        worst = attacks[0]
        alt = (
            f"Recall of {len(attacks)} attacks with 95 % intervals; lowest {_short(worst.label)} "
            f"with {percent(worst.recall.value)}, highest {percent(attacks[-1].recall.value)}."
        )
        return Plot("recall", "Recall per attack", alt, _svg(figure))


def threshold_curve(scored: pl.DataFrame, metrics: Metrics) -> Plot:
    """Show what moving the threshold would cost: alerts per day, or the share of rows where there is no time."""
    days = metrics.activity.observed_days
    unit = 1 / days if days else 1 / scored.height
    series = [("all alerts", INK, np.sort(scored["score"].to_numpy()))]
    benign = np.sort(scored.filter(~pl.col("is_attack"))["score"].to_numpy())
    if benign.size:
        series.append(("false alerts", BENIGN, benign))
    x = np.unique(np.quantile(series[0][2], np.linspace(0, 1, CURVE_POINTS)))
    with _figure() as (figure, axes):
        for name, colour, score in series:
            above = (score.size - np.searchsorted(score, x, side="left")) * unit
            axes.plot(x, np.where(above > 0, above, np.nan), color=colour, linewidth=1.8, label=name)
        axes.set_yscale("log")
        axes.axvline(metrics.threshold, color=INK, linewidth=1.2, linestyle=(0, (4, 2)), label="frozen threshold")
        _axes(axes, "threshold", "alerts per day" if days else "share of all rows", rates="" if days else "y")
        _legend(figure, axes)
        now = count(metrics.activity.alerts_per_day) if days else percent(metrics.alerts / metrics.rows)
        what = "alerts per day" if days else "of the rows raise an alert"
        alt = f"Alerts as a function of the threshold, logarithmic; at the frozen threshold {now} {what}."
        return Plot("threshold", "What moving the threshold would cost", alt, _svg(figure))


def alerts_over_time(activity: Activity) -> Plot | None:
    """Show alerts by hour or day, the false ones apart."""
    if len(activity.by_period) < 2:
        return None
    width = (HOUR_US if activity.period == "hour" else DAY_US) / DAY_US
    origin = activity.by_period[0].start
    x = np.array([(period.start - origin).total_seconds() / 86_400 for period in activity.by_period])
    false = np.array([period.false_alerts for period in activity.by_period])
    other = np.array([period.alerts for period in activity.by_period]) - false
    with _figure(height=2.6) as (figure, axes):
        axes.bar(x, false, width * 0.92, align="edge", color=BENIGN, label="on benign rows")
        axes.bar(x, other, width * 0.92, align="edge", bottom=false, color=ATTACK, label="on other rows")
        ticks = np.linspace(0, len(x) - 1, min(5, len(x))).round().astype(int)
        pattern = "%d %b\n%H:%M" if activity.period == "hour" else "%d %b\n%Y"
        axes.set_xticks(x[ticks] + width / 2, [activity.by_period[i].start.strftime(pattern) for i in ticks])
        _axes(axes, "UTC", f"alerts per {activity.period}", grid="y")
        _legend(figure, axes)
        peak = max(activity.by_period, key=lambda one: one.alerts)
        alt = (
            f"Alerts per {activity.period} over {len(x)} {activity.period}s; at most {count(peak.alerts)}, "
            f"on {peak.start:%Y-%m-%d %H:%M} UTC."
        )
        return Plot("time", f"Alerts per {activity.period}", alt, _svg(figure))


def roc_curve(ranking: Ranking, metrics: Metrics) -> Plot:
    """Show recall against the false-positive rate, logarithmic: the rates that matter are small."""
    false, recall = ranking.roc()
    keep = _thin(false, recall)
    floor = max(1e-5, 0.5 / max(ranking.benign.sum(), 1))
    with _figure() as (figure, axes):
        axes.step(
            np.maximum(false[keep], floor), recall[keep], where="post", color=ATTACK, linewidth=1.8, label="model"
        )
        chance = np.geomspace(floor, 1, 50)
        axes.plot(chance, chance, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="chance")
        for point in metrics.operating_points:
            if point.false_positive_rate and point.detection_rate:
                axes.plot(max(point.false_positive_rate.value, floor), point.detection_rate.value, "o", color=INK, ms=5)
        axes.set_xscale("log")
        axes.set_xlim(floor, 1.05)
        axes.set_ylim(-0.02, 1.02)
        _axes(axes, "false-positive rate (dots: frozen thresholds)", "recall", rates="xy")
        _legend(figure, axes)
        alt = f"ROC curve with a logarithmic false-positive axis; area {_value(metrics.roc_auc)}."
        return Plot("roc", "ROC: recall against false positives", alt, _svg(figure))


def precision_recall_curve(ranking: Ranking, metrics: Metrics) -> Plot:
    """Show precision against recall, at the balance of the test set."""
    recall, precision = ranking.precision_recall()
    keep = _thin(recall, precision)
    base = metrics.attacks / (metrics.attacks + metrics.benign)
    with _figure() as (figure, axes):
        axes.step(recall[keep], precision[keep], where="pre", color=ATTACK, linewidth=1.8, label="model")
        axes.axhline(base, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="chance (share of attacks)")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.04)
        _axes(axes, "recall", "precision in this test set", rates="xy")
        _legend(figure, axes)
        alt = f"Precision-recall curve; average precision {_value(metrics.average_precision)}, chance {base:.3f}."
        return Plot("pr", "Precision against recall", alt, _svg(figure))


def nominal_against_achieved(metrics: Metrics) -> Plot | None:
    """Show the false-positive rate that each threshold promised beside the one that it gave."""
    points = [(p.nominal, p.false_positive_rate) for p in metrics.operating_points]
    known = [(nominal, rate) for nominal, rate in points if rate is not None]
    if not known:
        return None
    floor = min(0.3 * min(nominal for nominal, _ in known), *(max(rate.low, 1e-5) for _, rate in known))
    with _figure() as (figure, axes):
        line = np.array([floor, 1.0])
        axes.plot(line, line, color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="as promised")
        for nominal, rate in known:
            axes.plot(
                [nominal, nominal], [max(rate.low, floor), max(rate.high, floor)], color=BENIGN, lw=2.2, alpha=0.45
            )
        achieved = [max(rate.value, floor) for _, rate in known]
        axes.plot(
            [nominal for nominal, _ in known], achieved, "o", color=BENIGN, ms=6.5, label="achieved, 95 % interval"
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(min(nominal for nominal, _ in known) / 2, max(nominal for nominal, _ in known) * 2)
        top = max(rate.high for _, rate in known)
        axes.set_ylim(floor, min(1.0, max(top, max(nominal for nominal, _ in known)) * 2))
        _axes(axes, "nominal false-positive rate", "achieved", rates="xy")
        _legend(figure, axes)
        alt = "; ".join(f"nominal {round_percent(nominal)}, achieved {percent(rate.value)}" for nominal, rate in known)
        return Plot("nominal", "False-positive rate: promised and achieved", f"{alt}.", _svg(figure))


def importance(table: pl.DataFrame, part: str) -> Plot | None:
    """Show what one part of the model looks at.

    Parameters
    ----------
    table : DataFrame
        ``feature``, ``importance``, ``part``.
    part : str
        The part to show.
    """
    rows = table.filter((pl.col("part") == part) & (pl.col("importance") > 0))
    rows = rows.sort(["importance", "feature"], descending=[True, False]).head(15).reverse()
    if not rows.height:
        return None
    share = rows["importance"].to_numpy() / table.filter(pl.col("part") == part)["importance"].sum()
    with _figure(height=0.9 + 0.23 * rows.height) as (figure, axes):
        axes.barh(range(rows.height), share, height=0.62, color=BENIGN)
        axes.set_yticks(range(rows.height), [_fit(_short(name)) for name in rows["feature"]])
        _axes(axes, "share of the importance", "", grid="x", rates="x")
        first = _short(rows["feature"][-1])
        alt = (
            f"The {rows.height} most important features of the {plain(part)} part; first {first}, {percent(share[-1])}."
        )
        return Plot(f"importance-{plain(part)}", f"What the {plain(part)} part looks at", alt, _svg(figure))


def drift(found: Drift) -> Plot | None:
    """Show the features that moved most between training and test."""
    features = list(reversed(found.features[:15]))
    if not features:
        return None
    with _figure(height=0.9 + 0.23 * len(features)) as (figure, axes):
        colours = [{"stable": MUTED, "moderate": BENIGN, "large": ATTACK}[one.level] for one in features]
        axes.barh(range(len(features)), [one.psi for one in features], height=0.62, color=colours)
        for limit in (MODERATE, LARGE):
            axes.axvline(limit, color=INK, linewidth=1, linestyle=(0, (2, 2)))
        axes.set_yticks(range(len(features)), [_fit(_short(one.feature)) for one in features])
        _axes(axes, "PSI (lines: 0.1 and 0.2)", "", grid="x")
        largest = features[-1]
        alt = f"Largest drift: {_short(largest.feature)} with a PSI of {largest.psi:.3f}."
        return Plot("drift", "Features that moved most since training", alt, _svg(figure))


@contextmanager
def _figure(height: float = HEIGHT) -> Iterator[tuple[Figure, Axes]]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "text.parse_math": False,
        "text.usetex": False,
        "svg.hashsalt": "cybersec-mlops",
        "svg.fonttype": "path",
        "font.family": ["DejaVu Sans"],
        "font.size": 10.5,
        "axes.edgecolor": GRID,
        "axes.formatter.use_mathtext": False,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
    }
    with rc_context(settings):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        yield figure, figure.add_subplot()


def _axes(axes: Axes, x: str, y: str, *, grid: str = "both", rates: str = "") -> None:
    """Dress the axes; those named in `rates` are shares and get percent signs."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_axisbelow(True)
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)
    for name, axis, scale in (("x", axes.xaxis, axes.get_xscale()), ("y", axes.yaxis, axes.get_yscale())):
        if scale == "log":
            axis.set_major_locator(LogLocator(numticks=6))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:.6g}"))
            axis.set_minor_formatter(NullFormatter())
        if name in rates:
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False, fontsize=9.5, handlelength=1.4)


def _svg(figure: Figure) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = target.getvalue().decode()
    for colour, name in NAMES.items():
        text = text.replace(colour, f"var(--{name})")
    light = "".join(f"--{name}:{colour};" for colour, name in NAMES.items())
    dark = "".join(f"--{name}:{DARK[colour]};" for colour, name in NAMES.items())
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    start = text.index("<svg")
    end = text.index(">", start) + 1
    return (text[start:end] + style + text[end:]).encode()


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def _fit(text: str) -> str:
    """Replace what the plot's font cannot draw; right-to-left letters would turn the count beside them around."""
    return "".join(
        c if (ord(c) in _glyphs() and ord(c) < 0x590) or c in "\N{HORIZONTAL ELLIPSIS}" else "□" for c in text
    )


def _short(value: str) -> str:
    """Return a name short enough for a plot."""
    shown = visible(value[:LABEL])
    return shown if len(value) <= LABEL else f"{shown}\N{HORIZONTAL ELLIPSIS}"


def _thin(x: FloatArray, y: FloatArray) -> np.ndarray:
    """Keep at most some hundreds of a curve's points, evenly along both axes and dense near x = 0."""
    if x.size <= CURVE_POINTS:
        return np.arange(x.size)
    wanted: list[Sequence[float] | FloatArray] = [np.linspace(0, 1, CURVE_POINTS), np.geomspace(1e-5, 1, CURVE_POINTS)]
    chosen = [np.searchsorted(np.maximum.accumulate(x), positions) for positions in wanted]
    steps = np.searchsorted(np.abs(np.diff(y)).cumsum(), np.linspace(0, np.abs(np.diff(y)).sum(), CURVE_POINTS))
    return np.unique(np.clip(np.concatenate([*chosen, steps, [0, x.size - 1]]), 0, x.size - 1))


def _share_above(score: FloatArray, threshold: float) -> float:
    return float((score >= threshold).mean()) if score.size else 0.0


def _value(estimate: object) -> str:
    return "not applicable" if estimate is None else str(estimate)
