"""What an organisation does all day: a table of activities, and the intents that they give.

It holds the confusers too, because benign traffic is never clean: monitoring that polls by the clock, agents that call home
like beacons, an IT vulnerability scan, nightly backups and cloud uploads, an administrator who mistypes passwords, clients
that trickle, name look-ups that are long, hosts that are gone, and the Internet's background radiation on the public edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np

from cybersec_mlops.simulate.clock import Clock
from cybersec_mlops.simulate.network import Floats, Ints, Network
from cybersec_mlops.simulate.shapes import SHAPE_INDEX
from cybersec_mlops.simulate.wire import Intent

BLOCK_ROWS: Final = 8192
"""Rows of one activity that are drawn together; it is part of what a seed means."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of connection that an activity makes, and to whom."""

    shape: str
    share: float
    target: str
    orig_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Activity:
    """A benign stream of connections."""

    name: str
    weight: float
    """Share of the benign rows."""
    source: str
    parts: tuple[Part, ...]
    clock: str = "office"
    session: float = 1.0
    """Mean connections that one source makes together."""
    gap: tuple[float, float] = (0.5, 1.5)
    """Seconds between the connections of a session: median, sigma of the logarithm."""
    rotate: bool = False
    """Sources and targets take turns by the clock, so that each pair connects at a regular interval."""
    focus: bool = False
    """All connections of a session go to one target."""
    wander: bool = False
    """Targets are drawn evenly instead of by popularity."""
    stray: float = 0.0
    """Share of its probes that ask for any port instead of a usual one."""


