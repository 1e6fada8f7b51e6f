"""Where readers put temporary copies."""

from __future__ import annotations

import gzip
import io
import tempfile
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.ingestion.compression import decompress
from cybersec_mlops.ingestion.parquet import read_rows
from cybersec_mlops.ingestion.scratch import scratch, scratch_in


def test_the_folder_holds_inside_and_none_leaves_it(tmp_path: Path) -> None:
    assert scratch() is None
    with scratch_in(tmp_path):
        with scratch_in(None):
            assert scratch() == tmp_path
        with scratch_in(tmp_path / "own"):
            assert scratch() == tmp_path / "own"
        assert scratch() == tmp_path
    assert scratch() is None


def test_parquet_that_cannot_be_wound_back_is_copied_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    file = io.BytesIO()
    pl.DataFrame({"orig_h": ["10.0.0.1", "10.0.0.2"]}).write_parquet(file)
    packed = gzip.compress(file.getvalue())
    with pytest.raises(FileNotFoundError):
        next(read_rows(decompress(io.BytesIO(packed), source="x"), ["orig_h"]))
    with scratch_in(tmp_path):
        (rows,) = read_rows(decompress(io.BytesIO(packed), source="x"), ["orig_h"])
    assert rows.frame["orig_h"].to_list() == ["10.0.0.1", "10.0.0.2"]
    assert list(tmp_path.iterdir()) == []
