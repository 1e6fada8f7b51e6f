"""What a mapping file may say, and what it is told where it is wrong."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.mapping import MAX_BYTES, TableMapping, parse_mapping

EXAMPLE = Path(__file__).parents[2] / "examples" / "mapping.toml"


def parse(text: str, taken: tuple[str, ...] = ()) -> TableMapping:
    return parse_mapping(text.encode(), source="mapping.toml", taken=taken)


def test_a_name_alone_stands_for_the_canonical_column() -> None:
    mapping = parse(
        'name = "x"\n[columns]\nsrc = "orig_h"\nrtt = {native = "rtt_s", unit = "ms"}\nid = {meta = "id"}\n'
    )
    assert mapping.targets == {"src": "orig_h", "rtt": "x_rtt_s", "id": "meta_x_id"}
    assert mapping.native == {"meta_x_id": pl.Float64, "x_rtt_s": pl.Float64}


def test_the_example_says_only_what_there_is_and_shows_every_setting() -> None:
    text = EXAMPLE.read_text()
    mapping = parse(text)
    assert set(mapping.targets.values()) & CONNECTION_SCHEMA.keys()
    for setting in TableMapping.model_fields:
        assert setting in text


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            'name = "x"\n[columns]\nsrc = "source_ip"',
            ["src", '"source_ip" is no canonical name', "orig_h, orig_p"],
        ),
        ('name = "x"\n[columns]\nd = {to = "duration_s", unit = "weeks"}', ['unknown unit "weeks"', "ms", "KiB"]),
        ('name = "x"\n[columns]\nd = {to = "duration_s", unit = "KiB"}', ['unit "KiB" does not fit duration_s']),
        ('name = "x"\n[columns]\nt = {to = "ts", format = "unix"}', ['format "unix": expected epoch_s']),
        ('name = "x"\n[columns]\nt = {to = "ts", timezone = "Mars/Base"}', ["unknown timezone 'Mars/Base'"]),
        ('name = "x"\n[columns]\np = {to = "proto", format = "iso"}', ["format and timezone are for ts"]),
        ('name = "x"\n[columns]\na = "orig_h"\nb = "orig_h"', ["mapped to more than once: orig_h"]),
        ('name = "x"\n[columns]\na = {native = "a"}', ["no column is mapped to a canonical name"]),
        ('name = "x"\n[columns]\na = {to = "orig_h", native = "a"}', ["exactly one of to, native and meta"]),
        ('name = "Bad Name"\n[columns]\na = "orig_h"', ["name: ", '"Bad Name" is not a name']),
        ('name = "x"\n[columns]\n', ["columns"]),
        ('name = "x"\nsepparator = ";"\n[columns]\na = "orig_h"', ["sepparator", "Extra inputs"]),
        ('name = "x"\nseparator = ";;"\n[columns]\na = "orig_h"', ["separator: expected one ASCII character"]),
        ('name = "x"\nheader = false\n[columns]\na = "orig_h"', ["names are needed where header is false"]),
        ('name = "x"\nheader = false\nnames = ["b"]\n[columns]\na = "orig_h"', ["not in names: a"]),
        ('name = "x"\n[columns]\na = "orig_h"\n[constants]\nprotocol = "tcp"', ["constants: protocol"]),
        ('name = "x"\n[columns]\na = "orig_h"\n[label]\nbenign = ["0"]', ["label", "expected column or is_attack"]),
        ('name = "zeek_conn"\n[columns]\na = "orig_h"', ['"zeek_conn" is the name of another format']),
        ("name = ", ["not TOML"]),
    ],
)
def test_what_is_wrong_is_told(toml: str, told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(toml, taken=("zeek_conn",))
    assert all(words in caught.value.message for words in ["mapping.toml", *told]), caught.value.message
    assert "examples/mapping.toml" in caught.value.hint or "another name" in caught.value.hint


def test_a_file_too_large_for_a_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match="at most"):
        parse("#" * (MAX_BYTES + 1))


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=200).map(str.encode), st.binary(max_size=200)))
def test_any_bytes_are_a_mapping_or_a_config_error(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_mapping(data, source="x")
