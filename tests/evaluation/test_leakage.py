from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from cybersec_mlops.evaluation.findings import Finding
from cybersec_mlops.evaluation.leakage import audit_leakage
from cybersec_mlops.evaluation.spec import EvaluationSpec

Traffic = Callable[..., pl.DataFrame]
FEATURES = ["duration_s", "orig_bytes", "resp_bytes", "conn_state", "service", "toy_rate", "toy_noise", "toy_flag"]
DAY = 86_400_000_000
SEEDS = range(4)


def audit(
    train: pl.DataFrame, test: pl.DataFrame, features: list[str] = FEATURES, **changes: object
) -> tuple[Finding, ...]:
    given = {"shortcuts": {}, "spec": EvaluationSpec(), "temporal": True, **changes}
    return audit_leakage(train, test, features, **given)  # type: ignore[arg-type]


def severe(found: tuple[Finding, ...]) -> set[str]:
    return {one.check for one in found if one.severity == "severe"}


def two_days(make: Traffic, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    return make(seed, rows=2000), make(seed + 1000, rows=2000, start=DAY)


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_traffic_has_no_severe_finding(make_traffic: Traffic, seed: int) -> None:
    assert severe(audit(*two_days(make_traffic, seed))) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_planted_leak_is_caught(make_traffic: Traffic, seed: int) -> None:
    rng = np.random.default_rng(seed)
    planted = [
        frame.with_columns(toy_leak=pl.col("is_attack") + pl.Series(rng.normal(0, 0.15, frame.height)))
        for frame in two_days(make_traffic, seed)
    ]
    assert severe(audit(planted[0], planted[1], [*FEATURES, "toy_leak"])) == {"single_feature"}


@pytest.mark.parametrize("seed", SEEDS)
def test_duplicated_rows_are_caught(make_traffic: Traffic, seed: int) -> None:
    train, test = two_days(make_traffic, seed)
    assert "identical_rows" in severe(audit(pl.concat([train, test.sample(fraction=0.1, seed=seed)]), test))


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_labels_are_caught_on_either_side(make_traffic: Traffic, seed: int, side: int) -> None:
    frames = list(two_days(make_traffic, seed))
    mixed = frames[side].select("label", "is_attack").sample(fraction=1.0, shuffle=True, seed=seed)
    frames[side] = frames[side].with_columns(mixed["label"], mixed["is_attack"])
    found = audit(frames[0], frames[1])
    assert severe(found) == {"label_signal"}
    assert ("test" if side else "training") in next(one.text for one in found if one.severity == "severe")


def test_a_pipeline_that_passes_labels_on_is_caught(make_traffic: Traffic) -> None:
    train, test = two_days(make_traffic, 0)
    rng = np.random.default_rng(0)
    truth = rng.permutation(train["is_attack"].to_numpy()), rng.permutation(test["is_attack"].to_numpy())
    found = audit(train, test, fit_score=lambda fit, rows: truth[1] * 1.0)
    assert severe(found) == {"shuffled_labels"}
    honest = audit(train, test, fit_score=lambda fit, rows: rng.random(rows.height))
    assert severe(honest) == set()


def test_known_shortcuts_are_named_unprompted(make_traffic: Traffic) -> None:
    train, test = two_days(make_traffic, 0)
    why = {"toy_rate": "the tool gives itself away", "toy_absent": "not in this table"}
    used = audit(train, test, shortcuts=why)
    assert severe(used) == {"known_shortcut"}
    unused = audit(train, test, [name for name in FEATURES if name != "toy_rate"], shortcuts=why)
    (found,) = [one for one in unused if one.check == "known_shortcut"]
    assert (found.severity, found.columns) == ("info", ("toy_rate",))
    assert found.value is not None
    assert "the tool gives itself away" in found.text


def test_identifiers_among_the_features_are_severe(make_traffic: Traffic) -> None:
    found = audit(*two_days(make_traffic, 0), features=["orig_h", "meta_row", "duration_s"])
    assert next(one for one in found if one.check == "identifier").columns == ("orig_h", "meta_row")
    assert "identifier" in severe(found)


def test_traffic_that_changes_shows_as_a_gap(make_traffic: Traffic) -> None:
    train, test = two_days(make_traffic, 0)
    first = train.filter(pl.col("label").is_in(["BENIGN", "scan"]))
    later = test.filter(pl.col("label").is_in(["BENIGN", "beacon"]))
    found = next(one for one in audit(first, later) if one.check == "split_gap")
    assert found.severity == "warning"
    assert found.value is not None
    assert found.value > 0.1


def test_data_that_cannot_be_judged_is_said_so_and_not_an_error(make_traffic: Traffic) -> None:
    train, test = two_days(make_traffic, 0)
    bare = test.with_columns(is_attack=pl.lit(None, pl.Boolean))
    for found in (
        audit(train, bare),
        audit(train, test.filter("is_attack")),
        audit(train.head(20), test),
        audit(train, test, []),
    ):
        assert severe(found) == set()
        assert "Checks that need labels were left out" in found[-1].text


def test_the_same_seed_finds_the_same(make_traffic: Traffic) -> None:
    train, test = two_days(make_traffic, 0)
    assert audit(train, test) == audit(train, test)
