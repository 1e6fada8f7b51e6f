"""``cybersec-mlops inspect``."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from cybersec_mlops.cli import app

SAMPLES = Path(__file__).parents[1] / "ingestion" / "samples"
MAPPING = Path(__file__).parents[2] / "examples" / "mapping.toml"
HOSTILE = "evil\x1b[2J[bold]<b>.csv"


def inspect(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["inspect", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def test_json_is_one_document_with_every_file() -> None:
    code, out, _ = inspect(SAMPLES, "--json", "--mapping", MAPPING)
    document = json.loads(out)
    assert code == 0
    assert document["statuses"] == {"usable": len(list(SAMPLES.iterdir())), "passed over": 0, "refused": 0}
    assert document["kept"] == sum(one["kept"] for one in document["files"])
    (argus,) = (one for one in document["files"] if one["source"].endswith("argus_commas.csv"))
    assert argus["first"] == "2026-03-02T09:00:01.000001+00:00"


def test_an_unknown_table_is_shown_the_draft_of_a_mapping() -> None:
    code, out, _ = inspect(SAMPLES / "mapped.csv")
    assert code == 3
    assert '"Source IP" = "orig_h"' in out
    code, out, _ = inspect(SAMPLES / "mapped.csv", "--mapping", MAPPING)
    assert code == 0
    assert "times that do not say their zone are read as Europe/Prague" in out


def test_a_wrong_mapping_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('name = "x"\n[columns]\nsrc = "source"\n')
    code, _, error = inspect(SAMPLES / "mapped.csv", "--mapping", tmp_path / "m.toml")
    assert code == 2
    assert "no canonical name" in error


def test_a_person_reads_what_each_file_is_and_what_would_be_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text((SAMPLES / "argus_commas.csv").read_text().replace(",42001,", ",http,"))
    code, out, _ = inspect(path, SAMPLES / "zeek_conn.log")
    assert code == 0
    for text in (
        "quarantined: bad_port 1",
        'line 2, orig_p: bad_port: is "http"',
        "labels: BACKGROUND 1, BENIGN 1",
        "zeek_conn",
        "2 usable",
        "10 connections would be kept",
        "its times have no zone; they are read as UTC",
    ):
        assert text in out


def test_a_zone_may_be_named() -> None:
    _, out, _ = inspect(SAMPLES / "argus_commas.csv", "--json", "--timezone", "Europe/Prague")
    assert json.loads(out)["files"][0]["first"] == "2026-03-02T08:00:01.000001+00:00"


def test_a_file_that_would_stop_a_run_is_told_with_the_exit_code_of_bad_data(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing known\n")
    code, out, _ = inspect(tmp_path / "a.txt", SAMPLES / "kdd99.data")
    assert code == 3
    assert "refused: is not of a known format" in out
    assert "kdd99" in out
    assert inspect(tmp_path / "a.txt", "--json")[0] == 3


def test_what_is_read_of_a_refused_file_is_not_counted_as_kept(tmp_path: Path) -> None:
    whole = gzip.compress((SAMPLES / "zeek_conn.log").read_bytes() * 2)
    (tmp_path / "cut.log.gz").write_bytes(whole[:-20])
    code, out, _ = inspect(tmp_path / "cut.log.gz")
    assert code == 3
    assert out.splitlines()[1].startswith("refused ")
    assert "the gzip stream ends early" in out
    assert "1 refused; 0 connections would be kept" in out


def test_a_source_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    code, out, err = inspect(tmp_path / "nothing")
    assert (code, out) == (3, "")
    assert "nothing" in err


def test_nothing_hostile_reaches_the_terminal(tmp_path: Path) -> None:
    (tmp_path / HOSTILE).write_text(
        (SAMPLES / "argus_commas.csv")
        .read_text()
        .replace("-TCP-CC\n", "-\x1b[31m[red]<script>\n")
        .replace("SrcPkts", "a\x1b[2J")
    )
    code, out, _ = inspect(tmp_path)
    assert code == 0
    assert "\x1b" not in out
    assert "[red]<script>" in out


def test_what_a_reader_copies_lies_in_the_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = io.BytesIO()
    pl.read_csv(SAMPLES / "canonical.csv").write_parquet(table)
    (tmp_path / "table.parquet.gz").write_bytes(gzip.compress(table.getvalue()))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert inspect(tmp_path / "table.parquet.gz")[0] == 3
    monkeypatch.setenv("CYBERSEC_MLOPS_SCRATCH_DIR", str(tmp_path))
    assert inspect(tmp_path / "table.parquet.gz")[0] == 0
