from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import polars as pl
import pytest

from cybersec_mlops.evaluation.activity import HostCount
from cybersec_mlops.evaluation.baselines import Baseline
from cybersec_mlops.evaluation.bootstrap import Estimate
from cybersec_mlops.evaluation.examples import AlertExample, Reason
from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.gate import Check, Comparison, Decision
from cybersec_mlops.evaluation.leave_one_out import LeaveOneOut, LeftOut, Skill
from cybersec_mlops.evaluation.metrics import AttackRecall, measure
from cybersec_mlops.evaluation.report import DataReference, ReportInput, flat, render_report, verdict
from cybersec_mlops.evaluation.spec import EvaluationSpec

EVIL = "<script>alert('x')</script><img src=//evil.test/a onerror=x>\"' {{7*7}} $x^2$ \u202egpj.\u05d0"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Reader(HTMLParser):
    """Collects tags and attributes and checks that elements are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def hostile(report_input: ReportInput) -> ReportInput:
    """Every text that can come from data, hostile."""
    metrics, decision = report_input.metrics, report_input.decision
    recall = metrics.recall_by_attack[0].recall
    metrics = dataclasses.replace(
        metrics,
        recall_by_attack=(AttackRecall(EVIL, 9, 3, recall, True), AttackRecall("B" * 10_240, 9, 3, recall, False)),
        activity=dataclasses.replace(metrics.activity, by_host=(HostCount(EVIL, 3, 2, 1, 1),)),
    )
    importance = pl.DataFrame({"feature": [EVIL], "importance": [1.0], "part": ["supervised"]})
    drift = report_input.drift
    assert drift is not None
    drift = dataclasses.replace(drift, features=(dataclasses.replace(drift.features[0], feature=EVIL),))
    return dataclasses.replace(
        report_input,
        dataset=EVIL,
        run_id=EVIL,
        model_version=EVIL,
        model_sha256=EVIL,
        split=EVIL,
        metrics=metrics,
        decision=Decision(False, (*decision.checks, Check(EVIL, False, EVIL))),
        findings=(Finding(EVIL, "severe", (EVIL,), 1.0, 0.5, EVIL),),
        drift=drift,
        baselines=(Baseline("stump", EVIL, recall, recall, recall),),
        comparison=Comparison("roc_auc", recall, recall, recall, EVIL),
        importance=importance,
        alerts=(AlertExample(1.0, None, EVIL, None, EVIL, None, (Reason(EVIL, EVIL, EVIL),)),),
        data=(DataReference(EVIL, EVIL, EVIL),),
        training={EVIL: EVIL, "nested": {EVIL: [EVIL]}},
        spec={EVIL: None},
        code={EVIL: EVIL},
        notes=(EVIL,),
    )


@pytest.fixture(scope="module")
def page(report_input: ReportInput) -> str:
    return render_report(report_input)


def test_it_is_well_formed_and_holds_no_script_and_no_outside_reference(page: str, hostile: ReportInput) -> None:
    for html in (page, render_report(hostile)):
        reader = read(html)
        names = {tag for tag, _ in reader.tags}
        assert not names & {"script", "iframe", "object", "embed", "link", "form", "base", "svg", "input"}
        for _, attributes in reader.tags:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            for name in ("src", "href"):
                target = attributes.get(name) or "#"
                assert target.startswith(("#", "data:image/svg+xml;base64,"))
        assert "url(" not in html
        assert "@import" not in html


def test_hostile_text_is_shown_as_text(hostile: ReportInput) -> None:
    html = render_report(hostile)
    assert "<script" not in html
    assert "<img src=//" not in html
    assert "49" not in re.findall(r"\{?\{?7\*7\}?\}?", html)
    assert "\u202e" not in html
    text = "".join(read(html).text)
    assert "<script>alert('x')</script>" in text
    assert "\\u202e" in text
    assert "(10,240 characters)" in text
    assert len(html) < 1_500_000


def test_hostile_text_in_pictures_stays_text(hostile: ReportInput) -> None:
    for _, attributes in read(render_report(hostile)).tags:
        if (attributes.get("src") or "").startswith("data:"):
            svg = base64.b64decode((attributes["src"] or "").partition("base64,")[2]).decode()
            assert "<script" not in svg
            assert "evil.test" not in re.sub(r"<!--.*?-->", "", svg, flags=re.S)


def test_every_picture_says_what_it_shows(page: str) -> None:
    pictures = [attributes for tag, attributes in read(page).tags if tag == "img"]
    assert len(pictures) == 10
    assert all(len(picture["alt"] or "") > 20 for picture in pictures)


def test_the_policy_forbids_everything_but_its_own_style_and_pictures(page: str) -> None:
    policy = next(a["content"] for _, a in read(page).tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:;")


def test_the_same_input_gives_the_same_bytes(page: str, report_input: ReportInput) -> None:
    assert render_report(report_input) == page


def test_the_verdict_comes_first_and_names_both_rates(page: str, report_input: ReportInput) -> None:
    text = " ".join("".join(read(page).text).replace("\N{NO-BREAK SPACE}", " ").split())
    sentence = verdict(report_input.metrics)
    assert "of the attacks detected, with a false alarm on" in sentence
    assert text.index(sentence) < text.index("For the analyst") < text.index("For the auditor")
    assert "SYNTHETIC" not in text


def test_synthetic_data_is_marked_at_the_top_and_in_the_title(report_input: ReportInput) -> None:
    html = render_report(dataclasses.replace(report_input, synthetic=True))
    assert "<title>SYNTHETIC" in html
    assert html.index("SYNTHETIC DATA") < html.index("<header>")


@pytest.mark.parametrize("kept", ["none", "benign", "attacks"])
def test_what_does_not_apply_is_left_out_and_said(report_input: ReportInput, kept: str) -> None:
    """A test set without labels, without attacks, without benign rows; no time, no hosts, no audit, no drift."""
    frame = report_input.scored.drop("ts", "orig_h")
    chosen = {
        "none": frame.with_columns(is_attack=pl.lit(None, pl.Boolean), label=pl.lit(None, pl.String)),
        "benign": frame.filter(~pl.col("is_attack")),
        "attacks": frame.filter("is_attack"),
    }[kept]
    spec = EvaluationSpec(resamples=50)
    metrics = measure(chosen, threshold=2.3, nominal=0.01, thresholds={0.01: 2.3}, training_attacks=None, spec=spec)
    bare = dataclasses.replace(
        report_input,
        metrics=metrics,
        scored=chosen,
        findings=None,
        drift=None,
        baselines=(),
        importance=None,
        alerts=(),
        data=(),
        training={},
        spec={},
        code={},
        notes=(),
    )
    text = "".join(read(render_report(bare)).text)
    assert "nothing is known about leaks" in text
    assert {"none": "no labels say which", "benign": "has no attacks", "attacks": "has no benign rows"}[kept] in text
    assert "nan" not in text.lower().split()


def test_numbers_and_percent_signs_stay_together(page: str) -> None:
    assert not re.search(r"\d %", page)


def test_facts_are_flat_and_in_words() -> None:
    assert flat({"a": True, "b": {}, "c": 0.1 + 0.2}) == [("a", "yes"), ("b", "{}"), ("c", "0.3")]


def test_tuning_and_attacks_left_out_have_tables_of_their_own(report_input: ReportInput) -> None:
    skill = Skill(Estimate(0.75, 0.5, 1.0), Estimate(0.25, 0.1, 0.4))
    left_out = LeaveOneOut(0.01, (LeftOut("<scan>", 7, False, None, skill, skill),), ("rare <b>",))
    trial = {"settings": {"trees": 7, "hidden": [8, 2, 8]}, "objective": 0.5, "average_precision": 0.25}
    tuning = {"objective": "recall", "split": "time", "rows": 9, "kinds": 2}
    training = {**report_input.training, "tuning": {**tuning, "trials": [{**trial, "chosen": True}]}}
    html = render_report(dataclasses.replace(report_input, left_out=left_out, training=training))
    assert "Attacks that nobody has seen yet" in html
    assert "training never had it" in html
    assert "&lt;scan&gt;" in html
    assert "rare &lt;b&gt;" in html
    assert "trees 7, hidden 8-2-8" in html
    assert "Tuning" not in render_report(report_input)
