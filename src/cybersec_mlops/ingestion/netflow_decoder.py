"""What reading a file of export datagrams has to remember: templates, sets that wait for one, exporters, records.

RFC 3954 (v9), RFC 7011 (IPFIX).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from cybersec_mlops.connections import REJECTED_TEXT_LIMIT
from cybersec_mlops.ingestion.connection_rules import LAST_SECOND, not_a_duration, not_a_port
from cybersec_mlops.ingestion.netflow_datagrams import NO_SET, Datagram, Header, read_header, sets_of
from cybersec_mlops.ingestion.netflow_records import (
    MAX_PADDING,
    Records,
    Run,
    connections,
    fixed_records,
    variable_records,
)
from cybersec_mlops.ingestion.netflow_templates import V5, DamagedTemplateError, Template, read_templates
from cybersec_mlops.ingestion.reader import Batch
from cybersec_mlops.ingestion.rejected import Rejected
from cybersec_mlops.ingestion.screening import Rule, below_zero, conform, missing

WAITING_BYTES: Final = 16 << 20
"""How much of the sets that wait for their template is kept; beyond, the oldest are rejected."""
_OVERHEAD: Final = 512
"""What a set takes in memory beside its bytes."""
MAX_TEMPLATES: Final = 4_096
"""Beyond, the oldest are forgotten."""
MAX_PARSED: Final = 256
"""Sets of templates that are remembered, so that they are not read again."""
TEMPLATE_SETS: Final = {9: (0, 1), 10: (2, 3)}
_LAST_US: Final = LAST_SECOND * 1_000_000
_YEAR_US: Final = 365 * 86_400 * 1_000_000
_RULES: Final = (
    *(missing(name) for name in ("orig_h", "resp_h", "proto")),
    Rule("ts", "bad_time", "a time from 1970 to 2099", ~pl.col("start").is_between(0, _LAST_US)),
    Rule("ts", "no_clock", "a time after 1970: the exporter had no clock", pl.col("start") < _YEAR_US),
    not_a_duration(),
    *(not_a_port(name) for name in ("orig_p", "resp_p")),
    *(
        below_zero(name, "a count of 0 or more, below 2 to the 63rd")
        for name in ("orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes")
    ),
)
_BEGUN: Final = (
    (pl.col("netflow_firewall_event") == "created")
    & (pl.col("orig_pkts").fill_null(0) == 0)
    & (pl.col("orig_ip_bytes").fill_null(0) == 0)
)
_UPDATE: Final = (pl.col("netflow_firewall_event") == "update") & pl.col("resp_ip_bytes").is_not_null()
"""What a connection had sent so far, of a firewall that counts both directions (NSEL): its end counts it as well."""
_TOLD_AGAIN: Final = {"firewall_event:created": _BEGUN, "firewall_event:update": _UPDATE}
_Source = tuple[str, int, int]
"""Exporter's address, version, source id."""


@dataclass(slots=True)
class _Set:
    """A set of records with what its datagram says of it."""

    source: _Source
    number: int
    place: int
    """Where it begins in the file, four bytes before its records: what is wrong with all of it is told there."""
    body: bytes
    offset: int
    """Where its records begin."""
    header: Header
    damage: str


