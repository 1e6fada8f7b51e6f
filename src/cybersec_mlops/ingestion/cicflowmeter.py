"""The reader of CICFlowMeter's CSV, in all the forms in which the CIC data sets are published.

What it copes with, and how:

- names with leading blanks, in four vocabularies; ``Fwd Header Length`` twice (the copy is equal and is not read);
- ``Infinity`` and ``NaN`` where the duration is 0, negative header lengths from an overflow, -1 for "not seen" (initial
  window, ICMP type, attempted category): a native value that cannot be is null, and is counted in `Batch.nulled`;
- a negative duration or count, or a port that is none: the row is rejected;
- times: ISO (corrected set); day first with AM/PM (CICFlowMeter 4); day first on a 12-hour clock *without* AM/PM
  (CIC-IDS2017, CSE-CIC-IDS2018): the captures ran in working hours, from about 9 to 17 o'clock
  (https://www.unb.ca/cic/datasets/ids-2017.html), so 1 to 7 o'clock is afternoon. No time has a zone; it is an option;
- labels with a broken dash; "X - Attempted" is benign: the corrected set's authors mark with it flows of an attack
  whose payload never reached the victim, and advise to treat them as benign (Liu, Engelen et al., CNS 2022);
- protocol 0, which the tool writes for what it does not know, is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo

import polars as pl

from cybersec_mlops.connections import BENIGN, CONNECTION_SCHEMA
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion import cic_columns
from cybersec_mlops.ingestion.connection_rules import in_seconds, not_a_time, not_an_address, zone_note
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.labels import ATTACKS, common_name, one_spelling, with_labels
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.protocols import keyword
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.ingestion.screening import Rule, missing, not_whole, outside
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table, unchanged

NAME: Final = "cicflowmeter"
_TEXT: Final = frozenset({"orig_h", "resp_h", "ts", "label_text", "meta_cic_id", "meta_cic_flow_id"})
_MEASURES: Final = (*cic_columns.MEASURES, *cic_columns.MEASURES_OF_IMPROVED)
_COUNTS: Final = ("orig_pkts", "resp_pkts", "orig_bytes", "resp_bytes")
_PORTS: Final = ("orig_p", "resp_p")
_TIME_FORMATS: Final = (
    ("%Y-%m-%d %H:%M:%S%.f", False),
    ("%Y-%m-%dT%H:%M:%S%.f", False),
    ("%d/%m/%Y %I:%M:%S %p", False),
    ("%d/%m/%Y %I:%M %p", False),
    ("%d/%m/%Y %H:%M:%S", True),
    ("%d/%m/%Y %H:%M", True),
)
"""Polars formats, and whether the clock has 12 hours without saying which half."""

_KEYWORDS: Final = pl.Series("proto", [None, *(keyword(number) for number in range(1, 256))])
"""By the protocol's number, which is looked up by its place."""
_HALF_UNKNOWN: Final = re.compile(r"\d{1,2}/\d{1,2}/\d{4} +\d{1,2}:\d{2}(:\d{2})?")
_NAMES_OF_PYTHON: Final = frozenset({"flow_duration", "tot_fwd_pkts", "totlen_fwd_pkts", "flow_iat_mean"})
_PYTHON: Final = Refusal(
    "a table of the Python package cicflowmeter, whose durations are seconds or microseconds, depending on its version",
    hint='look which, and say it in a mapping (`cybersec-mlops inspect FILE` drafts one): unit = "s" or "us"',
    line=1,
)
"""Not read by itself: the same names with two units."""


