from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import polars as pl
import pytest

from cybersec_mlops.evaluation import plots
from cybersec_mlops.evaluation.metrics import AttackRecall
from cybersec_mlops.evaluation.ranking import Ranking
from cybersec_mlops.evaluation.report import ReportInput

HOSTILE = [
    "<script>alert(1)</script>",
    "$x^2$ $\\frac$",
    "\u202egnp.exe",
    "\u05d0\u05d1 \u4e2d\u6587",
    "A" * 10_240,
    "a\nb\x00",
    "",
]


def all_plots(given: ReportInput) -> list[plots.Plot]:
    ranking = Ranking.of(given.scored["is_attack"].to_numpy(), given.scored["score"].to_numpy())
    assert given.drift is not None
    assert given.importance is not None
    found = [
        plots.score_distribution(given.scored, given.metrics),
        plots.recall_by_attack(given.metrics),
        plots.threshold_curve(given.scored, given.metrics),
        plots.alerts_over_time(given.metrics.activity),
        plots.roc_curve(ranking, given.metrics),
        plots.precision_recall_curve(ranking, given.metrics),
        plots.nominal_against_achieved(given.metrics),
        plots.importance(given.importance, "supervised"),
        plots.drift(given.drift),
    ]
    return [plot for plot in found if plot is not None]


@pytest.fixture(scope="module")
def drawn(report_input: ReportInput) -> list[plots.Plot]:
    return all_plots(report_input)


def test_every_plot_is_valid_small_and_described(drawn: list[plots.Plot]) -> None:
    assert len(drawn) == 9
    for plot in drawn:
        assert ET.fromstring(plot.svg).tag.endswith("svg")
        assert len(plot.svg) < 150_000
        assert len(plot.alt) > 20
        assert plot.title


def test_the_same_evaluation_gives_the_same_bytes(drawn: list[plots.Plot], report_input: ReportInput) -> None:
    assert [plot.svg for plot in all_plots(report_input)] == [plot.svg for plot in drawn]


def test_nothing_outside_is_asked_for_and_nothing_runs(drawn: list[plots.Plot]) -> None:
    for plot in drawn:
        text = plot.svg.decode()
        assert "<script" not in text
        links = re.findall(r'(?:href|src)="([^"]*)"', text) + re.findall(r"url\(([^)]*)\)", text)
        assert all(link.startswith("#") for link in links)
        assert "<text" not in text


def test_colours_follow_the_reader(drawn: list[plots.Plot]) -> None:
    for plot in drawn:
        assert b"prefers-color-scheme:dark" in plot.svg
        assert b"var(--ink)" in plot.svg


def test_hostile_names_are_drawn_and_not_understood(report_input: ReportInput) -> None:
    metrics = report_input.metrics
    recall = metrics.recall_by_attack[0].recall
    attacks = tuple(AttackRecall(label, 5, 3, recall, None) for label in HOSTILE)
    plot = plots.recall_by_attack(dataclasses.replace(metrics, recall_by_attack=attacks))
    assert plot is not None
    assert b"<script" not in plot.svg
    assert len(plot.svg) < 200_000
    table = pl.DataFrame({"feature": HOSTILE, "importance": [1.0] * len(HOSTILE), "part": ["p"] * len(HOSTILE)})
    assert plots.importance(table, "p") is not None


def test_what_does_not_apply_is_not_drawn(report_input: ReportInput) -> None:
    bare = dataclasses.replace(report_input.metrics, recall_by_attack=(), operating_points=())
    assert plots.recall_by_attack(bare) is None
    assert plots.nominal_against_achieved(bare) is None
    assert plots.alerts_over_time(dataclasses.replace(bare.activity, by_period=())) is None
    assert plots.importance(pl.DataFrame({"feature": ["a"], "importance": [0.0], "part": ["p"]}), "p") is None


@pytest.mark.parametrize("score", [0.0, -3.5])
def test_a_constant_score_can_be_drawn(report_input: ReportInput, score: float) -> None:
    flat = report_input.scored.with_columns(score=pl.lit(score))
    assert plots.score_distribution(flat, report_input.metrics).svg
    assert plots.threshold_curve(flat, report_input.metrics).svg


def test_rows_without_labels_are_drawn_in_one_colour(report_input: ReportInput) -> None:
    bare = report_input.scored.with_columns(is_attack=pl.lit(None, pl.Boolean))
    assert "all rows" in plots.score_distribution(bare, report_input.metrics).alt
