"""Templates of NetFlow v9 and IPFIX."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ingestion.exports import template

from cybersec_mlops.ingestion.netflow_templates import (
    MAX_FIELDS,
    REVERSE,
    V5,
    DamagedTemplateError,
    Field,
    read_templates,
    template_of,
)


def test_fields_are_found_by_what_they_become() -> None:
    found = template_of([(0, 8, 4), (0, 999, 7), (0, 1, 3), (REVERSE, 1, 8)])
    assert dict(found.fields) == {
        "source_v4": Field(0, 0, 4),
        "octets": Field(2, 11, 3),
        "octets_responder": Field(3, 14, 8),
    }
    assert (found.record_bytes, found.fixed) == (22, True)


def test_a_field_of_another_length_than_its_element_is_not_read() -> None:
    assert template_of([(0, 8, 3), (0, 27, 4), (0, 1, 17), (0, 2, 0), (0, 4, 1)]).fields == (
        ("protocol", Field(4, 24, 1)),
    )


def test_the_first_of_equal_fields_counts() -> None:
    assert template_of([(0, 1, 4), (0, 1, 8)]).fields == (("octets", Field(0, 0, 4)),)


def test_a_record_of_v5_has_48_bytes() -> None:
    assert V5.record_bytes == 48


@pytest.mark.parametrize("ipfix", [False, True])
def test_several_templates_of_a_set_and_padding(ipfix: bool) -> None:
    body = template(256, [(8, 4)]) + template(257, [(12, 4), (1, 8)]) + bytes(2)
    found = read_templates(body, ipfix=ipfix, options=False)
    assert [(number, one.record_bytes if one else None) for number, one in found] == [(256, 4), (257, 12)]


def test_enterprises_are_ipfix_alone() -> None:
    body = template(256, [(1, 4, REVERSE)])
    ((_, found),) = read_templates(body, ipfix=True, options=False)
    assert found is not None
    assert found.fields[0][0] == "octets_responder"
    with pytest.raises(DamagedTemplateError):
        read_templates(body[:-4] + struct.pack(">HH", 5, 9), ipfix=False, options=False)


def test_options_have_scopes() -> None:
    v9 = struct.pack(">HHH", 256, 4, 8) + struct.pack(">HHHHHH", 1, 4, 34, 4, 35, 1)
    ipfix = struct.pack(">HHH", 256, 3, 1) + struct.pack(">HHHHHH", 149, 4, 34, 4, 35, 1)
    for body, is_ipfix in ((v9, False), (ipfix, True)):
        ((_, found),) = read_templates(body, ipfix=is_ipfix, options=True)
        assert found is not None
        assert found.options
        assert (found.record_bytes, dict(found.fields)["sampling"].offset) == (9, 4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (template(5, [(8, 4)]), "the number 5"),
        (struct.pack(">HH", 256, MAX_FIELDS + 1), f"at most {MAX_FIELDS}"),
        (template(256, [(8, 4)])[:-1], "ends within a template"),
        (template(256, [(8, 0)]), "without length"),
    ],
)
def test_a_template_that_cannot_be_is_an_error(body: bytes, message: str) -> None:
    with pytest.raises(DamagedTemplateError, match=message):
        read_templates(body, ipfix=True, options=False)


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_bytes_are_templates_or_an_error(body: bytes, ipfix: bool, options: bool) -> None:
    try:
        found = read_templates(body, ipfix=ipfix, options=options)
    except DamagedTemplateError:
        return
    assert all(number >= 256 and (one is None or one.record_bytes > 0) for number, one in found)
