"""Attacks: campaigns of connections that reuse benign shapes with another tempo, target and size.

Every kind comes in fast and slow variants and against different targets, so that part of it hides among the benign
confusers. Two kinds happen only in the last third of the period: whoever trains on the beginning has never seen them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from cybersec_mlops.simulate.benign import allocate, any_port
from cybersec_mlops.simulate.clock import Clock
from cybersec_mlops.simulate.network import Floats, Ints, Network
from cybersec_mlops.simulate.shapes import PROBED, SHAPE_INDEX
from cybersec_mlops.simulate.wire import MIX_INDEX, Intent


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of attack."""

    kind: str
    weight: float
    """Share of the malicious rows."""
    campaign: int
    """Typical connections in one campaign."""
    make: Callable[[np.random.Generator, Network, int], Intent]
    """Draw the intents of a campaign of that many rows, in time from 0."""
    late: bool = False
    """Only in the last third of the period."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One attacker at work."""

    kind: str
    make: Callable[[np.random.Generator, Network, int], Intent]
    start: float
    """Seconds from the beginning of the period."""
    latest: float
    """When it has to be over."""
    rows: int


def _of(*names: str) -> Ints:
    return np.array([SHAPE_INDEX[name] for name in names])


def _pick(rng: np.random.Generator, pool: Ints, rows: int | None = None) -> Ints:
    return np.asarray(pool[rng.integers(0, len(pool), rows)])


def _elapsed(rng: np.random.Generator, rows: int, median: float, sigma: float) -> Floats:
    """Times with log-normal gaps."""
    gaps = median * np.exp(sigma * rng.standard_normal(rows))
    gaps[0] = 0.0
    return np.cumsum(gaps)


def _attacker(rng: np.random.Generator, network: Network, inside: float) -> tuple[int, bool]:
    """An infected workstation, or a stranger."""
    is_inside = bool(rng.random() < inside)
    return int(_pick(rng, network.role("workstation" if is_inside else "stranger"))), is_inside


def _horizontal_scan(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """One port, many hosts."""
    source, inside = _attacker(rng, network, 0.6)
    pool = network.role("inside" if inside else "edge")
    resp = pool[rng.permutation(len(pool))[np.arange(rows) % len(pool)]]
    absent = np.isin(resp, network.role("absent")) if inside else rng.random(rows) < 0.85
    shape = np.where(absent, _of("probe_absent")[0], _of("probe_closed", "probe_open")[rng.integers(0, 2, rows)])
    ports = np.array(PROBED)[np.minimum(rng.geometric(0.12, 1) - 1, len(PROBED) - 1)]
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(-2.3, 0.6)), 0.9)
    return Intent(ts, np.full(rows, source), resp, shape, port=np.full(rows, ports[0]))


def _vertical_scan(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """One host, many ports."""
    source, inside = _attacker(rng, network, 0.6)
    resp = int(_pick(rng, network.role("managed" if inside else "web")))
    known = np.array(PROBED)[rng.integers(0, len(PROBED), rows)]
    port = np.where(rng.random(rows) < 0.55, known, any_port(rng, rows))
    choice = rng.random(rows)
    shape = np.where(choice < (0.62 if inside else 0.25), _of("probe_closed")[0], _of("probe_absent")[0])
    shape = np.where(choice > 0.88, _of("probe_open")[0], shape)
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(-2.3, 0.4)), 0.9)
    return Intent(ts, np.full(rows, source), np.full(rows, resp), shape, port=port)


def _slow_scan(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """A probe every minute or so, among what fails anyway."""
    wide = rng.random() < 0.5
    scan = (_horizontal_scan if wide else _vertical_scan)(rng, network, rows)
    scan.ts = _elapsed(rng, rows, float(10 ** rng.uniform(1.1, 2.2)), 1.0)
    return scan


def _ssh_brute_force(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """Password guessing, from one try a second to one a minute; now and then a guess is right."""
    source, inside = _attacker(rng, network, 0.4)
    pool = network.role("managed" if inside else "web")
    few = _pick(rng, pool, int(rng.integers(1, 4)))
    shape = np.where(rng.random(rows) < 0.97, _of("ssh_denied")[0], _of("ssh_job")[0])
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(-0.3, 1.3)), 0.7)
    return Intent(ts, np.full(rows, source), _pick(rng, few, rows), shape)


