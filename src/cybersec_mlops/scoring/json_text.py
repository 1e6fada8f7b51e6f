r"""JSON written by columns: the values of a table as text, put together without a Python object for any of them.

The text is printable ASCII: whatever a log has put into a value, a terminal shows it as text.

>>> table = pl.DataFrame({"name": ["a\x1b[2J", None], "size": [None, 1.5]})
>>> json_values(table).select(record({"name": pl.col("name"), "size": pl.col("size")})).to_series().to_list()
['{"name":"a\\u001b[2J"}', '{"size":1.5}']
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

_PLAIN: Final = r"^[ !#-\[\]-~]*$"
"""Texts that are the same within the quotes of JSON."""


def json_values(table: pl.DataFrame) -> pl.DataFrame:
    """Return texts, numbers and booleans as JSON; null stays null, and so does a number that JSON cannot tell."""
    return table.select(_value(column) for column in table.iter_columns())


def constant(value: Any) -> pl.Expr:
    """Return a value that is the same for every row as JSON."""
    return pl.lit(json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")))


def record(members: Mapping[str, pl.Expr], *, filled: bool = False) -> pl.Expr:
    """Return an object of the members that are not null; null where all are.

    Say `filled` where a member is never null: then nothing is computed twice to find that out.
    """
    named = [pl.concat_str([pl.lit(json.dumps(name) + ":"), value]) for name, value in members.items()]
    made = _enclosed(named, "{", "}")
    return made if filled else pl.when(_any(members.values())).then(made)


def array(values: Sequence[pl.Expr]) -> pl.Expr:
    """Return a list of the values that are not null; null where all are."""
    return pl.when(_any(values)).then(_enclosed(values, "[", "]"))


def _any(values: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal([value.is_not_null() for value in values])


def _enclosed(parts: Sequence[pl.Expr], opening: str, closing: str) -> pl.Expr:
    inner = pl.concat_str(parts, separator=",", ignore_nulls=True)
    return pl.concat_str([pl.lit(opening), inner, pl.lit(closing)])


def _value(column: pl.Series) -> pl.Series:
    if column.dtype == pl.String:
        return _quoted(column)
    if column.dtype.is_float():
        column = column.set(~column.is_finite(), None)
    return column.cast(pl.String)


def _quoted(texts: pl.Series) -> pl.Series:
    other = texts.filter(~texts.str.contains(_PLAIN)).unique()
    if not other.is_empty():
        texts = texts.replace(other, [json.dumps(text)[1:-1] for text in other])
    return pl.select(pl.concat_str([pl.lit('"'), texts, pl.lit('"')])).to_series().alias(texts.name)
