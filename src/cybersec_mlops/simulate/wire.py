"""Turn the intent to connect into what a Zeek sensor would have logged: sizes, packets, times, states and histories.

Everything is vectorised over rows. An ending decides what payload can have passed; packets follow from payload, turns,
acknowledgements and losses; IP bytes from payload and headers; durations from round trips, bytes and how long the
connection is held (Zeek manual, conn.log: https://docs.zeek.org/en/master/logs/conn.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from cybersec_mlops.simulate.network import Flags, Floats, Ints, Network
from cybersec_mlops.simulate.shapes import BOTH, CUT, ENDINGS, ICMP, MIXES, NOTHING, PROTOCOLS, SHAPES, UDP

_SHAPES: Final = list(SHAPES.values())
_ENDINGS: Final = list(ENDINGS.values())
MIX_INDEX: Final = {name: index for index, name in enumerate(MIXES)}

PROTO_VALUES: Final = list(PROTOCOLS)
STATE_VALUES: Final = sorted({ending.state for ending in _ENDINGS})
SERVICE_VALUES: Final = sorted({shape.service for shape in _SHAPES} | {"http"})
_UNKNOWN_SERVICE: Final = SERVICE_VALUES.index("")

_LOSSES: Final = ("", "t", "T", "tt", "tT", "g")


def _lossy(history: str, loss: str) -> str:
    """Put retransmissions and gaps where Zeek first sees them: after the first payload of both."""
    return history[:6] + loss + history[6:] if len(history) >= 6 else history


_HISTORIES: Final = [[_lossy(ending.history, loss) for loss in _LOSSES] for ending in _ENDINGS]
HISTORY_VALUES: Final = sorted({history for row in _HISTORIES for history in row})
_HISTORY: Final = np.array([[HISTORY_VALUES.index(history) for history in row] for row in _HISTORIES])

_ENDING_INDEX: Final = {name: index for index, name in enumerate(ENDINGS)}
_UNANSWERED: Final = _ENDING_INDEX["unanswered"]
_REFUSED: Final = _ENDING_INDEX["refused"]
_HALF_OPEN: Final = _ENDING_INDEX["half_open"]
_STATE: Final = np.array([STATE_VALUES.index(ending.state) for ending in _ENDINGS])
_PAYLOAD: Final = np.array([ending.payload for ending in _ENDINGS])
_CONTROL: Final = np.array([[ending.orig, ending.resp] for ending in _ENDINGS])
_HAS_SYN: Final = np.array([ending.history.startswith("S") for ending in _ENDINGS])
_HAS_SYNACK: Final = np.array(["h" in ending.history for ending in _ENDINGS])

_WIDTH: Final = max(len(mix) for mix in MIXES.values())
_MIX_ENDING: Final = np.array(
    [[*(_ENDING_INDEX[name] for name in mix), *[0] * (_WIDTH - len(mix))] for mix in MIXES.values()]
)
_MIX_CUMULATIVE: Final = np.array(
    [
        [*(np.cumsum(list(mix.values())) / sum(mix.values()))[:-1], *[1.0] * (_WIDTH - len(mix) + 1)]
        for mix in MIXES.values()
    ]
)

_PROTO: Final = np.array([shape.proto for shape in _SHAPES])
_ORIG: Final = np.array([shape.orig for shape in _SHAPES])
_RESP: Final = np.array([shape.resp for shape in _SHAPES])
_HOLD: Final = np.array([shape.hold for shape in _SHAPES])
_KEEP: Final = np.array([shape.keep for shape in _SHAPES])
_TURNS: Final = np.array([shape.turns for shape in _SHAPES])
_MIX: Final = np.array([MIX_INDEX[shape.mix] for shape in _SHAPES])
_SOURCE_PORT: Final = np.array([shape.source_port for shape in _SHAPES])
_PACKET: Final = np.array([shape.packet for shape in _SHAPES])
_SERVICE: Final = np.array([SERVICE_VALUES.index(shape.service) for shape in _SHAPES])
_PORT_COUNT: Final = np.array([len(shape.ports) for shape in _SHAPES])
_MOST_PORTS: Final = int(_PORT_COUNT.max())
_PORTS: Final = np.array([(shape.ports * _MOST_PORTS)[:_MOST_PORTS] for shape in _SHAPES])
_IS_VISIT: Final = np.array([name.startswith("visit") for name in SHAPES])
_IS_PROBE: Final = np.array([name.startswith(("probe", "knock")) for name in SHAPES])

_IDLE_TIMEOUTS: Final = np.array([5.0, 10.0, 15.0, 30.0, 60.0, 65.0, 90.0, 115.0, 120.0, 170.0, 240.0, 350.0])
_IDLE_SHARES: Final = np.cumsum([0.14, 0.12, 0.12, 0.10, 0.14, 0.06, 0.06, 0.10, 0.05, 0.07, 0.02])
_SYN_SHARES: Final = np.array([0.42, 0.55, 0.86, 0.95, 0.985])
_RETRY_AFTER: Final = np.array([0.0, 0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
"""Seconds between the first and the last SYN, by their number (RFC 6298: the timer doubles)."""
_FAR_S: Final = 0.003
"""A round trip that is longer leaves the building."""
_LONGEST_S: Final = 86_400.0
_LARGEST: Final = 4e10


@dataclass(slots=True)
class Intent:
    """Who wants to connect to whom, when and how; one array entry per connection."""

    ts: Floats
    """Start in seconds from the beginning of the simulation."""
    orig: Ints
    resp: Ints
    shape: Ints
    mix: Ints | None = None
    """Index into MIXES where the circumstances differ from the shape's own; -1 keeps it."""
    orig_scale: Floats | None = None
    resp_scale: Floats | None = None
    hold_scale: Floats | None = None
    port: Ints | None = None
    """Responder port where it is not the shape's own; -1 keeps it."""


