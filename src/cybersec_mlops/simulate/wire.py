"""Turn the intent to connect into what a Zeek sensor would have logged: sizes, packets, times, states and histories.

Everything is vectorised over rows and follows Zeek's own rules: duration and payload bytes are unset for a connection of
a single packet, an ending decides what payload can have passed, packets follow from payload, acknowledgements and losses,
and IP bytes from payload and headers (https://docs.zeek.org/en/master/scripts/base/protocols/conn/main.zeek.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from cybersec_mlops.simulate.network import Flags, Floats, Ints, Network
from cybersec_mlops.simulate.shapes import BOTH, CUT, ENDINGS, ICMP, MIXES, NOTHING, PROTOCOLS, SHAPES, TCP, UDP

_SHAPES: Final = list(SHAPES.values())
_ENDINGS: Final = list(ENDINGS.values())
_ENDING_INDEX: Final = {name: index for index, name in enumerate(ENDINGS)}
MIX_INDEX: Final = {name: index for index, name in enumerate(MIXES)}

PROTO_VALUES: Final = list(PROTOCOLS)
STATE_VALUES: Final = sorted({ending.state for ending in _ENDINGS})
SERVICE_VALUES: Final = sorted({shape.service for shape in _SHAPES} | {"http"})
_LOSSES: Final = ("", "t", "T", "tt", "tT", "g")


def _lossy(history: str, loss: str) -> str:
    """Put retransmissions and gaps where Zeek first sees them: after the first payload of both."""
    return history[:6] + loss + history[6:] if len(history) >= 6 else history


_HISTORY_ROWS: Final = [[_lossy(ending.history, loss) for loss in _LOSSES] for ending in _ENDINGS]
HISTORY_VALUES: Final = sorted({history for row in _HISTORY_ROWS for history in row})
_HISTORY_CODE: Final = np.array([[HISTORY_VALUES.index(history) for history in row] for row in _HISTORY_ROWS])
_STATE_CODE: Final = np.array([STATE_VALUES.index(ending.state) for ending in _ENDINGS])
_PAYLOAD: Final = np.array([ending.payload for ending in _ENDINGS])
_CONTROL: Final = np.array([[ending.orig, ending.resp] for ending in _ENDINGS])
_HAS_SYN: Final = np.array([ending.history.startswith("S") for ending in _ENDINGS])
_HAS_SYNACK: Final = np.array(["h" in ending.history for ending in _ENDINGS])
_WIDTH: Final = max(len(mix) for mix in MIXES.values())
_MIX_ENDING: Final = np.zeros((len(MIXES), _WIDTH), dtype=np.int64)
_MIX_CUMULATIVE: Final = np.ones((len(MIXES), _WIDTH))
for _row, _mix in enumerate(MIXES.values()):
    _MIX_ENDING[_row, : len(_mix)] = [_ENDING_INDEX[name] for name in _mix]
    _MIX_ENDING[_row, len(_mix) :] = _MIX_ENDING[_row, 0]
    _MIX_CUMULATIVE[_row, : len(_mix)] = np.cumsum(list(_mix.values())) / sum(_mix.values())

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
_PORTS: Final = np.array([(shape.ports * 21)[:21] for shape in _SHAPES])
_WEB_SHAPES: Final = np.array([443 in shape.ports and 80 in shape.ports and shape.mix != "dead" for shape in _SHAPES])

_IDLE_TIMEOUTS: Final = np.array([5.0, 10.0, 15.0, 30.0, 60.0, 65.0, 90.0, 115.0, 120.0, 170.0, 240.0, 350.0])
_IDLE_SHARES: Final = np.cumsum([0.14, 0.12, 0.12, 0.10, 0.14, 0.06, 0.06, 0.10, 0.05, 0.07, 0.02, 0.02])
_RETRY_AFTER: Final = np.array([0.0, 0.0, 1.0, 3.0, 7.0, 15.0, 31.0])
"""Seconds between the first and the last SYN, by their number (RFC 6298: the timer doubles)."""
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
    """Intermediate columns of the rows under way."""

    rng: np.random.Generator
    network: Network
    intent: Intent
    proto: Ints
    ending: Ints
    orig_bytes: Ints
    resp_bytes: Ints
    turns: Ints
    rtt: Floats


def observe(rng: np.random.Generator, network: Network, intent: Intent) -> pl.DataFrame:
    """Give the log columns of a batch of connections, in the order of the intent.

    Parameters
    ----------
    rng : numpy.random.Generator
        Advanced by an amount that depends on the number of rows alone.
    network : Network
        The hosts that the intent's indices mean.
    intent : Intent
        One entry per connection.

    Returns
    -------
    polars.DataFrame
        Integer codes for hosts, protocol, service, state and history; ``ts_us`` Int64 microseconds from the start;
        what Zeek leaves unset is still there.
    """
    wire = _begin(rng, network, intent)
    frame = {
        "tcp": _tcp(wire),
        "udp": _udp(wire),
        "icmp": _icmp(wire),
    }
    choice = [wire.proto == TCP, wire.proto == UDP, wire.proto == ICMP]
    merged = [np.select(choice, list(column)) for column in zip(*frame.values(), strict=True)]
    return _columns(wire, merged)


def _begin(rng: np.random.Generator, network: Network, intent: Intent) -> _Wire:
    """Draw ending, payload and turns."""
    rows, shape = len(intent.ts), intent.shape
    mix = _MIX[shape] if intent.mix is None else np.where(intent.mix >= 0, intent.mix, _MIX[shape])
    slot = (rng.random(rows)[:, None] > _MIX_CUMULATIVE[mix]).sum(axis=1)
    ending = _MIX_ENDING[mix, np.minimum(slot, _WIDTH - 1)]
    turns = 1 + rng.poisson(_TURNS[shape] - 1.0)
    shared = rng.standard_normal(rows)
    orig = _size(rng, _ORIG[shape], shared, intent.orig_scale)
    resp = _size(rng, _RESP[shape], shared, intent.resp_scale)
    payload = _PAYLOAD[ending]
    cut = np.where(payload == CUT, rng.random(rows), 1.0)
    orig = np.where(payload == NOTHING, 0, np.maximum(orig * cut, orig > 0)).astype(np.int64)
    resp = np.where(payload >= BOTH, np.maximum(resp * cut, resp > 0), 0).astype(np.int64)
    rtt = (network.rtt_s[intent.orig] + network.rtt_s[intent.resp]) * (0.9 + rng.exponential(0.15, rows))
    return _Wire(rng, network, intent, _PROTO[shape], ending, orig, resp, turns, rtt)


def _size(rng: np.random.Generator, size: Floats, shared: Floats, scale: Floats | None) -> Floats:
    """Draw a log-normal size; both directions of a connection share a quarter of their variance."""
    own = rng.standard_normal(len(shared))
    drawn = size[:, 0] * np.exp(size[:, 1] * (0.5 * shared + 0.866 * own))
    return np.minimum(drawn if scale is None else drawn * scale, _LARGEST)


def _hold(wire: _Wire) -> Floats:
    """Draw how long a connection lingers, in seconds."""
    shape, rows = wire.intent.shape, len(wire.proto)
    lingers = _HOLD[shape, 0] * np.exp(_HOLD[shape, 1] * wire.rng.standard_normal(rows))
    idle = _IDLE_TIMEOUTS[np.minimum(np.searchsorted(_IDLE_SHARES, wire.rng.random(rows)), 11)]
    idle = idle * (1.0 + np.abs(0.004 * wire.rng.standard_normal(rows))) + wire.rng.exponential(0.2, rows)
    hold = np.where(wire.rng.random(rows) < _KEEP[shape], idle, lingers)
    return hold if wire.intent.hold_scale is None else hold * wire.intent.hold_scale


Sides = tuple[Floats, Ints, Ints, Ints, Ints, Ints, Ints]
"""duration_s, orig_pkts, resp_pkts, orig_ip_bytes, resp_ip_bytes, missed_bytes, loss code."""


def _tcp(wire: _Wire) -> Sides:
    rng, rows, ending = wire.rng, len(wire.proto), wire.ending
    orig_header, resp_header = _headers(wire)
    talks = _PAYLOAD[ending] != NOTHING
    orig_data = _segments(wire.orig_bytes, 1480 - orig_header, wire.turns)
    resp_data = _segments(wire.resp_bytes, 1480 - resp_header, wire.turns)
    lossiness = np.where(wire.rtt > 0.003, 0.0006, 0.00003)
    lost_orig = rng.poisson(np.minimum(orig_data * lossiness, 1e6))
    lost_resp = rng.poisson(np.minimum(resp_data * lossiness * 2.0, 1e6))
    gap = np.where((resp_data > 6) & (rng.random(rows) < 0.006), 1 + rng.integers(0, 4, rows), 0)
    ack_every = 1.0 + rng.random(rows)
    syns = 1 + (rng.random(rows)[:, None] > np.array([0.42, 0.55, 0.86, 0.95, 0.985])).sum(axis=1)
    unanswered = ending == _ENDING_INDEX["unanswered"]
    refused = ending == _ENDING_INDEX["refused"]
    tries = np.where(unanswered, syns, np.where(refused, np.where(rng.random(rows) < 0.25, 3, 1), 0))
    repeats = np.where(ending == _ENDING_INDEX["half_open"], rng.integers(0, 5, rows), 0)
    bare_acks = np.where(talks, 1, 0)
    orig = _CONTROL[ending, 0] + tries + orig_data + lost_orig + (resp_data / ack_every).astype(np.int64)
    resp = _CONTROL[ending, 1] + np.where(refused, tries, 0) + resp_data + lost_resp + repeats + bare_acks
    resp = resp + (orig_data / ack_every).astype(np.int64) - gap
    crafted = rng.random(rows) < 0.5
    options = _syn_options(wire, orig_header, crafted)
    orig_ip = wire.orig_bytes + orig * orig_header + lost_orig * 700
    orig_ip = orig_ip + np.where(_HAS_SYN[ending], np.where(tries > 0, tries, 1) * options, 0)
    missed = gap * 1448
    resp_ip = wire.resp_bytes + resp * resp_header + lost_resp * 1100 - np.minimum(missed, wire.resp_bytes)
    resp_ip = resp_ip + np.where(_HAS_SYNACK[ending], (1 + repeats) * options, 0)
    resp_ip = np.where(refused, tries * (network_header(wire) + 20), resp_ip)
    missed = np.minimum(missed, wire.resp_bytes)
    loss = np.where(lost_resp > 0, 1, 0) + np.where(lost_orig > 0, 2, 0)
    loss = np.where(loss == 3, 4, np.where((loss == 1) & (lost_resp > 2), 3, loss))
    loss = np.where(gap > 0, 5, loss)
    duration = _tcp_duration(wire, tries, repeats, lost_orig + lost_resp)
    return duration, orig, resp, orig_ip, resp_ip, missed, loss


def _segments(size: Ints, room: Ints, turns: Ints) -> Ints:
    """Count data packets: full segments, and at least one per turn."""
    full = -(-size // room)
    return np.where(size > 0, np.maximum(full, np.minimum(turns, size)), 0)


def network_header(wire: _Wire) -> Ints:
    """IP header bytes of each connection."""
    return wire.network.ip_header[wire.intent.orig]


def _headers(wire: _Wire) -> tuple[Ints, Ints]:
    """IP and TCP header bytes per packet; time stamps are used only if both ends have them."""
    both = np.minimum(wire.network.tcp_header[wire.intent.orig], wire.network.tcp_header[wire.intent.resp])
    header = network_header(wire) + both
    return header, header


def _syn_options(wire: _Wire, header: Ints, crafted: Flags) -> Ints:
    """Bytes of TCP options in a SYN beyond those of later packets; scanners' own stacks send few."""
    usual = np.where(header - network_header(wire) > 20, 8, 12)
    probing = np.isin(wire.intent.shape, _PROBING)
    return np.where(probing & crafted, np.where(header - network_header(wire) > 20, 0, 4), usual)


