"""What a connection of each kind looks like on the wire: the table that benign and malicious traffic share.

A shape says ports, service, payload sizes, turns, and how the connection holds and ends. Attacks reuse the shapes of
benign traffic with another tempo, target and size, so that no value belongs to attacks alone. Sizes are log-normal: the
tails are heavy. Who talks to whom, and when, is not said here.

How near it is to real logs (benign rows of the default day | zeek-rita proxy_rolling 16:00 | zeek-small conn.json.log |
benign rows of zeek-labeled-strato 008; bytes as originator/responder medians):

=====================  ==============  ==============  ==============  ==============
share of tcp, udp      0.64, 0.34      0.44, 0.45      0.15, 0.79      1.00, 0.00
share of SF, S0        0.75, 0.12      0.84, 0.03      0.36, 0.57      0.48, 0.01
dns bytes              49/116          51/127          88/0            none
ssl bytes              1575/6701       1411/13134      1454/5712       2255/4074
ssl packets            19/18           29/26           19/16           22/16
ssl seconds            1.7             117             13              1.3
http bytes             730/3195        495/944         172/8902        537/891
=====================  ==============  ==============  ==============  ==============

The real ones differ from each other as much. What is poorer here: real histories have far more variants (resets and
retransmissions in any order, captures that begin in the middle), and real hosts far more habits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TCP: Final = 0
UDP: Final = 1
ICMP: Final = 2
PROTOCOLS: Final = ("tcp", "udp", "icmp")

NOTHING: Final = 0
REQUEST: Final = 1
BOTH: Final = 2
CUT: Final = 3
"""What an ending lets through: no payload, the request alone, both directions, both but cut short."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One way a connection ends, in Zeek's words.

    ``orig`` and ``resp`` count the control packets beside data and acknowledgements.
    """

    state: str
    history: str
    payload: int
    orig: int
    resp: int


ENDINGS: Final[dict[str, Ending]] = {
    "fin_orig": Ending("SF", "ShADadFf", BOTH, 4, 2),
    "fin_resp": Ending("SF", "ShADadfF", BOTH, 4, 2),
    "fin_reset": Ending("SF", "ShADadFRf", BOTH, 5, 2),
    "fin_late_reset": Ending("SF", "ShADadFfR", BOTH, 5, 2),
    "server_first": Ending("SF", "ShAdDaFf", BOTH, 4, 2),
    "server_first_resp": Ending("SF", "ShAdDafF", BOTH, 4, 2),
    "reset_orig": Ending("RSTO", "ShADadR", BOTH, 3, 1),
    "reset_orig_fin": Ending("RSTO", "ShADadfR", BOTH, 3, 2),
    "reset_resp": Ending("RSTR", "ShADadr", BOTH, 2, 2),
    "reset_resp_fin": Ending("RSTR", "ShADadFr", BOTH, 3, 2),
    "open": Ending("S1", "ShADad", CUT, 2, 1),
    "half_closed_orig": Ending("S2", "ShADadF", BOTH, 3, 1),
    "half_closed_resp": Ending("S3", "ShADadf", BOTH, 3, 2),
    "midstream": Ending("OTH", "DdAa", CUT, 0, 0),
    "waiting": Ending("S1", "ShADa", REQUEST, 2, 1),
    "waiting_reset_orig": Ending("RSTO", "ShADaR", REQUEST, 3, 1),
    "waiting_reset_resp": Ending("RSTR", "ShADar", REQUEST, 2, 2),
    "waiting_timeout": Ending("RSTR", "ShADaFr", REQUEST, 3, 2),
    "unanswered": Ending("S0", "S", NOTHING, 0, 0),
    "refused": Ending("REJ", "Sr", NOTHING, 0, 0),
    "abandoned": Ending("RSTOS0", "SR", NOTHING, 2, 0),
    "half_open": Ending("S1", "Sh", NOTHING, 1, 1),
    "half_open_reset": Ending("RSTO", "ShR", NOTHING, 2, 1),
    "touch_fin": Ending("SF", "ShAFf", NOTHING, 4, 2),
    "touch_fin_resp": Ending("SF", "ShAfF", NOTHING, 4, 2),
    "touch_reset": Ending("RSTO", "ShAR", NOTHING, 3, 1),
    "touch_reset_resp": Ending("RSTR", "ShAr", NOTHING, 2, 2),
    "no_syn": Ending("OTH", "h", NOTHING, 0, 1),
    "syn_fin": Ending("SH", "SF", NOTHING, 2, 0),
    "answered": Ending("SF", "Dd", BOTH, 0, 0),
    "silent": Ending("S0", "D", REQUEST, 0, 0),
    "echo": Ending("OTH", "", BOTH, 0, 0),
    "echo_lost": Ending("OTH", "", REQUEST, 0, 0),
}
"""Every way to end that is simulated; histories of lossy connections are derived from these."""

MIXES: Final[dict[str, dict[str, float]]] = {
    "web": {
        "fin_orig": 0.600, "fin_resp": 0.160, "fin_reset": 0.045, "fin_late_reset": 0.035, "reset_orig": 0.048,
        "reset_orig_fin": 0.015, "reset_resp": 0.014, "reset_resp_fin": 0.013, "open": 0.012, "half_closed_orig": 0.006,
        "half_closed_resp": 0.006, "waiting": 0.003, "waiting_reset_orig": 0.005, "waiting_reset_resp": 0.003,
        "waiting_timeout": 0.003, "unanswered": 0.014, "refused": 0.002, "touch_fin": 0.004, "touch_reset": 0.003,
        "touch_fin_resp": 0.002, "half_open": 0.001, "midstream": 0.004, "abandoned": 0.001, "syn_fin": 0.001,
    },
    "inside": {
        "fin_orig": 0.780, "fin_resp": 0.075, "reset_orig": 0.060, "reset_resp": 0.020, "open": 0.015,
        "half_closed_orig": 0.004, "half_closed_resp": 0.004, "midstream": 0.010, "unanswered": 0.008, "refused": 0.012,
        "touch_fin": 0.005, "touch_reset": 0.003, "waiting_reset_resp": 0.002, "waiting": 0.002,
    },
    "login": {
        "server_first": 0.640, "server_first_resp": 0.200, "reset_orig": 0.050, "reset_resp": 0.040, "open": 0.020,
        "half_closed_resp": 0.008, "unanswered": 0.012, "refused": 0.015, "touch_fin": 0.006, "touch_reset": 0.004,
        "midstream": 0.005,
    },
    "login_failed": {
        "server_first": 0.380, "server_first_resp": 0.390, "reset_orig": 0.100, "reset_resp": 0.085,
        "half_closed_resp": 0.010, "unanswered": 0.010, "refused": 0.012, "touch_fin": 0.006, "touch_reset_resp": 0.007,
    },
    "slow": {
        "fin_orig": 0.300, "fin_resp": 0.200, "reset_resp": 0.080, "reset_orig": 0.060, "open": 0.060, "waiting": 0.090,
        "waiting_reset_orig": 0.060, "waiting_timeout": 0.080, "waiting_reset_resp": 0.040, "unanswered": 0.020,
        "touch_fin_resp": 0.010,
    },
    "stalled": {
        "waiting": 0.190, "waiting_reset_orig": 0.150, "waiting_timeout": 0.250, "waiting_reset_resp": 0.130,
        "fin_resp": 0.050, "reset_resp_fin": 0.020, "unanswered": 0.150, "half_open": 0.060,
    },
    "dead": {"unanswered": 0.975, "abandoned": 0.010, "half_open": 0.005, "refused": 0.010},
    "closed": {"refused": 0.930, "unanswered": 0.070},
    "alive": {
        "touch_reset": 0.250, "touch_fin": 0.280, "half_open_reset": 0.220, "half_open": 0.050, "touch_fin_resp": 0.050,
        "touch_reset_resp": 0.030, "fin_orig": 0.060, "server_first_resp": 0.040, "refused": 0.020,
    },
    "noise": {
        "unanswered": 0.740, "refused": 0.120, "half_open_reset": 0.050, "abandoned": 0.020, "half_open": 0.020,
        "no_syn": 0.020, "touch_fin": 0.010, "touch_reset": 0.010, "syn_fin": 0.004, "midstream": 0.006,
    },
    "udp": {"answered": 0.985, "silent": 0.015},
    "udp_lossy": {"answered": 0.880, "silent": 0.120},
    "one_way": {"silent": 1.0},
    "ping": {"echo": 0.960, "echo_lost": 0.040},
    "ping_absent": {"echo_lost": 1.0},
}  # fmt: skip
"""Probabilities of the endings, by circumstance."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of connection; sizes in bytes as (median, sigma of the logarithm), times in seconds."""

    proto: int
    ports: tuple[int, ...]
    service: str = ""
    orig: tuple[float, float] = (0.0, 0.0)
    resp: tuple[float, float] = (0.0, 0.0)
    hold: tuple[float, float] = (0.05, 1.0)
    """How long the connection stays beyond what round trips and bytes need."""
    keep: float = 0.0
    """Share of connections that an idle timeout ends instead (5, 15, 30, 60, 115, 170 s ...)."""
    turns: float = 1.0
    """Mean number of request and response turns."""
    mix: str = "web"
    source_port: int = 0
    """Fixed originator port where the protocol has one; 0 is an ephemeral port."""
    packet: int = 1200
    """Largest UDP payload."""