@dataclass(slots=True)
class _Wire:
    """Columns of the rows under way."""

    rng: np.random.Generator
    network: Network
    intent: Intent
    proto: Ints
    ending: Ints
    payload: Ints
    orig_bytes: Ints
    resp_bytes: Ints
    turns: Ints
    rtt: Floats
    hold: Floats

    @property
    def rows(self) -> int:
        return len(self.proto)

    @property
    def ip_header(self) -> Ints:
        return self.network.ip_header[self.intent.orig]


@dataclass(slots=True)
class _Seen:
    """What the sensor counts of a connection."""

    duration_s: Floats
    orig_bytes: Ints
    resp_bytes: Ints
    orig_pkts: Ints
    resp_pkts: Ints
    orig_ip_bytes: Ints
    resp_ip_bytes: Ints
    missed_bytes: Ints
    loss: Ints
    """Index into the ways in which losses show in the history."""


_SEEN: Final = tuple(_Seen.__slots__)


def observe(rng: np.random.Generator, network: Network, intent: Intent) -> pl.DataFrame:
    """Give the log columns of a batch of connections, in the order of the intent.

    Parameters
    ----------
    rng : numpy.random.Generator
        The only source of chance.
    network : Network
        The hosts that the intent's indices mean.
    intent : Intent
        One entry per connection.

    Returns
    -------
    polars.DataFrame
        Integer codes for hosts, protocol, service, state and history; ``ts_us`` Int64 microseconds from the start and
        ``duration_us`` Int64. What Zeek leaves unset for a single packet is still there.
    """
    wire = _begin(rng, network, intent)
    tcp, udp, icmp = _tcp(wire), _udp(wire), _icmp(wire)
    is_udp, is_icmp = wire.proto == UDP, wire.proto == ICMP
    seen = {
        name: np.where(is_udp, getattr(udp, name), np.where(is_icmp, getattr(icmp, name), getattr(tcp, name)))
        for name in _SEEN
    }
    return _columns(wire, seen)