_PROBING: Final = np.array([index for index, name in enumerate(SHAPES) if name.startswith(("probe", "knock"))])


def _tcp_duration(wire: _Wire, tries: Ints, repeats: Ints, losses: Ints) -> Floats:
    rng, rows = wire.rng, len(wire.proto)
    rate = np.where(wire.rtt > 0.003, 2.0e6, 4.0e7) * np.exp(0.9 * rng.standard_normal(rows))
    talk = wire.rtt * (1.5 + wire.turns * rng.uniform(0.6, 1.4, rows)) + (wire.orig_bytes + wire.resp_bytes) / rate
    talk = talk + _hold(wire) + losses * 0.2 * rng.random(rows)
    touch = wire.rtt * rng.uniform(1.0, 2.2, rows) + rng.exponential(0.002, rows)
    retry = _RETRY_AFTER[np.minimum(tries, 6)] * rng.uniform(0.98, 1.06, rows) + rng.uniform(0.001, 0.02, rows)
    reply = wire.rtt + np.where(tries > 1, rng.uniform(0.9, 1.1, rows), 0.0) + rng.exponential(0.0001, rows)
    kinds = [
        wire.ending == _ENDING_INDEX["unanswered"],
        wire.ending == _ENDING_INDEX["refused"],
        wire.ending == _ENDING_INDEX["half_open"],
        _PAYLOAD[wire.ending] == NOTHING,
    ]
    return np.select(kinds, [retry, reply, touch + repeats * rng.uniform(1.0, 7.0, rows), touch], talk)