@dataclass(slots=True)
class Decoder:
    """What reading a file has to remember."""

    foreign: Mapping[tuple[int, int, int], tuple[Template, ...]] = field(default_factory=dict)
    """Templates of other files, by version, source id and number."""
    templates: dict[tuple[_Source, int], Template] = field(default_factory=dict)
    parsed: dict[tuple[bytes, bool, bool], list[tuple[int, Template | None]]] = field(default_factory=dict)
    waiting: dict[tuple[_Source, int], deque[_Set]] = field(default_factory=dict)
    waiting_bytes: int = 0
    started: dict[_Source, int] = field(default_factory=dict)
    """When an exporter started, as its options say."""
    sampling: dict[_Source, float] = field(default_factory=dict)
    groups: dict[int, tuple[Template, list[Run]]] = field(default_factory=dict)
    group_rows: int = 0
    order: int = 0
    rejected: Rejected = field(default_factory=Rejected)
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, datagram: Datagram) -> None:
        """Take a datagram's templates, and put its records to those of their template."""
        header = None if datagram.damage else read_header(datagram.data)
        if header is None:
            self.reject(datagram.offset, datagram.data, "not_a_datagram", datagram.damage or "neither v5, v9 nor IPFIX")
            return
        source = (datagram.exporter, header.version, header.source)
        if header.version == 5:
            self._add_v5(datagram, header, source)
            return
        whole = True
        for number, begin, end, damage in sets_of(datagram.data, header):
            whole &= not damage
            place, body = datagram.offset + begin - 4 * (number != NO_SET), datagram.data[begin:end]
            part = _Set(source, number, place, body, datagram.offset + begin, header, damage)
            if number in TEMPLATE_SETS[header.version]:
                self._add_templates(part)
            elif number < 256:
                self.reject(part.place, part.body, "bad_set", damage or f"a set with the number {number}")
            elif (template := self.templates.get((source, number))) is not None:
                self._add_records(part, template)
            else:
                self._wait(part)
        if whole and header.end > len(datagram.data):
            self.reject(datagram.offset, b"", "cut_off", "a datagram that ends before it says")

    def _add_v5(self, datagram: Datagram, header: Header, source: _Source) -> None:
        body, missing_bytes = datagram.data[24 : header.end], header.end - len(datagram.data)
        damage = f"cut off: {len(datagram.data)} of {header.end} bytes" if missing_bytes > 0 else ""
        self._add_records(_Set(source, 5, datagram.offset, body, datagram.offset + 24, header, damage), V5)

    def _add_templates(self, part: _Set) -> None:
        try:
            found = self._parsed(part.body, ipfix=part.source[1] == 10, options=part.number in (1, 3))
        except DamagedTemplateError as error:
            self.reject(part.place, part.body, "bad_template", part.damage or str(error))
            return
        for number, template in found:
            key = (part.source, number)
            self.templates.pop(key, None)
            if template is not None:
                if len(self.templates) >= MAX_TEMPLATES:
                    del self.templates[next(iter(self.templates))]
                self.templates[key] = template
                for part in self._leave(key):
                    self._add_records(part, template)

    def _parsed(self, body: bytes, *, ipfix: bool, options: bool) -> list[tuple[int, Template | None]]:
        """Return the templates of a set; exporters send the same ones again and again."""
        if (found := self.parsed.get((body, ipfix, options))) is None:
            if len(self.parsed) >= MAX_PARSED:
                self.parsed.clear()
            found = self.parsed[body, ipfix, options] = read_templates(body, ipfix=ipfix, options=options)
        return found

    def _wait(self, part: _Set) -> None:
        self.waiting.setdefault((part.source, part.number), deque()).append(part)
        self.waiting_bytes += len(part.body) + _OVERHEAD
        while self.waiting_bytes > WAITING_BYTES:
            oldest = next(iter(self.waiting))
            for first in self._leave(oldest):
                self._give_up(first)

    def _leave(self, key: tuple[_Source, int]) -> deque[_Set]:
        """Return the sets that wait for a template; they wait no more."""
        parts = self.waiting.pop(key, deque[_Set]())
        self.waiting_bytes -= sum(len(part.body) + _OVERHEAD for part in parts)
        return parts

    def _give_up(self, part: _Set) -> None:
        """Use a template of another file where just one fits, or reject the set."""
        fitting = [one for one in self.foreign.get((*part.source[1:], part.number), ()) if _fits(one, part.body)]
        if len(fitting) == 1:
            self._add_records(part, fitting[0])
            return
        several = f", and {len(fitting)} different ones of other files fit" if fitting else ""
        detail = f"{len(part.body)} bytes: no template {part.number} of source {part.source[2]} in the file{several}"
        self.reject(part.place, part.body, "no_template", f"{detail}; add the file with the exporter's templates")

    def finish(self) -> None:
        """Give up waiting."""
        parts = [part for key in list(self.waiting) for part in self._leave(key)]
        for part in sorted(parts, key=lambda part: part.offset):
            self._give_up(part)

    def _add_records(self, part: _Set, template: Template) -> None:
        header, source = part.header, part.source
        sampling = float(header.sampling) or self.sampling.get(source, 0.0)
        name = f"{source[0]}/{source[2]}" if source[0] else str(source[2])
        run = Run(
            part.body, part.offset, self.order, header.export_us, header.uptime_ms, self.started.get(source, -1),
            sampling, name, header.version, bool(part.damage),
        )  # fmt: skip
        self.order += 1
        if part.damage:
            self.reject(part.place, part.body, "cut_off", part.damage)
        if template.options:
            self._add_options(run, source, template)
            return
        records = len(part.body) // template.record_bytes
        if not template.has_hosts:
            self.skipped["no_hosts"] += max(records, 1)
            return
        self.groups.setdefault(id(template), (template, []))[1].append(run)
        self.group_rows += records

    def _add_options(self, run: Run, source: _Source, template: Template) -> None:
        records = _laid_out(template, [run])
        self._reject_broken(records)
        if (count := len(records.matrix)) == 0:
            return
        self.skipped["options_record"] += count
        if (init := records.number("init_ms")) is not None and init[-1] > 0:
            self.started[source] = int(init[-1])
        one, rest = records.number("sampling"), records.number("sampling_space")
        if one is None and (packets := records.number("sampling_packets")) is not None and packets[-1] > 0:
            self.sampling[source] = 1 + (int(rest[-1]) if rest is not None else 0) / int(packets[-1])
        elif one is not None and one[-1] > 0:
            self.sampling[source] = float(one[-1])

    def take(self, schema: Mapping[str, pl.DataType]) -> Batch:
        """Return what was put together so far."""
        frames = []
        for template, runs in self.groups.values():
            records = _laid_out(template, runs)
            self._reject_broken(records)
            if len(records.matrix):
                frames.append(self._screen(connections(records), records))
        rows = pl.concat(frames).sort("order", "raw_line") if frames else pl.DataFrame(schema=schema)
        if frames:
            for reason, told_again in _TOLD_AGAIN.items():
                found = rows.select(told_again.fill_null(value=False)).to_series()
                self.skipped[reason] += int(found.sum())
                rows = rows.filter(~found)
            ts = pl.col("start").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("ts")
            rows = conform(rows.with_columns(ts), schema)
        batch = Batch(rows, self.rejected.frame(), dict(+self.skipped))
        self.groups, self.group_rows, self.rejected, self.skipped = {}, 0, Rejected(), Counter()
        return batch

    def _screen(self, frame: pl.DataFrame, records: Records) -> pl.DataFrame:
        broken = frame.select(rule.broken.fill_null(value=False).alias(str(place)) for place, rule in enumerate(_RULES))
        bad = broken.select(pl.any_horizontal(pl.all())).to_series()
        for index in bad.arg_true().to_list():
            rule = _RULES[broken.row(index).index(True)]
            data = records.matrix[index, :REJECTED_TEXT_LIMIT].tobytes()
            detail = f"expected {rule.expected}"
            self.rejected.add_bytes(int(records.offsets[index]) + 1, data, rule.reason, detail=detail, field=rule.field)
        return frame.filter(~bad)

    def _reject_broken(self, records: Records) -> None:
        for run, place, size in records.broken:
            detail = f"{size} bytes after the last whole record"
            self.reject(run.offset + place, run.data[place:], "cut_off", detail)

    def reject(self, offset: int, data: bytes, reason: str, detail: str) -> None:
        """Set something aside that is no record."""
        self.rejected.add_bytes(offset + 1, data, reason, detail=detail)


def _fits(template: Template, body: bytes) -> bool:
    """Say whether a set may consist of such records: nothing but padding is left."""
    if not template.fixed:
        return len(body) >= template.record_bytes
    return len(body) >= template.record_bytes and len(body) % template.record_bytes <= MAX_PADDING


def _laid_out(template: Template, runs: list[Run]) -> Records:
    return fixed_records(template, runs) if template.fixed else variable_records(template, runs)
