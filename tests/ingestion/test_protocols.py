"""Protocol numbers."""

from __future__ import annotations

import socket

import pytest

from cybersec_mlops.ingestion.protocols import PROTOCOLS, keyword


@pytest.mark.parametrize("name", ["icmp", "igmp", "tcp", "udp", "esp", "ah", "sctp"])
def test_keywords_are_those_of_the_system(name: str) -> None:
    try:
        number = socket.getprotobyname(name)
    except OSError:
        pytest.skip("this system has no list of protocols")
    assert keyword(number) == name


def test_every_number_has_a_keyword_of_its_own() -> None:
    assert len({keyword(number) for number in range(256)}) == 256
    assert all(0 <= number <= 255 and name == name.lower() for number, name in PROTOCOLS.items())