def _udp(wire: _Wire) -> Sides:
    rng, rows = wire.rng, len(wire.proto)
    room = _PACKET[wire.intent.shape]
    repeat = np.where((wire.turns <= 2) & (wire.orig_bytes < 400) & (rng.random(rows) < 0.07), 2, 1)
    orig_bytes, resp_bytes = wire.orig_bytes * repeat, wire.resp_bytes * repeat
    wire.orig_bytes = np.where(wire.proto == UDP, orig_bytes, wire.orig_bytes)
    wire.resp_bytes = np.where(wire.proto == UDP, resp_bytes, wire.resp_bytes)
    orig = np.where(orig_bytes > 0, np.maximum(-(-orig_bytes // room), np.minimum(wire.turns, 20) * repeat), 0)
    resp = np.where(resp_bytes > 0, np.maximum(-(-resp_bytes // room), np.minimum(wire.turns, 20) * repeat), 0)
    header = network_header(wire) + 8
    duration = np.where(resp_bytes > 0, wire.rtt, 0.0) + _hold(wire) + (orig_bytes + resp_bytes) / 8e6
    zero = np.zeros(rows, dtype=np.int64)
    return duration, orig, resp, orig_bytes + orig * header, resp_bytes + resp * header, zero, zero


def _icmp(wire: _Wire) -> Sides:
    rng, rows = wire.rng, len(wire.proto)
    orig = wire.turns
    resp = np.where(wire.resp_bytes > 0, orig, 0)
    orig_bytes, resp_bytes = wire.orig_bytes * orig, wire.orig_bytes * resp
    wire.orig_bytes = np.where(wire.proto == ICMP, orig_bytes, wire.orig_bytes)
    wire.resp_bytes = np.where(wire.proto == ICMP, resp_bytes, wire.resp_bytes)
    header = network_header(wire) + 8
    duration = np.where(resp > 0, wire.rtt, 0.0) + (orig - 1) * rng.uniform(0.995, 1.01, rows)
    zero = np.zeros(rows, dtype=np.int64)
    return duration, orig, resp, orig_bytes + orig * header, resp_bytes + resp * header, zero, zero


def _columns(wire: _Wire, merged: list[npt.NDArray[np.generic]]) -> pl.DataFrame:
    """Put the columns together."""
    duration, orig_pkts, resp_pkts, orig_ip, resp_ip, missed, loss = merged
    intent, rng, rows = wire.intent, wire.rng, len(wire.proto)
    own = _PORTS[intent.shape, rng.integers(0, 1 << 30, rows) % _PORT_COUNT[intent.shape]]
    port = own if intent.port is None else np.where(intent.port >= 0, intent.port, own)
    low, high = wire.network.port_low[intent.orig], wire.network.port_high[intent.orig]
    ephemeral = low + (rng.random(rows) * (high - low + 1)).astype(np.int64)
    fixed = _SOURCE_PORT[intent.shape]
    service = np.where(_WEB_SHAPES[intent.shape] & (port == 80), SERVICE_VALUES.index("http"), _SERVICE[intent.shape])
    spoken = (wire.orig_bytes > 0) & ((_PAYLOAD[wire.ending] >= BOTH) | (wire.proto == UDP))
    service = np.where(spoken, service, SERVICE_VALUES.index(""))
    duration_us = np.maximum(np.rint(np.minimum(duration, _LONGEST_S) * 1e6), 1.0).astype(np.int64)
    return pl.DataFrame(
        {
            "ts_us": np.rint(intent.ts * 1e6).astype(np.int64),
            "orig": intent.orig.astype(np.int32),
            "orig_p": np.where(fixed > 0, fixed, ephemeral).astype(np.int32),
            "resp": intent.resp.astype(np.int32),
            "resp_p": port.astype(np.int32),
            "proto": wire.proto.astype(np.uint8),
            "service": service.astype(np.uint8),
            "duration_us": duration_us,
            "orig_bytes": wire.orig_bytes,
            "resp_bytes": wire.resp_bytes,
            "state": _STATE_CODE[wire.ending].astype(np.uint8),
            "missed_bytes": missed.astype(np.int64),
            "history": _HISTORY_CODE[wire.ending, loss.astype(np.int64)].astype(np.uint8),
            "orig_pkts": orig_pkts.astype(np.int64),
            "orig_ip_bytes": orig_ip.astype(np.int64),
            "resp_pkts": resp_pkts.astype(np.int64),
            "resp_ip_bytes": resp_ip.astype(np.int64),
        }
    )
