"""CICFlowMeter's table: the header of the corrected CIC-IDS2017, and statistics that can be true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.simulate.cicflowmeter import CIC_COLUMNS, cic_rows
from cybersec_mlops.simulate.traffic import Plan, simulate_traffic


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return pl.concat(simulate_traffic(Plan(connections=10_000)))


@pytest.fixture(scope="module")
def table(rows: pl.DataFrame) -> pl.DataFrame:
    return cic_rows(rows, labelled=True)


def test_it_has_every_column_and_nothing_is_missing(table: pl.DataFrame) -> None:
    assert set(table.columns) == set(CIC_COLUMNS) - {"id"}
    assert len(CIC_COLUMNS) == len(set(CIC_COLUMNS)) == 91
    assert table.null_count().sum_horizontal().item() == 0


def test_every_number_is_finite_and_none_is_below_what_the_tool_writes(table: pl.DataFrame) -> None:
    numbers = table.select(pl.selectors.numeric())
    assert numbers.select((pl.all().is_finite() & (pl.all() >= -1)).all()).row(0) == (True,) * numbers.width
    unseen = {"ICMP Code", "ICMP Type", "Attempted Category"}
    assert numbers.select((pl.all().exclude(unseen) >= 0).all()).row(0) == (True,) * (numbers.width - 3)


@pytest.mark.parametrize(
    "name", ["Fwd Packet Length", "Bwd Packet Length", "Packet Length", "Flow IAT", "Fwd IAT", "Bwd IAT"]
)
def test_the_mean_is_between_the_extremes(table: pl.DataFrame, name: str) -> None:
    low, mean, high = (table[f"{name} {which}"] for which in ("Min", "Mean", "Max"))
    assert ((low <= mean + 1e-9) & (mean <= high + 1e-9)).all()
    assert (table[f"{name} Std"] <= (high - low) / 2 + 1e-6).all()  # Popoviciu


def test_it_counts_what_the_connection_counts(table: pl.DataFrame, rows: pl.DataFrame) -> None:
    assert table["Total Fwd Packet"].equals(rows["orig_pkts"])
    known = rows["orig_bytes"].is_not_null()
    assert table["Total Length of Fwd Packet"].filter(known).equals(rows["orig_bytes"].filter(known))
    assert (table["Flow IAT Max"] <= table["Flow Duration"]).all()
    assert (table["Idle Max"] + table["Active Max"] <= table["Flow Duration"]).all()
    assert (table["Flow Duration"] == (rows["duration_s"].fill_null(0) * 1e6).round().cast(pl.Int64)).all()


def test_labels(table: pl.DataFrame, rows: pl.DataFrame) -> None:
    assert table["Label"].equals(rows["attack"].fill_null("BENIGN"), check_names=False)
    assert set(cic_rows(rows, labelled=False)["Label"]) == {"NeedManualLabel"}


@pytest.mark.shared_data
def test_the_header_is_that_of_the_corrected_data_set(shared_data: Callable[[str], Path]) -> None:
    path = next(shared_data("cicids2017-improved").glob("*.csv"))
    with path.open() as opened:
        assert opened.readline().rstrip("\n").split(",") == list(CIC_COLUMNS)
