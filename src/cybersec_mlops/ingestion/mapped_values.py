"""What the values of a mapped table become: text, numbers or times of the file to canonical columns and rules on them.

A frame comes in whose columns have the names of their targets and the values of the file: text where the file is text,
any type where it has types. It goes out canonical, with the places where a value could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import polars as pl

from cybersec_mlops.connections import BENIGN, CONNECTION_SCHEMA
from cybersec_mlops.ingestion.connection_rules import (
    COUNT,
    DURATION,
    PORT,
    in_seconds,
    not_a_duration,
    not_a_port,
    not_a_time,
    not_an_address,
    parse_times,
)
from cybersec_mlops.ingestion.labels import common_name, one_spelling, with_labels
from cybersec_mlops.ingestion.mapping import DTYPES, EPOCHS, TS_END, MappedColumn, TableMapping
from cybersec_mlops.ingestion.protocols import PROTOCOLS, keyword
from cybersec_mlops.ingestion.screening import Rule, missing, not_whole, outside

LABEL: Final = "label_text"
FLAG: Final = "label_flag"
ORIGINAL: Final = "label_first"
"""Columns of the frame that hold the label, the word whether it is an attack, and the label as first written."""

_ISO: Final = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
_TRUE: Final = ("true", "t", "1", "yes", "y", "1.0")
_FALSE: Final = ("false", "f", "0", "no", "n", "0.0")
_TIMES: Final = ("ts", TS_END)
_GROUPED: Final = r"^[+-]?\d{1,3}([ ,'\u{a0}\u{202f}]\d{3})+(\.\d+)?$"
_MARKS: Final = r"[ ,'\u{a0}\u{202f}]"
Failed = dict[Rule, pl.Series]
Value = Callable[[bytes, str], str | None]
"""Gives the text of a field of a line."""


def to_canonical(
    frame: pl.DataFrame, mapping: TableMapping, timezone: str
) -> tuple[pl.DataFrame, Failed, dict[str, int]]:
    """Convert every column of a frame to what it is mapped to.

    Parameters
    ----------
    frame : DataFrame
        Columns named by their targets, `LABEL`, `FLAG` and `ORIGINAL`.
    mapping : TableMapping
        What they mean.
    timezone : str
        IANA zone of times that do not say theirs, where the mapping names none.

    Returns
    -------
    tuple
        The frame; for each rule the rows whose value could not be read; values of native columns that are infinite and
        became null, by column.
    """
    columns: list[pl.Series] = []
    failed: Failed = {}
    nulled: dict[str, int] = {}
    for name, column in mapping.columns.items():
        target = mapping.targets[name]
        if target not in frame.columns:
            continue
        given = frame[target]
        if given.dtype == pl.String():
            given = _text(given, mapping, column.values)
        made, reason, expected = _convert(given, target, column, mapping, timezone)
        bad = made.is_null() & given.is_not_null() & ~_is_nan(given)
        if bad.any():
            failed[Rule(target, reason, expected, pl.lit(value=False))] = bad
        if target not in CONNECTION_SCHEMA and made.dtype == pl.Float64() and (count := made.is_infinite().sum()):
            nulled[target] = int(count)
            made = pl.select(pl.when(made.is_finite()).then(made)).to_series()
        columns.append(made.alias(target))
    frame = frame.with_columns(columns)
    frame = frame.with_columns(
        pl.lit(value).cast(CONNECTION_SCHEMA[name], strict=False).alias(name)
        for name, value in mapping.constants.items()
    )
    return _with_label(_with_duration(frame), mapping, failed), failed, nulled


def _text(values: pl.Series, mapping: TableMapping, words: Mapping[str, str]) -> pl.Series:
    """Return texts without the blanks around them, null where they stand for it, other words where there are."""
    values = values.str.strip_chars()
    values = values.set(values.is_in(mapping.null_values), None)
    if not words:
        return values
    return values.replace({**words, **{word.strip(): other for word, other in words.items()}})


def _is_nan(values: pl.Series) -> pl.Series:
    if values.dtype in (pl.Float64(), pl.Float32()):
        return values.is_nan().fill_null(value=False)
    return pl.repeat(value=False, n=len(values), eager=True, dtype=pl.Boolean)


def _convert(
    values: pl.Series, target: str, column: MappedColumn, mapping: TableMapping, timezone: str
) -> tuple[pl.Series, str, str]:
    """Return the values, and the reason and the words for those that cannot be read."""
    if target in _TIMES:
        return _time(values, column, column.timezone or mapping.timezone or timezone)
    dtype = CONNECTION_SCHEMA.get(target, DTYPES[column.type])
    if target == "proto":
        return _protocol(values), "bad_protocol", "a protocol's name or IANA number"
    if dtype == pl.Boolean():
        return _truth(values), "bad_boolean", "true or false, 1 or 0, yes or no"
    if dtype == pl.String():
        texts = values if values.dtype == pl.String() else _plain(values)
        return (texts.str.to_lowercase() if target == "service" else texts), "bad_text", "text"
    reason, expected = _words(target)
    return _number(values, mapping.decimal) * column.factor, reason, expected


def _words(target: str) -> tuple[str, str]:
    if target in ("orig_p", "resp_p"):
        return PORT
    if target == "duration_s":
        return DURATION
    return COUNT if target in CONNECTION_SCHEMA else ("bad_number", "a number")


def _number(values: pl.Series, decimal: str) -> pl.Series:
    if values.dtype == pl.Duration:
        return pl.select(in_seconds(pl.lit(values).dt.total_microseconds(), 1e6)).to_series()
    if values.dtype == pl.String():
        if decimal == ",":
            values = values.str.replace_all(".", " ", literal=True).str.replace(",", ".", literal=True)
        plain = values.cast(pl.Float64, strict=False)
        if plain.null_count() > values.null_count():
            grouped = values.set(~values.str.contains(_GROUPED), None).str.replace_all(_MARKS, "")
            plain = plain.zip_with(plain.is_not_null(), grouped.cast(pl.Float64, strict=False))
        return plain.fill_nan(None)
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean()):
        return pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
    return values.cast(pl.Float64).fill_nan(None)


def _plain(values: pl.Series) -> pl.Series:
    """Return the text of values of any type; whole numbers have no decimals."""
    if values.dtype.is_float():
        whole = (values == values.floor()).fill_null(value=False) & (values.abs() < 2**53)
        return (
            values.cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole, values.fill_nan(None).cast(pl.String))
        )
    return values.cast(pl.String, strict=False)


def _truth(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Boolean():
        return values
    words = _plain(values).str.strip_chars().str.to_lowercase()
    known = {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}
    return words.replace_strict(known, default=None, return_dtype=pl.Boolean)


def _protocol(values: pl.Series) -> pl.Series:
    words = _plain(values).str.strip_chars().str.to_lowercase()
    numbers = {str(number): keyword(number) for number in range(1, 256)}
    words = words.replace(numbers)
    known = words.is_in(list(PROTOCOLS.values())) | words.str.contains(r"^[a-z][a-z0-9._/+-]{0,30}$")
    return words.set(~known, None)


def _time(values: pl.Series, column: MappedColumn, timezone: str) -> tuple[pl.Series, str, str]:
    expected = f"a time as {' or '.join(column.formats)}"
    dtype = values.dtype
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            values = values.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
        return values.dt.convert_time_zone("UTC").dt.cast_time_unit("us"), "bad_time", expected
    if dtype == pl.Date():
        return _time(values.cast(pl.Datetime("us")), column, timezone)
    found = pl.Series(values.name, [None] * len(values), dtype=CONNECTION_SCHEMA["ts"])
    for form in column.formats:
        if found.null_count() == values.null_count():
            break
        found = found.zip_with(found.is_not_null(), _time_as(values, form, timezone))
    return found, "bad_time", expected


def _time_as(values: pl.Series, form: str, timezone: str) -> pl.Series:
    if form in EPOCHS:
        return _epoch(values, EPOCHS[form])
    texts = _plain(values)
    if form == "iso":
        return parse_times(texts, _ISO, timezone) if not texts.is_empty() else texts.cast(CONNECTION_SCHEMA["ts"])
    if "%z" in form or "%:z" in form or "%#z" in form:
        return texts.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
    local = texts.str.to_datetime(form, time_unit="us", strict=False)
    zoned = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC")


def _epoch(values: pl.Series, unit_us: float) -> pl.Series:
    """Return times of numbers; whole ones exactly, others to the microsecond."""
    whole = values.cast(pl.Int64, strict=False) if values.dtype == pl.String() or values.dtype.is_integer() else None
    numbers = _number(values, ".") * unit_us
    numbers = numbers.set(~numbers.is_between(-(2.0**62), 2.0**62), None)
    made = numbers.round().cast(pl.Int64, strict=False)
    if whole is not None:
        exact = whole * int(unit_us) if unit_us >= 1 else whole // round(1 / unit_us)
        small = (whole.abs() < 2**62 // max(1, int(unit_us))).fill_null(value=False)
        made = exact.zip_with(small, made)
    return made.cast(CONNECTION_SCHEMA["ts"])


def _with_duration(frame: pl.DataFrame) -> pl.DataFrame:
    if TS_END not in frame.columns or "ts" not in frame.columns:
        return frame
    spanned = (pl.col(TS_END) - pl.col("ts")).dt.total_microseconds()
    return frame.with_columns(in_seconds(spanned, 1e6).alias("duration_s"))


def _with_label(frame: pl.DataFrame, mapping: TableMapping, failed: Failed) -> pl.DataFrame:
    """Add `LABEL`, a text or null, from the label's columns, and note where they disagree."""
    if mapping.label is None or not {LABEL, FLAG} & set(frame.columns):
        return frame
    frame = frame.with_columns(_plain(frame[name]) for name in (LABEL, FLAG, ORIGINAL) if name in frame.columns)
    if FLAG not in frame.columns:
        return frame
    flag = _truth(frame[FLAG])
    unread = flag.is_null() & ~frame[FLAG].str.strip_chars().fill_null("").is_in(mapping.null_values)
    if unread.any():
        failed[Rule(FLAG, "bad_boolean", "true or false, 1 or 0, yes or no", pl.lit(value=False))] = unread
    if LABEL not in frame.columns:
        word = pl.when(flag).then(pl.lit("Attack")).when(~flag).then(pl.lit(BENIGN))
        return frame.with_columns(word.alias(LABEL), pl.col(FLAG).alias(ORIGINAL))
    benign = frame[LABEL].replace_strict(
        {text: label_name(text, mapping) == BENIGN for text in frame[LABEL].unique().drop_nulls()},
        default=None,
        return_dtype=pl.Boolean,
    )
    conflict = (benign == flag).fill_null(value=False)
    if conflict.any():
        failed[Rule(LABEL, "label_conflict", "a label that fits is_attack", pl.lit(value=False))] = conflict
    return frame


