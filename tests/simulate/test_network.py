"""The organisation: distinct addresses, roles that exist, sizes that scale."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest

from cybersec_mlops.simulate.network import build_network, workstation_count


@pytest.mark.parametrize("workstations", [20, 400, 8000])
def test_every_address_is_valid_and_belongs_to_one_host(workstations: int) -> None:
    network = build_network(np.random.default_rng(1), workstations)
    assert len(set(network.address)) == len(network.address)
    for address in network.address[:: max(1, len(network.address) // 2000)]:
        parsed = ipaddress.ip_address(address)
        assert parsed.is_multicast or not parsed.is_global, address
    assert len(network.rtt_s) == len(network.is_local) == len(network.address)


def test_a_host_has_physical_properties() -> None:
    network = build_network(np.random.default_rng(1), 50)
    assert (network.rtt_s > 0).all()
    assert (network.port_low >= 1024).all()
    assert (network.port_high > network.port_low).all()
    assert (network.port_high <= 65_535).all()
    for host, address in enumerate(network.address):
        assert network.ip_header[host] == (40 if ":" in address else 20)
    assert network.rtt_s[network.role("server")].max() < 0.002 < network.rtt_s[network.role("site")].mean()


def test_inside_is_what_a_scanner_tries_and_present_is_what_answers() -> None:
    network = build_network(np.random.default_rng(1), 50)
    absent = set(network.role("absent").tolist())
    assert absent <= set(network.role("inside").tolist())
    assert not absent & set(network.role("present").tolist())
    assert network.is_local[network.role("inside")].all()
    assert not network.is_local[network.role("stranger")].any()


def test_the_organisation_grows_with_the_traffic_to_a_limit() -> None:
    counts = [workstation_count(rows, 24) for rows in (1, 10**4, 10**5, 10**6, 10**9)]
    assert counts == sorted(counts)
    assert counts[0] == 20
    assert counts[-1] == 8000
    assert workstation_count(10**5, 1) > workstation_count(10**5, 24)
