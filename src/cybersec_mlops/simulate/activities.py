"""What an organisation does all day: the table of benign activities.

It holds the confusers too, because benign traffic is never clean: monitoring that polls by the clock, agents that call
home like beacons, an IT vulnerability scan, nightly backups and cloud uploads, an administrator who mistypes
passwords, a job with a stale key, clients that trickle, long look-ups, hosts that are gone, and the Internet's
background radiation on the public edge. How rows are drawn from the table is not said here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


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
    # people at their desks
    Activity("web", 0.360, "workstation", (
        Part("dns", 0.30, "resolver"), Part("tls_page", 0.44, "site"), Part("quic_page", 0.09, "site"),
        Part("http_page", 0.07, "site"), Part("tls_call", 0.07, "site"), Part("dns_long", 0.02, "resolver"),
        Part("http_download", 0.005, "site"), Part("tls_download", 0.005, "site"),
    ), session=14, gap=(0.35, 1.9)),
    Activity("web6", 0.035, "workstation6", (
        Part("tls_page", 0.75, "site6"), Part("quic_page", 0.25, "site6"),
    ), session=6, gap=(0.35, 1.9)),
    Activity("cloud_office", 0.075, "workstation", (
        Part("tls_call", 0.93, "site"), Part("tls_sync", 0.07, "site"),
    ), rotate=True),
    Activity("cloud_sync", 0.016, "workstation", (
        Part("tls_sync", 0.75, "site", 4.0), Part("tls_call", 0.25, "site"),
    ), session=5, gap=(8, 1.5), focus=True),
    Activity("calls", 0.010, "workstation", (
        Part("stun", 0.7, "site"), Part("media", 0.3, "site"),
    ), session=5, gap=(0.4, 1.5)),
    Activity("directory", 0.062, "workstation", (
        Part("kerberos", 0.25, "domain_controller"), Part("ldap", 0.25, "domain_controller"),
        Part("dns", 0.35, "resolver"), Part("rpc", 0.15, "domain_controller"),
    ), session=6, gap=(0.06, 1.5)),
    Activity("files", 0.045, "workstation", (
        Part("smb", 0.82, "file_server"), Part("smb_copy", 0.12, "file_server"),
        Part("smb_denied", 0.06, "file_server"),
    ), session=4, gap=(6, 1.6), focus=True),
    Activity("peers", 0.006, "workstation", (
        Part("smb", 0.45, "workstation"), Part("smb_denied", 0.25, "workstation"), Part("rpc", 0.3, "workstation"),
    ), session=3, gap=(2, 1.5), focus=True),
    Activity("mailboxes", 0.008, "workstation", (Part("imaps", 1.0, "site"),), rotate=True),
    Activity("printing", 0.006, "workstation", (
        Part("print", 0.6, "printer"), Part("snmp", 0.4, "printer"),
    ), session=3, gap=(2, 1.2), focus=True),
    Activity("gone", 0.022, "workstation", (
        Part("probe_absent", 0.55, "absent"), Part("probe_closed", 0.25, "server"), Part("probe_absent", 0.2, "site"),
    ), session=5, gap=(3, 1.6), focus=True),
    # machines by themselves
    Activity("agents", 0.020, "workstation", (Part("tls_call", 1.0, "site", 0.8),), "flat", rotate=True),
    Activity("devices", 0.040, "device", (
        Part("mqtt", 0.45, "site"), Part("tls_call", 0.35, "site", 0.7), Part("dns", 0.20, "site"),
    ), "flat", rotate=True),
    Activity("cameras", 0.012, "camera", (
        Part("video", 0.5, "server"), Part("dns", 0.3, "resolver"), Part("tls_call", 0.2, "site"),
    ), "flat", rotate=True),
    Activity("time", 0.018, "present", (
        Part("ntp", 0.7, "domain_controller"), Part("ntp", 0.3, "site"),
    ), "flat", rotate=True),
    Activity("updates", 0.010, "workstation", (
        Part("tls_download", 0.4, "site"), Part("http_download", 0.25, "site"), Part("tls_call", 0.35, "site"),
    ), session=4, gap=(2, 1.5), focus=True),
    Activity("reputation", 0.012, "workstation", (
        Part("dns_long", 1.0, "resolver", 1.25),
    ), session=14, gap=(0.3, 1.6)),
    Activity("chatter", 0.050, "workstation", (
        Part("mdns", 0.35, "multicast4"), Part("ssdp", 0.25, "multicast4"), Part("llmnr", 0.2, "multicast4"),
        Part("netbios", 0.15, "multicast4"), Part("dhcp", 0.05, "domain_controller"),
    ), session=3, gap=(1, 1.4)),
    Activity("chatter6", 0.018, "link_local", (
        Part("mdns", 0.6, "multicast6"), Part("llmnr", 0.4, "multicast6"),
    ), session=2, gap=(1, 1.2)),
    Activity("unreachable", 0.006, "present", (Part("unreachable", 1.0, "present"),), "flat", session=2),
    Activity("logging", 0.010, "present", (Part("syslog", 1.0, "server"),), "flat"),
    # servers
    Activity("resolution", 0.065, "resolver", (
        Part("dns", 0.90, "site"), Part("dns_long", 0.08, "site"), Part("dns_tcp", 0.02, "site"),
    ), session=3, gap=(0.05, 1)),
    Activity("applications", 0.045, "server", (
        Part("database", 0.5, "server"), Part("service_call", 0.5, "server"),
    ), "flat", session=4, gap=(0.5, 1.8)),
    Activity("mail", 0.014, "mail", (
        Part("smtp", 0.75, "site"), Part("dns", 0.25, "resolver"),
    ), session=2, gap=(0.2, 1.0)),
    Activity("mail_in", 0.006, "stranger", (Part("smtp", 1.0, "web"),), session=1.5, gap=(2, 1.0)),
    Activity("mail_checks", 0.009, "mail", (
        Part("dns_long", 0.6, "resolver"), Part("dns", 0.4, "resolver"),
    ), session=6, gap=(0.05, 1.2)),
    # whoever runs the network
    Activity("admin", 0.007, "admin", (
        Part("ssh", 0.50, "managed"), Part("ssh_denied", 0.25, "managed"), Part("ssh_job", 0.17, "managed"),
        Part("rdp", 0.08, "server"),
    ), session=5, gap=(6, 1.5), focus=True),
    Activity("remote", 0.004, "stranger", (
        Part("ssh", 0.35, "web"), Part("ssh_job", 0.35, "web"), Part("ssh_denied", 0.30, "web"),
    ), session=4, gap=(5, 1.3), focus=True),
    Activity("automation", 0.012, "monitor", (
        Part("ssh_job", 0.9, "managed"), Part("ssh_denied", 0.1, "managed"),
    ), "flat", session=18, gap=(1.2, 0.9), wander=True),
    Activity("stale_key", 0.004, "server", (
        Part("ssh_denied", 0.9, "managed"), Part("ssh_job", 0.1, "managed"),
    ), "flat", session=16, gap=(9, 0.9), focus=True),
    Activity("deployment", 0.006, "server", (
        Part("smb_copy", 0.35, "workstation"), Part("smb", 0.3, "workstation"), Part("rpc", 0.2, "workstation"),
        Part("smb_denied", 0.05, "workstation"), Part("probe_absent", 0.1, "absent"),
    ), session=25, gap=(4, 1.0), wander=True),
    Activity("monitoring", 0.045, "monitor", (
        Part("ping", 0.4, "managed"), Part("snmp", 0.3, "managed"), Part("probe_open", 0.2, "managed"),
        Part("probe_closed", 0.03, "managed"), Part("ping_absent", 0.04, "absent"),
        Part("probe_absent", 0.03, "absent"),
    ), "flat", rotate=True),
    Activity("inventory", 0.006, "server", (
        Part("probe_absent", 0.4, "absent"), Part("probe_closed", 0.2, "workstation"),
        Part("probe_open", 0.15, "workstation"), Part("ping", 0.15, "workstation"), Part("ping_absent", 0.1, "absent"),
    ), "flat", session=30, gap=(0.5, 1.4), wander=True),
    Activity("audit_scan", 0.006, "auditor", (
        Part("probe_closed", 0.42, "managed"), Part("probe_open", 0.23, "managed"),
        Part("probe_absent", 0.25, "absent"), Part("ping_absent", 0.05, "absent"), Part("ping", 0.05, "managed"),
    ), "night", session=110, gap=(0.05, 1.6), wander=True, stray=0.5),
    Activity("backups", 0.004, "server", (
        Part("backup", 0.85, "backup"), Part("tls_sync", 0.15, "site", 300.0),
    ), "night", session=3, gap=(30, 1.2), focus=True),
    # strangers at the edge
    Activity("visitors", 0.052, "stranger", (
        Part("visit", 0.90, "web"), Part("visit_slow", 0.08, "web"), Part("knock", 0.02, "web"),
    ), "world", session=5, gap=(0.5, 1.6), focus=True),
    Activity("visitor_rush", 0.008, "stranger", (
        Part("visit", 0.72, "web"), Part("visit_slow", 0.08, "web"), Part("probe_absent", 0.20, "web"),
    ), "rush", session=2, gap=(0.4, 1.2), focus=True),
    Activity("radiation", 0.034, "stranger", (
        Part("knock", 0.90, "edge"), Part("ping", 0.02, "edge"), Part("stun", 0.03, "edge"), Part("dns", 0.02, "edge"),
        Part("ssh_denied", 0.03, "web"),
    ), "flat", session=1.6, gap=(1, 2.0), wander=True),
    Activity("crawlers", 0.010, "stranger", (
        Part("knock", 0.80, "edge"), Part("probe_open", 0.12, "web"), Part("visit", 0.08, "web"),
    ), "flat", session=18, gap=(0.4, 2.2), wander=True, stray=0.25),
)  # fmt: skip
"""The benign day."""
