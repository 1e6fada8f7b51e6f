"""The canonical connection: the one vocabulary that every format is read into.

Names, types and units follow Zeek's ``conn.log`` (https://docs.zeek.org/en/master/logs/conn.html), with the unit in the
name where there is one. Unset is null, never 0. Nothing in here reads a file or computes a feature.
"""

from __future__ import annotations

from typing import Final

import polars as pl

CONNECTION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "ts": pl.Datetime("us", "UTC"),  # start of the connection
    "uid": pl.String(),  # the sensor's id of the connection
    "orig_h": pl.String(),  # originator (client) address
    "orig_p": pl.Int32(),
    "resp_h": pl.String(),  # responder (server) address
    "resp_p": pl.Int32(),
    "proto": pl.String(),  # IANA keyword in lower case: tcp, udp, icmp, ...
    "service": pl.String(),  # application protocol as the sensor named it, lower case
    "duration_s": pl.Float64(),
    "orig_bytes": pl.Int64(),  # payload bytes that the originator sent
    "resp_bytes": pl.Int64(),
    "conn_state": pl.String(),  # Zeek's states: S0 S1 SF REJ S2 S3 RSTO RSTR RSTOS0 RSTRH SH SHR OTH
    "local_orig": pl.Boolean(),
    "local_resp": pl.Boolean(),
    "missed_bytes": pl.Int64(),
    "history": pl.String(),  # Zeek's letters, upper case from the originator
    "orig_pkts": pl.Int64(),
    "orig_ip_bytes": pl.Int64(),  # bytes with IP headers
    "resp_pkts": pl.Int64(),
    "resp_ip_bytes": pl.Int64(),
}
"""Columns of a connection: name to dtype. Every one may be null."""

LABEL_SCHEMA: Final[dict[str, pl.DataType]] = {
    "label": pl.String(),  # BENIGN, BACKGROUND, or the attack's name; null where the source has no label
    "label_original": pl.String(),  # exactly what the source said, detail included ("Malicious/CC")
    "is_attack": pl.Boolean(),  # null for background and unlabelled rows
}

PROVENANCE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "raw_sha256": pl.String(),  # the RAW object the row was read from
    "raw_line": pl.Int64(),  # its line there, after decompression, from 1
}

REJECTED_SCHEMA: Final[dict[str, pl.DataType]] = {
    **PROVENANCE_SCHEMA,
    "reason": pl.String(),  # a short code: "bad_port", "ragged_row", ...
    "field": pl.String(),  # the canonical or native column at fault; null where it is the whole row
    "detail": pl.String(),  # expected against found
    "text": pl.String(),  # the beginning of the original line, at most REJECTED_TEXT_LIMIT characters
}
"""Columns of a row that breaks the contract; it goes to quarantine with its reason."""

REJECTED_TEXT_LIMIT: Final = 500

BENIGN: Final = "BENIGN"
BACKGROUND: Final = "BACKGROUND"

META_PREFIX: Final = "meta_"
"""A native column of this prefix is kept for reading and is never a feature (row ids, difficulty, flow ids)."""

NEVER_FEATURES: Final = frozenset(
    {
        *("ts", "uid", "orig_h", "orig_p", "resp_h", "resp_p", "history", "dataset", "format"),
        *LABEL_SCHEMA,
        *PROVENANCE_SCHEMA,
    }
)
"""Identifiers, addresses, ports, timestamps, labels and provenance: never given to a model.

``history`` and ``resp_p`` reach the model only through what the transformation derives from them.
"""


def is_feature(column: str) -> bool:
    """Say whether a SILVER column may be given to a model.

    >>> is_feature("duration_s"), is_feature("orig_h"), is_feature("meta_kdd_difficulty")
    (True, False, False)
    """
    return column not in NEVER_FEATURES and not column.startswith(META_PREFIX)
