"""A run's report becomes a file: whole and verified, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from cybersec_mlops.commands.reports import save_report
from cybersec_mlops.errors import CybersecMlopsError, DataError
from cybersec_mlops.pipeline.result import run_document
from cybersec_mlops.storage.layers import Layers

PAGE = b"<!doctype html><title>report</title>"


def document_with(report: str | None) -> dict[str, object]:
    document = run_document("r1", [])
    document["phases"]["evaluation"]["report"] = report
    return document


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers.open((tmp_path / "store").as_uri() + "/{layer}")


def test_the_bytes_are_those_of_the_store(layers: Layers, tmp_path: Path) -> None:
    uri = layers.eval.put_bytes(f"report/{hashlib.sha256(PAGE).hexdigest()}.html", PAGE).uri
    save_report(document_with(uri), layers, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == PAGE


def test_a_damaged_report_is_refused_and_nothing_is_written(layers: Layers, tmp_path: Path) -> None:
    uri = layers.eval.put_bytes(f"report/{'0' * 64}.html", PAGE).uri
    with pytest.raises(CybersecMlopsError, match="0000"):
        save_report(document_with(uri), layers, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_run_without_a_report_says_so(layers: Layers, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no report"):
        save_report(document_with(None), layers, tmp_path / "report.html")