PROBED: Final = (
    *(22, 23, 80, 443, 445, 3389, 8080, 21, 25, 135, 139, 1433, 3306, 5900, 8443, 5432, 6379, 9200, 2323, 5555, 81),
)
"""Ports that scanners of every kind ask for, benign and not."""

SHAPES: Final[dict[str, Shape]] = {
    "tls_page": Shape(TCP, (443,), "ssl", (1550, 0.47), (9500, 1.55), (0.15, 1.2), 0.50, 9),
    "tls_call": Shape(TCP, (443,), "ssl", (1650, 0.55), (5200, 0.65), (0.25, 1.3), 0.25, 7),
    "tls_sync": Shape(TCP, (443,), "ssl", (60_000, 2.3), (6500, 0.7), (1.0, 1.4), 0.30, 12),
    "tls_download": Shape(TCP, (443,), "ssl", (3000, 0.8), (2.5e6, 2.0), (0.5, 1.2), 0.3, 12),
    "http_page": Shape(TCP, (80,), "http", (470, 0.7), (1300, 1.7), (0.05, 1.2), 0.45, 2),
    "http_download": Shape(TCP, (80,), "http", (600, 0.7), (9e5, 2.2), (0.2, 1.2), 0.2, 3),
    "quic_page": Shape(UDP, (443,), "quic", (4600, 0.9), (16_000, 1.6), (3.0, 1.6), 0.4, 6, "udp"),
    "visit": Shape(TCP, (443, 443, 443, 80), "ssl", (1400, 0.6), (14_000, 1.4), (0.4, 1.4), 0.4, 7),
    "visit_slow": Shape(TCP, (443, 80), "ssl", (750, 0.8), (2500, 1.6), (25.0, 1.2), 0.3, 6, "slow"),
    "mqtt": Shape(TCP, (8883, 8883, 1883), "ssl", (1300, 0.5), (3300, 0.4), (20.0, 1.8), 0.2, 7),
    "dns": Shape(UDP, (53,), "dns", (44, 0.27), (118, 0.55), (0.004, 1.5), 0, 1, "udp"),
    "dns_long": Shape(UDP, (53,), "dns", (105, 0.42), (190, 0.60), (0.012, 1.2), 0, 1, "udp"),
    "dns_tcp": Shape(TCP, (53,), "dns", (70, 0.4), (1900, 0.5), (0.01, 1.0), 0, 1, "inside"),
    "ntp": Shape(UDP, (123,), "ntp", (48, 0.0), (48, 0.0), (0.0002, 1.0), 0, 1, "udp_lossy", 123),
    "snmp": Shape(UDP, (161,), "snmp", (90, 0.35), (210, 0.7), (0.003, 1.0), 0, 2, "udp"),
    "syslog": Shape(UDP, (514,), "syslog", (900, 1.2), (0, 0), (6.0, 1.3), 0, 5, "one_way"),
    "mdns": Shape(UDP, (5353,), "dns", (260, 0.8), (0, 0), (4.0, 1.6), 0, 2, "one_way", 5353),
    "ssdp": Shape(UDP, (1900,), "", (680, 0.15), (0, 0), (3.0, 0.05), 0, 4, "one_way"),
    "llmnr": Shape(UDP, (5355,), "dns", (44, 0.2), (0, 0), (0.4, 0.3), 0, 2, "one_way"),
    "netbios": Shape(UDP, (137, 137, 138), "dns", (150, 0.4), (0, 0), (1.5, 0.3), 0, 3, "one_way", 137),
    "dhcp": Shape(UDP, (67,), "dhcp", (320, 0.1), (330, 0.1), (0.02, 1.0), 0, 1, "udp_lossy", 68),
    "media": Shape(UDP, (3478, 3480, 8801), "", (4e6, 1.7), (6e6, 1.7), (300.0, 1.3), 0, 20, "udp", packet=1050),
    "stun": Shape(UDP, (3478, 19302), "", (90, 0.5), (110, 0.5), (0.4, 1.6), 0, 2, "udp_lossy"),
    "smb": Shape(TCP, (445,), "gssapi,smb", (5200, 1.3), (6800, 1.8), (8.0, 1.4), 0.2, 12, "inside"),
    "smb_denied": Shape(TCP, (445,), "gssapi,smb,ntlm", (1500, 0.4), (1300, 0.35), (0.2, 1.4), 0.1, 6, "inside"),
    "smb_copy": Shape(TCP, (445,), "gssapi,smb", (4e5, 1.8), (25_000, 1.0), (3.0, 1.3), 0.1, 25, "inside"),
    "kerberos": Shape(TCP, (88,), "krb_tcp", (1500, 0.25), (1650, 0.25), (0.002, 1.0), 0, 1, "inside"),
    "ldap": Shape(TCP, (389, 389, 3268), "ldap_tcp", (1900, 0.7), (4200, 1.2), (0.3, 2.0), 0.2, 5, "inside"),
    "rpc": Shape(TCP, (135, 49668, 49669), "dce_rpc", (900, 0.8), (800, 0.8), (1.5, 1.8), 0.2, 4, "inside"),
    "database": Shape(TCP, (5432, 3306, 1433), "", (2600, 1.5), (9000, 2.0), (2.0, 2.2), 0.2, 12, "inside"),
    "service_call": Shape(TCP, (8080, 8443, 9200), "http", (900, 0.9), (2400, 1.6), (0.05, 1.6), 0.3, 3, "inside"),
    "smtp": Shape(TCP, (25, 587), "smtp", (24_000, 1.9), (700, 0.5), (0.8, 1.2), 0, 10, "login"),
    "imaps": Shape(TCP, (993,), "ssl", (2300, 0.9), (9000, 1.6), (60.0, 1.8), 0.2, 10),
    "ssh": Shape(TCP, (22,), "ssh", (5200, 1.2), (7500, 1.5), (40.0, 2.2), 0, 20, "login"),
    "ssh_job": Shape(TCP, (22,), "ssh", (3600, 0.6), (4300, 0.8), (0.9, 1.1), 0, 11, "login"),
    "ssh_denied": Shape(TCP, (22,), "ssh", (2150, 0.35), (2900, 0.30), (3.0, 0.9), 0, 9, "login_failed"),
    "rdp": Shape(TCP, (3389,), "rdp,ssl", (90_000, 1.7), (9e5, 1.8), (300.0, 1.8), 0, 40, "inside"),
    "print": Shape(TCP, (9100, 631), "", (2e5, 1.6), (500, 1.0), (2.0, 1.0), 0, 4, "inside"),
    "video": Shape(TCP, (554,), "", (3000, 0.7), (3e6, 1.6), (60.0, 1.3), 0, 15, "inside"),
    "backup": Shape(TCP, (9102, 445, 22), "", (4e7, 1.8), (50_000, 1.0), (5.0, 1.0), 0, 30, "inside"),
    "probe_absent": Shape(TCP, PROBED, mix="dead"),
    "probe_closed": Shape(TCP, PROBED, mix="closed"),
    "probe_open": Shape(TCP, PROBED, "", (90, 1.0), (250, 1.2), (0.05, 1.6), 0.05, 1, "alive"),
    "knock": Shape(TCP, PROBED, "", (60, 1.0), (150, 1.2), (0.2, 1.5), 0, 1, "noise"),
    "ping": Shape(ICMP, (0,), "", (56, 0.05), (56, 0.05), (0.0, 0.0), 0, 1.6, "ping", 8),
    "ping_absent": Shape(ICMP, (0,), "", (56, 0.05), (0, 0), (0.0, 0.0), 0, 2.5, "ping_absent", 8),
    "unreachable": Shape(ICMP, (3,), "", (80, 0.5), (0, 0), (0.0, 0.0), 0, 1.4, "ping_absent", 3),
}
"""Every kind of connection."""

SHAPE_INDEX: Final = {name: index for index, name in enumerate(SHAPES)}