ACTIVITIES: Final = (
    Activity("web", 0.360, "workstation", (
        Part("dns", 0.30, "resolver"), Part("tls_page", 0.44, "site"), Part("quic_page", 0.09, "site"),
        Part("http_page", 0.07, "site"), Part("tls_call", 0.07, "site"), Part("dns_long", 0.02, "resolver"),
        Part("http_download", 0.005, "site"), Part("tls_download", 0.005, "site")), session=14, gap=(0.35, 1.9)),
    Activity("web6", 0.035, "workstation6", (
        Part("tls_page", 0.75, "site6"), Part("quic_page", 0.25, "site6")), session=6, gap=(0.35, 1.9)),
    Activity("cloud_office", 0.075, "workstation", (
        Part("tls_call", 0.93, "site"), Part("tls_sync", 0.07, "site")), "office", rotate=True),
    Activity("cloud_sync", 0.016, "workstation", (
        Part("tls_sync", 0.75, "site", 4.0), Part("tls_call", 0.25, "site")), session=5, gap=(8, 1.5), focus=True),
    Activity("calls", 0.010, "workstation", (
        Part("stun", 0.7, "site"), Part("media", 0.3, "site")), session=5, gap=(0.4, 1.5)),
    Activity("agents", 0.020, "workstation", (Part("tls_call", 1.0, "site", 0.8),), "flat", rotate=True),
    Activity("devices", 0.040, "device", (
        Part("mqtt", 0.45, "site"), Part("tls_call", 0.35, "site", 0.7), Part("dns", 0.20, "site")), "flat", rotate=True),
    Activity("cameras", 0.012, "camera", (
        Part("video", 0.5, "server"), Part("dns", 0.3, "resolver"), Part("tls_call", 0.2, "site")), "flat", rotate=True),
    Activity("time", 0.018, "present", (Part("ntp", 0.7, "domain_controller"), Part("ntp", 0.3, "site")), "flat", rotate=True),
    Activity("resolution", 0.065, "resolver", (
        Part("dns", 0.90, "site"), Part("dns_long", 0.08, "site"), Part("dns_tcp", 0.02, "site")), session=3, gap=(0.05, 1)),
    Activity("reputation", 0.012, "workstation", (Part("dns_long", 1.0, "resolver", 1.25),), session=14, gap=(0.3, 1.6)),
    Activity("mail_checks", 0.009, "mail", (
        Part("dns_long", 0.6, "resolver"), Part("dns", 0.4, "resolver")), session=6, gap=(0.05, 1.2)),
    Activity("directory", 0.062, "workstation", (
        Part("kerberos", 0.25, "domain_controller"), Part("ldap", 0.25, "domain_controller"),
        Part("dns", 0.35, "resolver"), Part("rpc", 0.15, "domain_controller")), session=6, gap=(0.06, 1.5)),
    Activity("files", 0.045, "workstation", (
        Part("smb", 0.82, "file_server"), Part("smb_copy", 0.12, "file_server"), Part("smb_denied", 0.06, "file_server")),
        session=4, gap=(6, 1.6), focus=True),
    Activity("peers", 0.006, "workstation", (
        Part("smb", 0.45, "workstation"), Part("smb_denied", 0.25, "workstation"), Part("rpc", 0.3, "workstation")),
        session=3, gap=(2, 1.5), focus=True),
    Activity("deployment", 0.006, "server", (
        Part("smb_copy", 0.35, "workstation"), Part("smb", 0.3, "workstation"), Part("rpc", 0.2, "workstation"),
        Part("smb_denied", 0.05, "workstation"), Part("probe_absent", 0.1, "absent")), session=25, gap=(4, 1.0), wander=True),
    Activity("applications", 0.045, "server", (
        Part("database", 0.5, "server"), Part("service_call", 0.5, "server")), "flat", session=4, gap=(0.5, 1.8)),
    Activity("mail", 0.014, "mail", (
        Part("smtp", 0.75, "site"), Part("dns", 0.25, "resolver")), session=2, gap=(0.2, 1.0)),
    Activity("mail_in", 0.006, "stranger", (Part("smtp", 1.0, "web"),), session=1.5, gap=(2, 1.0)),
    Activity("mailboxes", 0.008, "workstation", (Part("imaps", 1.0, "site"),), rotate=True),
    Activity("admin", 0.007, "admin", (
        Part("ssh", 0.50, "managed"), Part("ssh_denied", 0.25, "managed"), Part("ssh_job", 0.17, "managed"),
        Part("rdp", 0.08, "server")), session=5, gap=(6, 1.5), focus=True),
    Activity("automation", 0.012, "monitor", (
        Part("ssh_job", 0.9, "managed"), Part("ssh_denied", 0.1, "managed")), "flat", session=18, gap=(1.2, 0.9), wander=True),
    Activity("remote", 0.004, "stranger", (
        Part("ssh", 0.35, "web"), Part("ssh_job", 0.35, "web"), Part("ssh_denied", 0.30, "web")), session=4, gap=(5, 1.3),
        focus=True),
    Activity("stale_key", 0.004, "server", (
        Part("ssh_denied", 0.9, "managed"), Part("ssh_job", 0.1, "managed")), "flat", session=16, gap=(9, 0.9), focus=True),
    Activity("monitoring", 0.045, "monitor", (
        Part("ping", 0.4, "managed"), Part("snmp", 0.3, "managed"), Part("probe_open", 0.2, "managed"),
        Part("probe_closed", 0.03, "managed"), Part("ping_absent", 0.04, "absent"), Part("probe_absent", 0.03, "absent")),
        "flat", rotate=True),
    Activity("logging", 0.010, "present", (Part("syslog", 1.0, "server"),), "flat"),
    Activity("chatter", 0.050, "workstation", (
        Part("mdns", 0.35, "multicast4"), Part("ssdp", 0.25, "multicast4"), Part("llmnr", 0.2, "multicast4"),
        Part("netbios", 0.15, "multicast4"), Part("dhcp", 0.05, "domain_controller")), session=3, gap=(1, 1.4)),
    Activity("chatter6", 0.018, "link_local", (
        Part("mdns", 0.6, "multicast6"), Part("llmnr", 0.4, "multicast6")), session=2, gap=(1, 1.2)),
    Activity("printing", 0.006, "workstation", (
        Part("print", 0.6, "printer"), Part("snmp", 0.4, "printer")), session=3, gap=(2, 1.2), focus=True),
    Activity("backups", 0.004, "server", (Part("backup", 0.85, "backup"), Part("tls_sync", 0.15, "site", 300.0)), "night",
        session=3, gap=(30, 1.2), focus=True),
    Activity("updates", 0.010, "workstation", (
        Part("tls_download", 0.4, "site"), Part("http_download", 0.25, "site"), Part("tls_call", 0.35, "site")),
        session=4, gap=(2, 1.5), focus=True),
    Activity("audit_scan", 0.006, "auditor", (
        Part("probe_closed", 0.42, "managed"), Part("probe_open", 0.23, "managed"), Part("probe_absent", 0.25, "absent"),
        Part("ping_absent", 0.05, "absent"), Part("ping", 0.05, "managed")), "night", session=110, gap=(0.05, 1.6), wander=True, stray=0.5),
    Activity("inventory", 0.006, "server", (
        Part("probe_absent", 0.4, "absent"), Part("probe_closed", 0.2, "workstation"), Part("probe_open", 0.15, "workstation"),
        Part("ping", 0.15, "workstation"), Part("ping_absent", 0.1, "absent")), "flat", session=30, gap=(0.5, 1.4), wander=True),
    Activity("gone", 0.022, "workstation", (
        Part("probe_absent", 0.55, "absent"), Part("probe_closed", 0.25, "server"), Part("probe_absent", 0.2, "site")),
        session=5, gap=(3, 1.6), focus=True),
    Activity("unreachable", 0.006, "present", (Part("unreachable", 1.0, "present"),), "flat", session=2),
    Activity("visitors", 0.052, "stranger", (
        Part("visit", 0.90, "web"), Part("visit_slow", 0.08, "web"), Part("knock", 0.02, "web")), "world", session=5,
        gap=(0.5, 1.6), focus=True),
    Activity("visitor_rush", 0.008, "stranger", (
        Part("visit", 0.72, "web"), Part("visit_slow", 0.08, "web"), Part("probe_absent", 0.20, "web")), "rush", session=2,
        gap=(0.4, 1.2), focus=True),
    Activity("radiation", 0.034, "stranger", (
        Part("knock", 0.90, "edge"), Part("ping", 0.02, "edge"), Part("stun", 0.03, "edge"), Part("dns", 0.02, "edge"),
        Part("ssh_denied", 0.03, "web")), "flat", session=1.6, gap=(1, 2.0), wander=True),
    Activity("crawlers", 0.010, "stranger", (
        Part("knock", 0.80, "edge"), Part("probe_open", 0.12, "web"), Part("visit", 0.08, "web")), "flat", session=18,
        gap=(0.4, 2.2), wander=True, stray=0.25),
)  # fmt: skip
"""The benign day."""