@dataclass(frozen=True, slots=True)
class CICFlowMeter:
    """CICFlowMeter's CSV.

    Parameters
    ----------
    timezone : str
        IANA name of the zone in which the times were written; they do not say it. The published sets' raw times are
        those of New Brunswick ("America/Moncton"), the corrected set's are UTC.
    """

    timezone: str = "UTC"
    name = NAME
    has_time = True

    def __post_init__(self) -> None:
        """Check the zone.

        Raises
        ------
        ConfigError
            There is no such zone.
        """
        try:
            ZoneInfo(self.timezone)
        except (ValueError, OSError, KeyError) as error:
            raise ConfigError(
                f"unknown timezone {self.timezone!r}", hint='use an IANA name such as "America/Moncton" or "UTC"'
            ) from error

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """What is measured beside the canonical columns."""
        measures = dict.fromkeys(_MEASURES, pl.Float64())
        return {
            **measures,
            "meta_cic_id": pl.String(),
            "meta_cic_flow_id": pl.String(),
            "meta_cic_attempted_category": pl.Float64(),
        }

    @property
    def shortcut_columns(self) -> Mapping[str, str]:
        """Columns that identify the tool or host of the attack rather than the attack."""
        window = "the initial window is the attacker's TCP stack: one value for each tool and host of the capture"
        return {
            "resp_p": "each attack of the published sets has its own few destination ports",
            "cic_fwd_init_window_bytes": window,
            "cic_bwd_init_window_bytes": window,
            "cic_fwd_segment_size_min_bytes": "the header length is fixed by the attacker's TCP options",
        }

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the header's names."""
        first = head.data.removeprefix(BOM).partition(b"\n")[0]
        names = names_of(first)
        known = [cic_columns.target_of(name) for name in names]
        if sum(target in cic_columns.MEASURES for target in known) < len(cic_columns.MEASURES) / 3:
            return _PYTHON if {name.strip() for name in names} >= _NAMES_OF_PYTHON else None
        extra = tuple(name for name, target in zip(names, known, strict=True) if target is None)
        lacking = [target for target in cic_columns.REQUIRED if target not in known]
        if lacking:
            return _almost(lacking, extra)
        if head.complete and len(head.data.strip().splitlines()) < 2:
            return Refusal(
                "a CICFlowMeter table with a header and no rows", hint="give a table with connections", passable=True
            )
        has_time = "ts" in known
        times = zone_note(self.timezone) if has_time else "it has no times"
        notes = [times, *(["labelled"] if "label_text" in known else [])]
        if has_time and _HALF_UNKNOWN.fullmatch(_second_cell(head, known.index("ts"))):
            notes.append("its times have no AM or PM; 1 to 7 o'clock is read as afternoon, as the publisher's are")
        return Recognition(NAME, cic_columns.variant_of(names), has_time, extra, tuple(notes))

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table; see `Reader.read`."""
        del source  # the format has no error of its own
        table = Table(self._form, encoding="cp1252", expected="CICFlowMeter's header with Flow Duration, ...")
        return read_table(self, table, stream, batch_bytes=batch_bytes)

    def _form(self, names: list[str]) -> Form | None:
        columns: list[Column | None] = []
        targets: set[str] = set()
        for name in names:
            target = cic_columns.target_of(name)
            columns.append(None if target is None or target in targets else _column(target))
            targets.add(target or "")
        if not targets.issuperset(cic_columns.REQUIRED):
            return None
        return Form(
            Layout(",", tuple(columns)),
            tuple(rule for rule in _rules() if rule.field in targets),
            prepare=partial(_with_times, timezone=self.timezone) if "ts" in targets else unchanged,
            finish=_finish,
            measures=tuple(name for name in (*_MEASURES, "meta_cic_attempted_category") if name in targets),
        )


def _second_cell(head: Head, place: int) -> str:
    """Return a cell of the first row; nothing is said of a table whose first row is broken."""
    row = head.data.split(b"\n", 2)[1:2]
    cells = row[0].decode(errors="replace").split(",") if row else []
    return cells[place].strip(' "\r') if place < len(cells) else ""


def _almost(lacking: list[str], extra: tuple[str, ...]) -> Refusal:
    names = {**cic_columns.CANONICAL, **cic_columns.MEASURES}
    missing_names = ", ".join(names[target][0] for target in lacking[:8])
    more = f" and {len(lacking) - 8} more" if len(lacking) > 8 else ""
    unknown = f"; not known: {', '.join(printable(name, 30) for name in extra[:8])}" if extra else ""
    return Refusal(
        "a table like CICFlowMeter's, whose columns are not those of the format: "
        f"missing {missing_names}{more}{unknown}",
        hint="export it with all of CICFlowMeter's columns; their order and further columns do not matter. Or say in a "
        'mapping what its own ones are: "Flow Duration" = { to = "duration_s", unit = "us" }, ... (docs/formats.md)',
        line=1,
    )


def _column(target: str) -> Column:
    if target in _TEXT:
        return Column(target, pl.String())
    if target in _PORTS:
        return Column(target, pl.Float64(), "bad_port", "a port 0-65535")
    if target in _COUNTS:
        return Column(target, pl.Float64(), "bad_count", "a count of 0 or more")
    if target == "duration_s":
        return Column(target, pl.Float64(), "bad_duration", "microseconds, 0 or more")
    return Column(target, pl.Float64())


def _rules() -> Iterator[Rule]:
    yield missing("ts")
    yield not_a_time("ts", "ts_parsed", "a time like 2017-07-03 11:57:51 or day/month/year")
    yield missing("duration_s")
    yield outside("duration_s", 0, 1e15, reason="bad_duration", expected="microseconds, 0 or more")
    for name in _PORTS:
        yield outside(name, 0, 65_535, reason="bad_port", expected="a port 0-65535")
        yield not_whole(name, reason="bad_port", expected="a port 0-65535")
    for name in _COUNTS:
        yield outside(name, 0, 2**53, reason="bad_count", expected="a count of 0 or more")
        yield not_whole(name, reason="bad_count", expected="a count of 0 or more")
    yield not_whole("proto", reason="bad_protocol", expected="an IP protocol number 0-255")
    yield outside("proto", 0, 255, reason="bad_protocol", expected="an IP protocol number 0-255")
    yield from map(not_an_address, ("orig_h", "resp_h"))


def _with_times(frame: pl.DataFrame, timezone: str) -> pl.DataFrame:
    return frame.with_columns(parse_times(frame["ts"], timezone).alias("ts_parsed"))


def parse_times(texts: pl.Series, timezone: str = "UTC") -> pl.Series:
    """Return the times of CICFlowMeter tables in UTC, null where a text is none.

    >>> parse_times(pl.Series(["7/7/2017 3:30", "2017-07-03 11:57:51.590705"])).dt.to_string("iso").to_list()
    ['2017-07-07 15:30:00.000000+00:00', '2017-07-03 11:57:51.590705+00:00']
    """
    texts = texts.str.strip_chars()
    found = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(texts))
    for pattern, half_unknown in _TIME_FORMATS:
        if found.null_count() == texts.null_count():
            break
        parsed = texts.str.to_datetime(pattern, time_unit="us", strict=False)
        if half_unknown:
            afternoon = parsed.dt.hour().is_between(1, 7)
            parsed = pl.select(pl.when(afternoon).then(parsed.dt.offset_by("12h")).otherwise(parsed)).to_series()
        found = pl.select(pl.coalesce(found, parsed)).to_series()
    if found.null_count() > texts.null_count() and (english := _in_english(texts)).ne_missing(texts).any():
        return parse_times(english, timezone)
    zoned = found.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


def _in_english(texts: pl.Series) -> pl.Series:
    """Return times with AM and PM, which the tool writes in the language of the machine on which it ran."""
    texts = texts.str.replace_many(["\u4e0a\u5348", "\u4e0b\u5348"], ["AM", "PM"])
    return texts.str.replace(r"(?i)\s*([ap])\.?\s*m\.?$", " ${1}M").str.to_uppercase()


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    have = set(frame.columns)
    changes = [pl.col(name).cast(CONNECTION_SCHEMA[name]) for name in (*_PORTS, *_COUNTS) if name in have]
    changes.append(in_seconds(pl.col("duration_s"), 1e6))
    if "proto" in have:
        changes.append(pl.lit(_KEYWORDS).gather(pl.col("proto").cast(pl.Int64)))
    if "ts_parsed" in have:
        changes.append(pl.col("ts_parsed").alias("ts"))
    frame = frame.with_columns(changes)
    return with_labels(frame, "label_text", label_name) if "label_text" in have else frame


def label_name(text: str) -> str | None:
    r"""Return the label of what the table says.

    >>> label_name("DoS slowloris"), label_name("Web Attack \ufffd XSS"), label_name("DoS Hulk - Attempted")
    ('DoS Slowloris', 'Web Attack - XSS', 'BENIGN')
    """
    word = one_spelling(text)
    folded = word.casefold()
    if folded.endswith("- attempted"):
        return BENIGN
    return ATTACKS.get(folded) or common_name(word)