def _beacon(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """Calls home over HTTPS at an interval with jitter, small both ways; sometimes a task comes back."""
    source = int(_pick(rng, network.role("workstation")))
    home = _pick(rng, network.role("site" if rng.random() < 0.6 else "stranger"), 1 + int(rng.random() < 0.3))
    period, jitter = float(10 ** rng.uniform(1.3, 2.5)), float(rng.uniform(0.02, 0.4))
    ts = np.cumsum(period * (1.0 + jitter * rng.uniform(-1, 1, rows)))
    ts = ts - ts[0]
    shape = np.where(rng.random(rows) < 0.93, _of("tls_call")[0], _of("tls_page")[0])
    orig_scale = np.full(rows, rng.uniform(0.45, 1.0))
    resp_scale = np.full(rows, rng.uniform(0.2, 0.8))
    hold_scale = np.full(rows, 10 ** rng.uniform(-0.8, 0.4))
    intent = Intent(ts, np.full(rows, source), _pick(rng, home, rows), shape)
    intent.orig_scale, intent.resp_scale, intent.hold_scale = orig_scale, resp_scale, hold_scale
    return intent


def _exfiltration(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """Uploads over HTTPS to one place outside, in pieces like those of a cloud drive or larger."""
    source = int(_pick(rng, network.role("workstation" if rng.random() < 0.7 else "server")))
    home = int(_pick(rng, network.role("site" if rng.random() < 0.6 else "stranger")))
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(0.6, 2.3)), 1.0)
    scale = 10 ** rng.uniform(0.7, 2.3) * np.exp(-0.5 * rng.random(rows))
    shape = np.where(rng.random(rows) < 0.92, _of("tls_sync")[0], _of("tls_call")[0])
    return Intent(ts, np.full(rows, source), np.full(rows, home), shape, orig_scale=scale)


def _dns_tunnel(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """Data in the names of look-ups, through the resolvers; idle polling is slow, transfers are not."""
    source = int(_pick(rng, network.role("workstation")))
    resp = _pick(rng, network.role("resolver"), rows)
    if rng.random() < 0.12:
        resp = np.full(rows, _pick(rng, network.role("site")))
    busy = rng.random(rows) < rng.uniform(0.35, 0.9)
    gaps = np.where(busy, 0.12, float(10 ** rng.uniform(-0.4, 0.5))) * np.exp(0.7 * rng.standard_normal(rows))
    shape = np.where(rng.random(rows) < 0.95, _of("dns_long")[0], _of("dns")[0])
    intent = Intent(np.cumsum(gaps) - gaps[0], np.full(rows, source), resp, shape)
    intent.orig_scale = np.where(busy, rng.uniform(1.5, 2.2), rng.uniform(1.0, 1.4))
    intent.resp_scale = np.full(rows, rng.uniform(0.7, 1.6))
    return intent


def _syn_flood(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """Handshakes that nobody finishes, from many addresses or a few, against one public server."""
    pool = network.role("stranger")
    senders = pool if rng.random() < 0.6 else _pick(rng, pool, int(rng.integers(3, 40)))
    resp = int(_pick(rng, network.role("web")))
    mix = np.array([MIX_INDEX["dead"], MIX_INDEX["alive"], MIX_INDEX["noise"]])
    chosen = mix[np.searchsorted(np.cumsum([0.55, 0.15]), rng.random(rows))]
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(-2.5, -0.3)), 1.2)
    port = np.full(rows, 443 if rng.random() < 0.6 else 80)
    shape = np.full(rows, _of("knock")[0])
    return Intent(ts, _pick(rng, senders, rows), np.full(rows, resp), shape, mix=chosen, port=port)