def label_name(text: str, mapping: TableMapping) -> str | None:
    """Return the one spelling of a label."""
    assert mapping.label is not None
    word = text.strip()
    for words, name in (
        (mapping.label.unlabelled, None),
        (mapping.label.benign, "benign"),
        (mapping.label.background, "background"),
    ):
        if word.casefold() in {one.casefold() for one in words}:
            return name and common_name(name)
    names = {one.casefold(): name for one, name in mapping.label.names.items()}
    return common_name(one_spelling(names.get(word.casefold(), word)))


def rules(frame: pl.DataFrame, mapping: TableMapping) -> list[Rule]:
    """Return the rules for converted columns."""
    return [rule for rule in _rules(mapping) if rule.field in frame.columns]


def _rules(mapping: TableMapping) -> Iterator[Rule]:
    optional = {mapping.targets[name] for name, column in mapping.columns.items() if column.optional}
    yield from (missing(name) for name in ("ts", "orig_h", "resp_h", "proto") if name not in optional)
    yield not_a_time("ts", "ts", "a time from 1970 to 2099")
    yield from (not_an_address(name) for name in ("orig_h", "resp_h"))
    for name in ("orig_p", "resp_p"):
        yield not_a_port(name)
        yield not_whole(name, reason=PORT[0], expected=PORT[1])
    yield not_a_duration()
    for name, dtype in CONNECTION_SCHEMA.items():
        if dtype == pl.Int64():
            yield outside(name, 0, 2**53, reason=COUNT[0], expected=COUNT[1])


def finish(frame: pl.DataFrame, mapping: TableMapping) -> pl.DataFrame:
    """Give the rows that keep the rules their last types and their labels."""
    whole = [name for name, dtype in CONNECTION_SCHEMA.items() if dtype.is_integer() and name in frame.columns]
    frame = frame.with_columns(pl.col(name).round().cast(CONNECTION_SCHEMA[name]) for name in whole)
    if LABEL not in frame.columns or mapping.label is None:
        return frame
    frame = with_labels(frame, LABEL, lambda text: label_name(text, mapping))
    if ORIGINAL in frame.columns:
        frame = frame.with_columns(label_original=pl.coalesce(ORIGINAL, "label_original"))
    said = pl.col("label").is_not_null()  # what is no label is not kept as one
    return frame.with_columns(label_original=pl.when(said).then("label_original"))
