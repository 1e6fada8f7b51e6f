"""One vocabulary for all the headers of CICFlowMeter."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.ingestion import cic_columns
from cybersec_mlops.ingestion.tables import names_of

SAMPLES = {
    "cic2017_ml.csv": ("cic2017-ml", 79),
    "cic2017_flows.csv": ("cic2017-flows", 85),
    "cicflowmeter_4.csv": ("cicflowmeter-4", 84),
    "cic2017_improved.csv": ("cic2017-improved", 91),
}


def header(name: str) -> list[str]:
    return names_of((Path(__file__).parent / "samples" / name).read_bytes().split(b"\n")[0])


@pytest.mark.parametrize("name", SAMPLES)
def test_every_published_name_is_known_and_none_is_lost(name: str) -> None:
    variant, columns = SAMPLES[name]
    names = header(name)
    targets = [cic_columns.target_of(column) for column in names]
    assert (len(names), cic_columns.variant_of(names)) == (columns, variant)
    assert None not in targets
    doubled = {target for target in targets if targets.count(target) > 1}
    assert doubled == ({"cic_fwd_header_length_bytes"} if "2017_" in name and "improved" not in name else set())
    assert set(cic_columns.REQUIRED) <= set(targets)


def test_a_name_means_one_column_only() -> None:
    tables = (cic_columns.CANONICAL, cic_columns.MEASURES, cic_columns.MEASURES_OF_IMPROVED)
    names = [name.casefold() for table in tables for names in table.values() for name in names]
    assert len(names) == len(set(names))


def test_the_2018_set_is_told_from_the_tool() -> None:
    names = [name for name in header("cicflowmeter_4.csv") if name not in ("Flow ID", "Src IP", "Src Port", "Dst IP")]
    assert cic_columns.variant_of(names) == "cic2018"
    assert {cic_columns.target_of(name) for name in names} >= set(cic_columns.REQUIRED)


@pytest.mark.parametrize("name", [" Flow Duration", "flow  duration", "FLOW DURATION "])
def test_blanks_and_case_do_not_matter(name: str) -> None:
    assert cic_columns.target_of(name) == "duration_s"