_PROBES: Final = np.array([SHAPE_INDEX[name] for name in ("probe_absent", "probe_closed", "probe_open", "knock")])


def allocate(total: int, weights: Floats) -> Ints:
    """Split a number of rows by weight; the parts add up exactly (largest remainder).

    >>> allocate(10, np.array([1.0, 1.0, 1.0])).tolist()
    [4, 3, 3]
    """
    exact = total * weights / weights.sum()
    rows = np.floor(exact).astype(np.int64)
    order = np.argsort(rows - exact, kind="stable")
    rows[order[: total - int(rows.sum())]] += 1
    return rows


def benign_intent(
    rng: np.random.Generator, network: Network, clock: Clock, activity: Activity, rows: int, first: int, count: int
) -> Intent:
    """Give the intents of one block of an activity.

    Parameters
    ----------
    rng : numpy.random.Generator
        Belongs to this block alone.
    network, clock : Network, Clock
        Who there is, and how busy each hour is.
    activity : Activity
        Line of the table.
    rows : int
        Rows of the activity in the whole simulation.
    first, count : int
        Which of them this block holds.
    """
    source_pool = network.role(activity.source)
    if activity.rotate:
        order = np.arange(first, first + count)
        quantile = np.clip((order + 0.5 + 0.6 * (rng.random(count) - 0.5)) / rows, 0.0, 1.0)
        source = source_pool[order % len(source_pool)]
        ts = clock.at(activity.clock, quantile)
        session = order % len(source_pool)
    else:
        session, source, ts = _sessions(rng, source_pool, clock, activity, rows, first, count)
    part = np.minimum(
        np.searchsorted(np.cumsum([p.share for p in activity.parts]), rng.random(count)), len(activity.parts) - 1
    )
    target = _targets(rng, network, activity, part, session, source)
    shape = np.array([SHAPE_INDEX[p.shape] for p in activity.parts])[part]
    scale = np.array([p.orig_scale for p in activity.parts])[part]
    return Intent(ts, source, target, shape, orig_scale=scale, port=_stray_ports(rng, activity, shape))