def _begin(rng: np.random.Generator, network: Network, intent: Intent) -> _Wire:
    """Draw ending, payload, turns and times."""
    rows, shape = len(intent.ts), intent.shape
    mix = _MIX[shape] if intent.mix is None else np.where(intent.mix >= 0, intent.mix, _MIX[shape])
    ending = _MIX_ENDING[mix, (rng.random(rows)[:, None] > _MIX_CUMULATIVE[mix]).sum(axis=1)]
    payload = _PAYLOAD[ending]
    shared = rng.standard_normal(rows)
    cut = np.where(payload == CUT, rng.random(rows), 1.0)
    orig = _size(rng, _ORIG[shape], shared, intent.orig_scale, cut)
    resp = _size(rng, _RESP[shape], shared, intent.resp_scale, cut)
    rtt = network.rtt_s[intent.orig] + network.rtt_s[intent.resp]
    return _Wire(
        rng,
        network,
        intent,
        proto=_PROTO[shape],
        ending=ending,
        payload=payload,
        orig_bytes=np.where(payload == NOTHING, 0, orig),
        resp_bytes=np.where(payload >= BOTH, resp, 0),
        turns=1 + rng.poisson(_TURNS[shape] - 1.0),
        rtt=rtt * (0.9 + rng.exponential(0.15, rows)),
        hold=_hold(rng, intent),
    )


def _size(rng: np.random.Generator, size: Floats, shared: Floats, scale: Floats | None, cut: Floats) -> Ints:
    """Draw a log-normal size; both directions of a connection share a quarter of their variance."""
    own = rng.standard_normal(len(shared))
    drawn = size[:, 0] * np.exp(size[:, 1] * (0.5 * shared + 0.866 * own)) * cut
    drawn = np.minimum(drawn if scale is None else drawn * scale, _LARGEST)
    at_least_one: Floats = np.where(size[:, 0] > 0, np.maximum(drawn, 1.0), 0.0)
    return at_least_one.astype(np.int64)


def _hold(rng: np.random.Generator, intent: Intent) -> Floats:
    """Draw how long a connection lingers, in seconds."""
    shape, rows = intent.shape, len(intent.ts)
    lingers = _HOLD[shape, 0] * np.exp(_HOLD[shape, 1] * rng.standard_normal(rows))
    idle = _IDLE_TIMEOUTS[np.searchsorted(_IDLE_SHARES, rng.random(rows))]
    idle = idle * (1.0 + np.abs(0.004 * rng.standard_normal(rows))) + rng.exponential(0.2, rows)
    hold: Floats = np.where(rng.random(rows) < _KEEP[shape], idle, lingers)
    return hold if intent.hold_scale is None else hold * intent.hold_scale


def _tcp(wire: _Wire) -> _Seen:
    rng, rows, ending = wire.rng, wire.rows, wire.ending
    stamps = np.minimum(wire.network.tcp_header[wire.intent.orig], wire.network.tcp_header[wire.intent.resp])
    header = wire.ip_header + stamps
    orig_data = _segments(wire.orig_bytes, 1480 - header, wire.turns)
    resp_data = _segments(wire.resp_bytes, 1480 - header, wire.turns)
    tries, repeats = _attempts(wire)
    lost_orig, lost_resp, gap = _losses(wire, orig_data, resp_data)
    ack_every = 1.0 + rng.random(rows)
    orig = _CONTROL[ending, 0] + tries + orig_data + lost_orig + (resp_data / ack_every).astype(np.int64)
    resp = _CONTROL[ending, 1] + repeats + resp_data + lost_resp + (orig_data / ack_every).astype(np.int64) - gap
    resp = resp + (wire.payload != NOTHING) + np.where(ending == _REFUSED, tries, 0)
    options = _syn_options(wire, stamps)
    missed = np.minimum(gap * 1448, wire.resp_bytes)
    syns = np.where(_HAS_SYN[ending], np.maximum(tries, 1), 0)
    synacks = np.where(_HAS_SYNACK[ending], 1 + repeats, 0)
    resp_ip = wire.resp_bytes - missed + resp * header + synacks * options + lost_resp * 1100
    return _Seen(
        _tcp_duration(wire, tries, repeats, lost_orig + lost_resp),
        wire.orig_bytes,
        wire.resp_bytes,
        orig,
        resp,
        wire.orig_bytes + orig * header + syns * options + lost_orig * 700,
        np.where(ending == _REFUSED, resp * (wire.ip_header + 20), resp_ip),
        missed,
        _loss_code(lost_orig, lost_resp, gap),
    )


