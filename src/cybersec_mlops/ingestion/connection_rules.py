"""Rules and times that the formats of network sensors share, on canonical columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.ingestion.screening import Rule, outside

LAST_SECOND: Final = 4_102_444_800
"""The end of 2099: a later time is a fault of the clock or of the file."""

PORT: Final = ("bad_port", "a port 0-65535")
COUNT: Final = ("bad_count", "a count of 0 or more")
DURATION: Final = ("bad_duration", "seconds, 0 or more")

PLAIN_ISO: Final = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
"""ISO 8601 without a zone."""


_NOT_OF_ADDRESSES: Final = r"[^0-9A-Fa-f.:]"
_LONGEST_ADDRESS: Final = 45
"""Characters of an IPv6 address with an IPv4 one at its end: INET6_ADDRSTRLEN without the NUL, RFC 3493."""
_FIRST_MILLISECOND: Final = 1e12
"""September 2001 in milliseconds; in seconds it would be after the year 9999, which no time of a log is."""


def from_milliseconds(times: pl.Series) -> pl.Series:
    """Return times in seconds where some are milliseconds since 1970, as Zeek writes them with ``JSON::TS_MILLIS``.

    The two cannot be mistaken for each other: milliseconds after 2001 would be seconds after the year 9999.

    >>> from_milliseconds(pl.Series([1547188415.857497, 1547188415857.0, 5e9, None])).to_list()
    [1547188415.857497, 1547188415.857, 5000000000.0, None]
    """
    last = times.max()
    if not isinstance(last, float) or last < _FIRST_MILLISECOND:
        return times
    return pl.select(
        pl.when(times >= _FIRST_MILLISECOND).then(times / 1e3).otherwise(times).alias(times.name)
    ).to_series()


def in_seconds(value: pl.Expr, per_second: float) -> pl.Expr:
    """Return a duration in seconds, to the microsecond, the same bits whatever rows stand beside it.

    Polars multiplies a column by the divisor's reciprocal, but divides a column of one row: without the rounding, which
    divides every value, the last bit would tell how a log was cut into batches.

    >>> for rows in ([1_251_629], [1_251_629, 7]):
    ...     print(pl.DataFrame({"us": rows}).select(in_seconds(pl.col("us"), 1e6)).item(0, 0))
    1.251629
    1.251629
    """
    return (value / per_second).round(6)


def not_an_address(name: str) -> Rule:
    """Return the rule that a column is an address: IPv4, IPv6, or of a MAC."""
    hosts, long = pl.col(name), pl.col(name).str.len_bytes()
    broken = hosts.str.contains(_NOT_OF_ADDRESSES) | (long > _LONGEST_ADDRESS)
    any_broken = hosts.str.join("").str.contains(_NOT_OF_ADDRESSES) | (long.max() > _LONGEST_ADDRESS)  # in one search
    return Rule(name, "bad_address", "an IPv4 or IPv6 address", broken, any_broken)


def not_a_port(name: str) -> Rule:
    """Return the rule that a number is a port."""
    return outside(name, 0, 65_535, reason=PORT[0], expected=PORT[1])


def not_a_duration(name: str = "duration_s") -> Rule:
    """Return the rule that a number is a plausible duration in seconds."""
    return outside(name, 0, 1e9, reason=DURATION[0], expected=DURATION[1])


def not_a_time(field: str, parsed: str, expected: str) -> Rule:
    """Return the rule that `parsed`, the time that `field` was read as, is from 1970 to 2099."""
    epoch = pl.col(parsed).dt.epoch("s")
    return Rule(field, "bad_time", expected, epoch.is_null() | ~epoch.is_between(0, LAST_SECOND))


def checked_zone(timezone: str) -> str:
    """Return the name of a zone that there is.

    Raises
    ------
    ConfigError
        There is no such zone.
    """
    try:
        ZoneInfo(timezone)
    except (ValueError, OSError, KeyError) as error:
        raise ConfigError(
            f"unknown timezone {timezone!r}", hint='use an IANA name such as "Europe/Prague" or "UTC"'
        ) from error
    return timezone


_CALENDAR: Final = re.compile(rb"\d{4}[-/]\d\d[-/]\d\d[ T.]\d\d:\d\d")


def has_no_zone(time: str) -> bool:
    """Say whether a text is a time of ISO 8601 that does not say its zone.

    >>> has_no_zone("2014-08-01T12:00:00"), has_no_zone("2014-08-01T12:00:00Z"), has_no_zone("1406894400.5")
    (True, False, False)
    """
    return ":" in time and not (time.endswith("Z") or "+" in time or "-" in time[10:])


def zone_note(timezone: str) -> str:
    """Say in which zone times are read that do not say theirs."""
    return f"its times have no zone; they are read as {timezone}"


def zone_notes(data: bytes, timezone: str) -> tuple[str, ...]:
    """Say in which zone the times of a table are read, where they need one: seconds since 1970 do not.

    >>> zone_notes(b"2011/08/10 09:46:53.047,1.0", "UTC"), zone_notes(b"1312969613.047,1.0", "UTC")
    (('its times have no zone; they are read as UTC',), ())
    """
    return (zone_note(timezone),) if _CALENDAR.search(data) else ()


def parse_times(texts: pl.Series, formats: Sequence[str], timezone: str) -> pl.Series:
    """Return times in UTC, null where a text is none: ISO 8601 with its zone, else `formats` in `timezone`.

    >>> texts = pl.Series(["2021-06-06T15:59:46.457984+0200", "2021-06-06T15:59:46"])
    >>> parse_times(texts, ["%Y-%m-%dT%H:%M:%S%.f"], "UTC").dt.to_string("iso").to_list()
    ['2021-06-06 13:59:46.457984+00:00', '2021-06-06 15:59:46.000000+00:00']
    """
    texts = texts.str.strip_chars()
    found = texts.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    for pattern in formats:
        if found.null_count() == texts.null_count():
            break
        local = texts.str.to_datetime(pattern, time_unit="us", strict=False)
        zoned = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        found = pl.select(pl.coalesce(found, zoned.dt.convert_time_zone("UTC"))).to_series()
    return found.alias(texts.name)