def any_port(rng: np.random.Generator, rows: int) -> Ints:
    """Draw ports as port scanners do: low ones are tried more often.

    >>> ports = any_port(np.random.default_rng(1), 1000)
    >>> bool(ports.min() >= 1 and ports.max() <= 65535 and np.median(ports) < 5000)
    True
    """
    return np.floor(65_536.0 ** (0.35 + 0.65 * rng.random(rows))).astype(np.int64).clip(1, 65_535)


def _stray_ports(rng: np.random.Generator, activity: Activity, shape: Ints) -> Ints | None:
    if not activity.stray:
        return None
    strays = (rng.random(len(shape)) < activity.stray) & np.isin(shape, _PROBES)
    return np.where(strays, any_port(rng, len(shape)), -1)


def _sessions(
    rng: np.random.Generator, pool: Ints, clock: Clock, activity: Activity, rows: int, first: int, count: int
) -> tuple[Ints, Ints, Floats]:
    """Group the rows of a block into sessions, each with one source and a start."""
    begins = rng.random(count) < 1.0 / activity.session
    begins[0] = True
    session = np.cumsum(begins) - 1
    sessions = int(session[-1]) + 1
    rank = _popular(rng.random(sessions), len(pool), 0.2) + crc32(activity.name.encode())  # who is busiest differs
    source = pool[rank % len(pool)][session]
    start = clock.at(activity.clock, (first + rng.random(sessions) * count) / rows)[session]
    gap = activity.gap[0] * np.exp(activity.gap[1] * rng.standard_normal(count))
    gap[begins] = 0.0
    elapsed = np.cumsum(gap)
    ts = start + elapsed - elapsed[begins][session]
    return session, source, clock.fold(start, ts, rng.random(count))


def _popular(draw: Floats, size: int, skew: float) -> Ints:
    """Turn even draws into ranks: log-uniform (Zipf) with probability `skew` pooled with even ones."""
    zipf = size ** np.clip(draw / max(skew, 1e-9), 0.0, 1.0) - 1.0
    even = (draw - skew) / max(1.0 - skew, 1e-9) * size
    return np.clip(np.where(draw < skew, zipf, even), 0, size - 1).astype(np.int64)


def _targets(
    rng: np.random.Generator, network: Network, activity: Activity, part: Ints, session: Ints, source: Ints
) -> Ints:
    """Choose whom each row connects to."""
    draw = rng.random(len(part))
    if activity.focus or activity.rotate:
        # one target per session (or per source, for what goes by the clock), changed now and then
        key = session if activity.focus else source
        sticky = np.modf(key * 0.6180339887498949 + source * 0.7548776662466927)[0]
        draw = np.where(draw < (0.97 if activity.focus else 0.85), sticky, draw)
    target = np.zeros(len(part), dtype=np.int64)
    for index, piece in enumerate(activity.parts):
        pool = network.role(piece.target)
        rank = _popular(draw, len(pool), 0.0 if activity.wander else 0.75)
        target = np.where(part == index, pool[rank], target)
    itself = target == source
    inside = network.role("server")
    return np.where(itself, inside[(source + 1) % len(inside)], target)