def _segments(size: Ints, room: Ints, turns: Ints) -> Ints:
    """Count data packets: full segments, and at least one per turn."""
    return np.where(size > 0, np.maximum(-(-size // room), np.minimum(turns, size)), 0)


def _attempts(wire: _Wire) -> tuple[Ints, Ints]:
    """Count the SYNs of what is not answered or refused, and the repeated SYN-ACKs of what is left half open."""
    syns = 1 + (wire.rng.random(wire.rows)[:, None] > _SYN_SHARES).sum(axis=1)
    refusals = np.where(wire.rng.random(wire.rows) < 0.25, 3, 1)
    tries = np.where(wire.ending == _UNANSWERED, syns, np.where(wire.ending == _REFUSED, refusals, 0))
    return tries, np.where(wire.ending == _HALF_OPEN, wire.rng.integers(0, 5, wire.rows), 0)


def _losses(wire: _Wire, orig_data: Ints, resp_data: Ints) -> tuple[Ints, Ints, Ints]:
    """Draw retransmitted packets of both sides, and packets that the sensor itself missed."""
    rate = np.where(wire.rtt > _FAR_S, 0.0006, 0.00003)
    lost_orig = wire.rng.poisson(np.minimum(orig_data * rate, 1e6))
    lost_resp = wire.rng.poisson(np.minimum(resp_data * rate * 2.0, 1e6))
    missed = (resp_data > 6) & (wire.rng.random(wire.rows) < 0.006)
    return lost_orig, lost_resp, np.where(missed, wire.rng.integers(1, 5, wire.rows), 0)


def _loss_code(lost_orig: Ints, lost_resp: Ints, gap: Ints) -> Ints:
    from_resp = np.where(lost_resp > 2, 3, 1)
    code = np.where(lost_orig > 0, np.where(lost_resp > 0, 4, 2), np.where(lost_resp > 0, from_resp, 0))
    return np.where(gap > 0, 5, code)


def _syn_options(wire: _Wire, stamps: Ints) -> Ints:
    """Bytes of TCP options in a SYN beyond those of later packets; the stacks of scanners send few or none."""
    crafted: Flags = _IS_PROBE[wire.intent.shape] & (wire.rng.random(wire.rows) < 0.5)
    return np.where(crafted, np.where(stamps > 20, 0, 4), np.where(stamps > 20, 8, 12))


def _tcp_duration(wire: _Wire, tries: Ints, repeats: Ints, losses: Ints) -> Floats:
    rng, rows, ending = wire.rng, wire.rows, wire.ending
    rate = np.where(wire.rtt > _FAR_S, 2.0e6, 4.0e7) * np.exp(0.9 * rng.standard_normal(rows))
    talk = wire.rtt * (1.5 + wire.turns * rng.uniform(0.6, 1.4, rows)) + (wire.orig_bytes + wire.resp_bytes) / rate
    talk = talk + wire.hold + losses * 0.2 * rng.random(rows)
    touch = wire.rtt * rng.uniform(1.0, 2.2, rows) + rng.exponential(0.002, rows)
    touch = touch + repeats * rng.uniform(1.0, 7.0, rows)
    retry = _RETRY_AFTER[np.minimum(tries, 6)] * rng.uniform(0.98, 1.06, rows) + rng.uniform(0.001, 0.02, rows)
    reply = wire.rtt + np.where(tries > 1, rng.uniform(0.9, 1.1, rows), 0.0) + rng.exponential(0.0001, rows)
    silent = np.where(ending == _UNANSWERED, retry, np.where(ending == _REFUSED, reply, touch))
    return np.where(wire.payload == NOTHING, silent, talk)


def _udp(wire: _Wire) -> _Seen:
    """Datagrams both ways; a small question is sometimes asked twice (A and AAAA from one port)."""
    twice = (wire.turns <= 2) & (wire.orig_bytes < 400) & (wire.rng.random(wire.rows) < 0.07)
    repeat = np.where(twice, 2, 1)
    room, turns = _PACKET[wire.intent.shape], np.minimum(wire.turns, 20) * repeat
    orig_bytes, resp_bytes = wire.orig_bytes * repeat, wire.resp_bytes * repeat
    orig = np.where(orig_bytes > 0, np.maximum(-(-orig_bytes // room), turns), 0)
    resp = np.where(resp_bytes > 0, np.maximum(-(-resp_bytes // room), turns), 0)
    duration = np.where(resp_bytes > 0, wire.rtt, 0.0) + wire.hold + (orig_bytes + resp_bytes) / 8e6
    return _datagrams(wire, duration, orig_bytes, resp_bytes, orig, resp)


def _icmp(wire: _Wire) -> _Seen:
    """A packet a second; an echo carries back what it brought."""
    orig, resp = wire.turns, np.where(wire.resp_bytes > 0, wire.turns, 0)
    duration = np.where(resp > 0, wire.rtt, 0.0) + (orig - 1) * wire.rng.uniform(0.995, 1.01, wire.rows)
    return _datagrams(wire, duration, wire.orig_bytes * orig, wire.orig_bytes * resp, orig, resp)


def _datagrams(wire: _Wire, duration: Floats, orig_bytes: Ints, resp_bytes: Ints, orig: Ints, resp: Ints) -> _Seen:
    header, zero = wire.ip_header + 8, np.zeros(wire.rows, dtype=np.int64)
    orig_ip, resp_ip = orig_bytes + orig * header, resp_bytes + resp * header
    return _Seen(duration, orig_bytes, resp_bytes, orig, resp, orig_ip, resp_ip, zero, zero)


def _columns(wire: _Wire, seen: dict[str, npt.NDArray[Any]]) -> pl.DataFrame:
    orig_p, resp_p = _ports(wire)
    small = {
        "orig_p": orig_p.astype(np.int32),
        "resp_p": resp_p.astype(np.int32),
        "orig": wire.intent.orig.astype(np.int32),
        "resp": wire.intent.resp.astype(np.int32),
        "proto": wire.proto.astype(np.uint8),
        "service": _services(wire, resp_p).astype(np.uint8),
        "state": _STATE[wire.ending].astype(np.uint8),
        "history": _HISTORY[wire.ending, seen["loss"]].astype(np.uint8),
    }
    duration = np.maximum(np.rint(np.minimum(seen["duration_s"], _LONGEST_S) * 1e6), 1.0)
    times = {"ts_us": np.rint(wire.intent.ts * 1e6).astype(np.int64), "duration_us": duration.astype(np.int64)}
    return pl.DataFrame(times | small | {name: seen[name] for name in _SEEN[1:-1]})


def _ports(wire: _Wire) -> tuple[Ints, Ints]:
    rng, shape, host = wire.rng, wire.intent.shape, wire.intent.orig
    low, high = wire.network.port_low[host], wire.network.port_high[host]
    ephemeral = low + (rng.random(wire.rows) * (high - low + 1)).astype(np.int64)
    own = _PORTS[shape, rng.integers(0, 1 << 30, wire.rows) % _PORT_COUNT[shape]]
    resp_p = own if wire.intent.port is None else np.where(wire.intent.port >= 0, wire.intent.port, own)
    return np.where(_SOURCE_PORT[shape] > 0, _SOURCE_PORT[shape], ephemeral), resp_p


def _services(wire: _Wire, resp_p: Ints) -> Ints:
    """Name the protocol where enough was said for Zeek to recognise it."""
    shape = wire.intent.shape
    service = np.where(_IS_VISIT[shape] & (resp_p == 80), SERVICE_VALUES.index("http"), _SERVICE[shape])
    spoken = (wire.orig_bytes > 0) & ((wire.payload >= BOTH) | (wire.proto == UDP))
    return np.where(spoken, service, _UNKNOWN_SERVICE)