def _lateral_movement(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """An infected workstation tries stolen credentials over SMB on its neighbours and copies itself."""
    source = int(_pick(rng, network.role("workstation")))
    pool = np.concatenate([network.role("workstation"), network.role("server"), network.role("file_server")])
    resp = _pick(rng, _pick(rng, pool, max(2, rows // 2)), rows)
    names = _of("smb_denied", "smb", "smb_copy", "rpc", "probe_absent", "probe_closed")
    choice = np.searchsorted(np.cumsum([0.22, 0.05, 0.09, 0.04, 0.40]), rng.random(rows))
    absent = _pick(rng, network.role("absent"), rows)
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(-1.2, 0.0)), 1.0)
    port = np.where(choice >= 4, 445, -1)
    return Intent(ts, np.full(rows, source), np.where(choice == 4, absent, resp), names[choice], port=port)


def _slowloris(rng: np.random.Generator, network: Network, rows: int) -> Intent:
    """Requests that never end, kept open by a trickle, from one or a few addresses."""
    senders = _pick(rng, network.role("stranger"), int(rng.integers(1, 5)))
    resp = int(_pick(rng, network.role("web")))
    ts = _elapsed(rng, rows, float(10 ** rng.uniform(-1.5, 0.0)), 1.0)
    intent = Intent(ts, _pick(rng, senders, rows), np.full(rows, resp), np.full(rows, _of("visit_slow")[0]))
    intent.mix = np.where(rng.random(rows) < 0.85, MIX_INDEX["stalled"], -1)
    intent.orig_scale, intent.resp_scale = np.full(rows, rng.uniform(0.5, 1.2)), np.full(rows, rng.uniform(0.05, 0.5))
    intent.hold_scale = np.full(rows, 10 ** rng.uniform(0.5, 1.3))
    return intent


ATTACKS: Final = (
    Attack("Horizontal-Scan", 0.16, 110, _horizontal_scan),
    Attack("Vertical-Scan", 0.14, 110, _vertical_scan),
    Attack("Slow-Scan", 0.06, 40, _slow_scan),
    Attack("SSH-Brute-Force", 0.14, 90, _ssh_brute_force),
    Attack("C2-Beacon", 0.13, 70, _beacon),
    Attack("Exfiltration", 0.04, 16, _exfiltration),
    Attack("DNS-Tunnel", 0.14, 110, _dns_tunnel),
    Attack("SYN-Flood", 0.12, 120, _syn_flood),
    Attack("SMB-Lateral-Movement", 0.035, 45, _lateral_movement, late=True),
    Attack("Slowloris", 0.035, 60, _slowloris, late=True),
)
"""Every kind of attack."""

_LATE: Final = 2.0 / 3.0
_FEWEST: Final = 6
"""Campaigns of a kind that happens all day, so that every part of the period has some."""


def plan_campaigns(rng: np.random.Generator, clock: Clock, rows: int) -> list[Campaign]:
    """Spread a number of malicious rows over kinds, campaigns and the period."""
    if rows == 0:
        return []
    campaigns = []
    split = allocate(rows, np.array([attack.weight for attack in ATTACKS]))
    for attack, total in zip(ATTACKS, split.tolist(), strict=True):
        campaigns.extend(_plan_kind(rng, clock, attack, total))
    return campaigns


def _plan_kind(rng: np.random.Generator, clock: Clock, attack: Attack, total: int) -> list[Campaign]:
    """Campaigns of one kind: uneven in size, one in each stretch of its time."""
    if total == 0:
        return []
    count = min(total, max(2 if attack.late else _FEWEST, round(total / attack.campaign)))
    sizes = 1 + allocate(total - count, 0.3 + rng.random(count))
    when = (np.arange(count) + rng.random(count)) / count
    profile = "office" if rng.random() < 0.5 else "world"
    begin = _LATE * clock.seconds
    starts = begin + when * (clock.seconds - begin) if attack.late else clock.at(profile, when)
    return [
        Campaign(attack.kind, attack.make, start, clock.seconds, size)
        for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]


def attack_intent(rng: np.random.Generator, network: Network, campaign: Campaign) -> Intent:
    """Give the intents of one campaign; one that would outlast the period hurries instead."""
    intent = campaign.make(rng, network, campaign.rows)
    room = (campaign.latest - campaign.start) * 0.999
    length = float(intent.ts[-1]) if len(intent.ts) else 0.0
    intent.ts = campaign.start + intent.ts * (room / length if length > room else 1.0)
    return intent
