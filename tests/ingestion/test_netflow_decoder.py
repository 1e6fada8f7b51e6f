"""What reading export datagrams has to remember, in bounded memory."""

from __future__ import annotations

import polars as pl
import pytest
from tests.ingestion.exports import BASIC, basic, set_of, template, v9

from cybersec_mlops.ingestion import netflow_decoder
from cybersec_mlops.ingestion.netflow import NetFlow
from cybersec_mlops.ingestion.netflow_datagrams import Datagram
from cybersec_mlops.ingestion.netflow_decoder import Decoder
from cybersec_mlops.ingestion.reader import Batch, batch_schema

SCHEMA = batch_schema(NetFlow())
TEMPLATE = v9(set_of(0, template(256, BASIC)))


def decoded(*datagrams: bytes, decoder: Decoder | None = None) -> Batch:
    decoder, offset = decoder or Decoder(), 0
    for data in datagrams:
        decoder.add(Datagram(offset, data))
        offset += len(data)
    decoder.finish()
    return decoder.take(SCHEMA)


def test_a_template_holds_for_what_comes_before_and_after_it() -> None:
    batch = decoded(v9(set_of(256, basic())), TEMPLATE, v9(set_of(256, basic())))
    assert (batch.rows.height, batch.rejected.height) == (2, 0)
    assert batch.rows["raw_line"].to_list() == sorted(batch.rows["raw_line"])


def test_what_was_taken_is_gone() -> None:
    decoder = Decoder()
    assert decoded(TEMPLATE, v9(set_of(256, basic())), decoder=decoder).rows.height == 1
    again = decoder.take(SCHEMA)
    assert again.read == 0
    assert dict(again.rows.schema) == SCHEMA
    assert isinstance(again.rows, pl.DataFrame)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netflow_decoder, "WAITING_BYTES", 3_000)
    early = [v9(set_of(300 + place, basic())) for place in range(20)]
    batch = decoded(*early, v9(set_of(0, template(319, BASIC))))
    assert batch.rows.height == 1
    assert batch.rejected["reason"].to_list() == ["no_template"] * 19


def test_templates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netflow_decoder, "MAX_TEMPLATES", 3)
    decoder = Decoder()
    decoded(*(v9(set_of(0, template(256 + place, BASIC))) for place in range(20)), decoder=decoder)
    assert [number for _, number in decoder.templates] == [273, 274, 275]
