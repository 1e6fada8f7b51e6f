"""One base, four children, exit codes, and a message that says where."""

from __future__ import annotations

import copy

import pytest

from cybersec_mlops.errors import ConfigError, CybersecMlopsError, DataError, GateError, PlatformError


@pytest.mark.parametrize(("kind", "code"), [(ConfigError, 2), (DataError, 3), (PlatformError, 4), (GateError, 5)])
def test_exit_codes(kind: type[CybersecMlopsError], code: int) -> None:
    assert kind("no").exit_code == code
    assert kind.__bases__ == (CybersecMlopsError,)


def test_a_data_error_says_where() -> None:
    error = DataError('id.orig_p is "http", expected a port', source="conn.log", line=14, hint="check #fields")
    assert str(error) == 'conn.log:14: id.orig_p is "http", expected a port'
    assert DataError("empty", source="conn.log").message == "conn.log: empty"


def test_an_error_survives_a_process_boundary() -> None:
    error = DataError("bad", source="a", line=1, counts={"x": 2}, hint="look")
    again = copy.copy(error)  # the protocol that process pools and Dask use
    assert (again.message, again.hint, again.line, again.counts) == (error.message, "look", 1, {"x": 2})
