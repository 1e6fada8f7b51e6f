"""The simulated organisation: its hosts, the Internet around it, and what each host's packets look like.

Addresses come from ranges that belong to nobody, so that no simulated log ever accuses a real one: RFC 1918 inside,
203.0.113.0/24 (RFC 5737) for the public edge, 198.18.0.0/15 (RFC 2544) for the Internet, 2001:db8::/32 (RFC 3849).
Nothing in here knows of traffic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CONNECTIONS_PER_WORKSTATION_DAY: Final = 1500
"""How busy a workstation is; the size of the organisation follows from it."""

_WINDOWS: Final = (49152, 65535)
_LINUX: Final = (32768, 60999)
_EMBEDDED: Final = (1024, 65535)  # also NAT gateways
_MULTICAST_4: Final = ("224.0.0.251", "239.255.255.250", "224.0.0.252", "10.20.255.255", "255.255.255.255")
_MULTICAST_6: Final = ("ff02::fb", "ff02::1:3", "ff02::1:2")


@dataclass(frozen=True, slots=True)
class Network:
    """Every address of the simulation; a host is an index into the arrays."""

    roles: dict[str, Ints]
    """Role to the hosts that have it."""
    address: list[str]
    """Printed address of each host."""
    rtt_s: Floats
    """Round trip time between the sensor and the host."""
    ip_header: Ints
    """Bytes of IP header: 20, or 40 for IPv6."""
    tcp_header: Ints
    """Bytes of TCP header after the handshake: 20, or 32 with time stamps."""
    port_low: Ints
    port_high: Ints
    is_local: Flags

    def role(self, name: str) -> Ints:
        """Give the hosts of a role."""
        return self.roles[name]


def workstation_count(connections: int, hours: float) -> int:
    """Say how many workstations make that much traffic.

    >>> workstation_count(80_000, 24.0), workstation_count(1_000, 24.0), workstation_count(10_000_000, 24.0)
    (53, 20, 6666)
    """
    return int(np.clip(connections * 24.0 / max(hours, 1e-3) / CONNECTIONS_PER_WORKSTATION_DAY, 20, 8000))


def build_network(rng: np.random.Generator, workstations: int) -> Network:
    """Draw an organisation of a given size and the part of the Internet that it meets.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.
    workstations : int
        Everything else scales with it, sublinearly for servers.
    """
    builder = _Builder(rng)
    servers = max(8, int(3 * np.sqrt(workstations)))
    n = workstations
    builder.local("workstation", [f"10.20.{i // 250}.{i % 250 + 2}" for i in range(n)], windows=0.78)
    builder.local("workstation6", [f"2001:db8:20::{i + 0x100:x}" for i in range(n)], windows=0.78)
    builder.local("link_local", [f"fe80::{i + 0x5054:x}:ff:fe{i % 251:02x}:{i + 7:x}" for i in range(n)], windows=0.7)
    builder.local("server", [f"10.10.{1 + i // 250}.{i % 250 + 2}" for i in range(servers)], windows=0.35)
    builder.local("resolver", ["10.10.0.2", "10.10.0.3"], windows=0.5)
    builder.local("domain_controller", ["10.10.0.4", "10.10.0.5"], windows=1.0)
    builder.local("file_server", [f"10.10.0.{6 + i}" for i in range(4)], windows=0.6)
    builder.local("monitor", ["10.10.0.10"], windows=0.0)
    builder.local("auditor", ["10.10.0.11"], windows=0.0)
    builder.local("backup", ["10.10.0.12"], windows=0.0)
    builder.local("mail", ["10.10.0.13"], windows=0.0)
    builder.local("bastion", ["10.10.0.14", "10.10.0.15"], windows=0.0)
    builder.local(
        "printer", [f"10.30.{i // 240}.{i % 240 + 10}" for i in range(max(2, n // 25))], windows=0.0, ports=_EMBEDDED
    )
    builder.local("camera", [f"10.40.{i // 250}.{i % 250 + 2}" for i in range(max(4, n // 10))], 0.0, _EMBEDDED)
    builder.local("device", [f"10.41.{i // 250}.{i % 250 + 2}" for i in range(max(6, n // 4))], 0.0, _EMBEDDED)
    builder.local("absent", [f"10.{20 + i % 3 * 10}.{200 + i // 250}.{i % 250 + 2}" for i in range(750)], windows=0.0)
    builder.local("edge", [f"203.0.113.{i + 1}" for i in range(254)], windows=0.2)
    builder.internet("site", min(20 * n + 400, 20_000), median_rtt=0.018)
    builder.internet("stranger", min(30 * n + 2000, 60_000), median_rtt=0.080)
    builder.internet("site6", min(5 * n + 100, 5_000), median_rtt=0.016, version=6)
    builder.multicast()
    return builder.build()


class _Builder:
    """Collect hosts role by role."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.roles: dict[str, Ints] = {}
        self.address: list[str] = []
        self.parts: list[tuple[Floats, Ints, Ints, Ints, Ints, Flags]] = []
        self.free = rng.permutation(2 * 65536 - 512) + 256
        self.taken = 0

    def local(self, role: str, address: list[str], windows: float, ports: tuple[int, int] = _LINUX) -> None:
        rtt = self.rng.uniform(0.0003, 0.0009, len(address))
        is_windows = self.rng.random(len(address)) < windows
        low = np.where(is_windows, _WINDOWS[0], ports[0])
        high = np.where(is_windows, _WINDOWS[1], ports[1])
        self._add(role, address, rtt, np.where(is_windows, 20, 32), low, high, local=True)

    def internet(self, role: str, count: int, median_rtt: float, version: int = 4) -> None:
        rtt = median_rtt * np.exp(0.7 * self.rng.standard_normal(count))
        kind = self.rng.choice(3, count, p=[0.4, 0.35, 0.25])
        low = np.choose(kind, [_WINDOWS[0], _LINUX[0], _EMBEDDED[0]])
        high = np.choose(kind, [_WINDOWS[1], _LINUX[1], _EMBEDDED[1]])
        self._add(role, self._addresses(count, version), rtt, np.where(kind == 0, 20, 32), low, high, local=False)

    def multicast(self) -> None:
        address = [*_MULTICAST_4, *_MULTICAST_6]
        count = len(address)
        flat = np.full(count, 1)
        self._add("multicast", address, np.full(count, 0.0005), flat * 20, flat * 1024, flat * 65535, local=False)
        last = self.roles["multicast"]
        self.roles["multicast4"], self.roles["multicast6"] = last[: len(_MULTICAST_4)], last[len(_MULTICAST_4) :]

    def _addresses(self, count: int, version: int) -> list[str]:
        numbers = self.free[self.taken : self.taken + count]
        self.taken += count
        if version == 6:
            return [f"2001:db8:{0x8000 + (v >> 8):x}::{v & 255:x}" for v in numbers.tolist()]
        return [f"198.{18 + (v >> 16)}.{v >> 8 & 255}.{v & 255}" for v in numbers.tolist()]

    def _add(
        self, role: str, address: list[str], rtt: Floats, header: Ints, low: Ints, high: Ints, *, local: bool
    ) -> None:
        first = len(self.address)
        self.roles[role] = np.arange(first, first + len(address))
        self.address.extend(address)
        ip_header = np.array([40 if ":" in text else 20 for text in address])
        self.parts.append((rtt, ip_header, header, low, high, np.full(len(address), local)))

    def build(self) -> Network:
        rtt, ip_header, header, low, high, local = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        present = [self.roles[name] for name in ("workstation", "server", "printer", "file_server", "device")]
        self.roles["present"] = np.concatenate(present)
        self.roles["inside"] = np.concatenate([*present[:-1], self.roles["absent"]])
        self.roles["web"] = self.roles["edge"][9:13]
        self.roles["admin"] = self.roles["workstation"][:: max(1, len(self.roles["workstation"]) // 6)]
        self.roles["managed"] = np.concatenate([self.roles["server"], self.roles["file_server"], self.roles["bastion"]])
        return Network(self.roles, self.address, rtt, ip_header, header, low, high, local)
