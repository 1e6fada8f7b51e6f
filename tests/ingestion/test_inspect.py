"""What files are, without ingesting them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.ingestion.exports import BASIC, basic, set_of, template, v9

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.ingestion import inspect as module
from cybersec_mlops.ingestion.inspect import Inspected, inspect_sources
from cybersec_mlops.ingestion.mappings import load_mapping

SAMPLES = Path(__file__).parent / "samples"


def inspected(*paths: Path, timezone: str = "UTC", format: str | None = None) -> list[Inspected]:  # noqa: A002
    return list(inspect_sources([str(path) for path in paths], timezone=timezone, format=format))


def test_a_file_is_described() -> None:
    (found,) = inspected(SAMPLES / "argus_commas.csv")
    assert (found.status, found.problem, found.compression) == ("usable", None, "none")
    assert (found.format, found.variant, found.read, found.kept) == ("argus", "commas", 5, 5)
    assert found.first == datetime(2026, 3, 2, 9, 0, 1, 1, tzinfo=UTC)
    assert found.last == datetime(2026, 3, 2, 9, 0, 5, tzinfo=UTC)
    assert found.hosts == 7
    assert list(found.labels.items()) == [("BACKGROUND", 1), ("BENIGN", 1), ("Botnet-TCP-CC", 1)]
    assert found.nulled == {"orig_p": 1, "resp_p": 1}
    assert found.notes[0] == "its times have no zone; they are read as UTC"


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    data = (SAMPLES / "unsw_nb15.csv").read_bytes()
    told = []
    for name in ("UNSW_NB15_training-set.csv", "UNSW_NB15_testing-set.csv", "KDDTrain+.arff", "conn.log.gz"):
        (tmp_path / name).write_bytes(data)
        (found,) = inspected(tmp_path / name)
        told.append({**found.to_dict(), "source": None})
    assert told[0]["format"] == "unsw_nb15"
    assert told == told[:1] * 4


def test_every_sample_is_usable_and_every_row_accounted_for() -> None:
    mapping = load_mapping(str(Path(__file__).parents[2] / "examples" / "mapping.toml")).reader
    for found in inspect_sources([str(SAMPLES)], mappings=[mapping]):
        assert found.status == "usable", found
        assert found.read == found.kept + sum(found.rejected.values()) + sum(found.skipped.values())
        assert found.kept >= 5
        assert json.loads(json.dumps(found.to_dict(), allow_nan=False)).keys() == set(Inspected.__slots__)


def test_an_unknown_table_has_the_draft_of_a_mapping(tmp_path: Path) -> None:
    (found,) = inspected(SAMPLES / "mapped.csv")
    assert found.status == "refused"
    assert found.draft is not None
    path = tmp_path / "mapping.toml"
    path.write_text(found.draft)
    (again,) = inspect_sources([str(SAMPLES / "mapped.csv")], mappings=[load_mapping(str(path)).reader])
    assert (again.status, again.format, again.read) == ("usable", "my_table", 5)


def test_what_would_be_quarantined_is_said_with_examples(tmp_path: Path) -> None:
    header, *rows = (SAMPLES / "argus_commas.csv").read_text().splitlines()
    bad = [row.replace(",42001,", ",http,") for row in rows[:1] * 5]
    (tmp_path / "a.gz").write_bytes(gzip.compress("\n".join([header, *bad, "1,2", *rows, ""]).encode()))
    (found,) = inspected(tmp_path / "a.gz")
    assert found.compression == "gzip"
    assert found.rejected == {"bad_port": 5, "ragged_row": 1}
    assert [example["line"] for example in found.examples] == [2, 3, 4, 7]
    assert found.examples[0]["field"] == "orig_p"
    assert 'is "http"' in found.examples[0]["detail"]


def test_a_fault_of_one_file_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing known\n")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"x" * 999)[:-9])
    (tmp_path / "c.log").write_bytes((SAMPLES / "zeek_conn.log").read_bytes())
    (tmp_path / ".hidden").write_text("x")
    found = {Path(one.source).name: one for one in inspected(tmp_path)}
    assert {name: one.status for name, one in found.items()} == {
        ".hidden": "passed over",
        "a.txt": "passed over",
        "b.gz": "refused",
        "c.log": "usable",
    }
    assert "ends early" in (found["b.gz"].problem or "")
    (alone,) = inspected(tmp_path / "a.txt")
    assert (alone.status, alone.hint is not None) == ("refused", True)


def test_a_zone_and_a_format_may_be_named() -> None:
    (found,) = inspected(SAMPLES / "argus_commas.csv", timezone="Europe/Prague")
    assert found.first == datetime(2026, 3, 2, 8, 0, 1, 1, tzinfo=UTC)
    (other,) = inspected(SAMPLES / "argus_commas.csv", format="kdd99")
    assert other.status == "refused"
    with pytest.raises(ConfigError, match="unknown format"):
        inspected(SAMPLES / "argus_commas.csv", format="no")


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        inspected(tmp_path / "nothing")


def test_hosts_and_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HOSTS", 3)
    monkeypatch.setattr(module, "MAX_LABELS", 1)
    (found,) = inspected(SAMPLES / "argus_commas.csv")
    assert found.hosts == 3
    assert sum(found.labels.values()) == 3
    assert len(found.labels) == 2
    assert found.labels["(other labels)"] == 2


@pytest.mark.shared_data
def test_real_folders_are_described(shared_data: Callable[[str], Path]) -> None:
    found = {
        Path(one.source).name: one for one in inspected(shared_data("suricata-eve"), shared_data("argus-binetflow"))
    }
    assert found["wrccdc-2017_alerts-only.json"].status == "passed over"
    eve = found["slips_test6-malicious.eve.json"]
    assert (eve.read, eve.kept, eve.skipped["other_event:alert"]) == (5000, 3512, 745)
    clockless = found["test5.tabs.binetflow"]
    assert (clockless.kept, clockless.rejected) == (6724, {"management_record": 1})
    assert (clockless.first, clockless.nulled["ts"]) == (None, 6724)


def test_templates_may_be_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "a_records.dat").write_bytes(v9(set_of(256, basic())))
    (tmp_path / "b_templates.dat").write_bytes(v9(set_of(0, template(256, BASIC))))
    records, templates = inspected(tmp_path)
    assert (records.kept, records.rejected, templates.kept) == (1, {}, 0)
    (alone,) = inspected(tmp_path / "a_records.dat")
    assert (alone.kept, alone.rejected) == (0, {"no_template": 1})
