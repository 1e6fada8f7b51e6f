"""The one rule for what a model may see."""

from __future__ import annotations

import pytest

from cybersec_mlops.connections import CONNECTION_SCHEMA, LABEL_SCHEMA, PROVENANCE_SCHEMA, is_feature


@pytest.mark.parametrize(
    "column",
    [
        *LABEL_SCHEMA,
        *PROVENANCE_SCHEMA,
        "ts",
        "uid",
        "orig_h",
        "orig_p",
        "resp_h",
        "resp_p",
        "dataset",
        "format",
        "meta_x",
    ],
)
def test_identifiers_times_and_labels_are_never_features(column: str) -> None:
    assert not is_feature(column)


def test_what_is_measured_of_a_connection_is() -> None:
    allowed = {name for name in CONNECTION_SCHEMA if is_feature(name)}
    assert {"duration_s", "orig_bytes", "resp_pkts", "proto", "conn_state"} <= allowed
