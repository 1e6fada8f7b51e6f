"""The lines of nfdump's text: what a header says about the rows below it, and how they are cut into columns.

Columns are parted by blanks, padded, and some hold blanks themselves: the date, and numbers with a unit ("1.2 M").
Source: nfdump(1), ``-o line``, ``long``, ``extended``, ``biline``, ``bilong`` and ``fmt:``, versions 1.5 to 1.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from cybersec_mlops.ingestion.delimited import Column, Layout, read_cells
from cybersec_mlops.ingestion.lines import Lines
from cybersec_mlops.ingestion.rejected import Rejected

DATE: Final = "date"
NUMBER: Final = "number"
REST: Final = "rest"
WORD: Final = "word"

PHRASES: Final[dict[str, tuple[str | None, str]]] = {
    "Date first seen": ("ts", DATE),
    "Date flow start": ("ts", DATE),
    "Date last seen": (None, DATE),
    "Date flow end": (None, DATE),
    "Duration": ("duration_s", WORD),
    "Proto": ("proto", WORD),
    "Src IP Addr:Port": ("orig", WORD),
    "Dst IP Addr:Port": ("resp", WORD),
    "Src IP Addr(..):Port": ("orig", WORD),
    "Dst IP Addr(..):Port": ("resp", WORD),
    "Src IP Addr": ("orig_h", WORD),
    "Dst IP Addr": ("resp_h", WORD),
    "Src Pt": ("orig_p", WORD),
    "Dst Pt": ("resp_p", WORD),
    "Src Port": ("orig_p", WORD),
    "Dst Port": ("resp_p", WORD),
    "Flags": ("nfdump_flags", WORD),
    "Tos": ("nfdump_tos", WORD),
    "STos": ("nfdump_tos", WORD),
    "DTos": (None, WORD),
    "Packets": ("orig_pkts", NUMBER),
    "Bytes": ("orig_ip_bytes", NUMBER),
    "In Pkt": ("orig_pkts", NUMBER),
    "In Byte": ("orig_ip_bytes", NUMBER),
    "Out Pkt": ("resp_pkts", NUMBER),
    "Out Byte": ("resp_ip_bytes", NUMBER),
    "pps": (None, NUMBER),
    "bps": (None, NUMBER),
    "Bpp": (None, NUMBER),
    "bpp": (None, NUMBER),
    "Flows": ("nfdump_flows", NUMBER),
    "Src AS": (None, WORD),
    "Dst AS": (None, WORD),
    "Input": (None, WORD),
    "Output": (None, WORD),
    "Label": ("label_text", REST),
}
"""Names in a header, to the column that they become (None: not read) and how its values look."""

_KNOWN: Final = re.compile("|".join(re.escape(name) for name in sorted(PHRASES, key=len, reverse=True)))
_BEGINNINGS: Final = ("Date first seen", "Date flow start")
_COMMON: Final = ("Date first seen", "Duration", "Proto", "Src IP Addr:Port", "Dst IP Addr:Port")
_TWO_WAYS: Final = ("Out Pkt", "In Pkt", "Out Byte", "In Byte", "Flows")
_LAYOUTS: Final[dict[str, tuple[str, ...]]] = {
    "line": (*_COMMON, "Packets", "Bytes", "Flows"),
    "long": (*_COMMON, "Flags", "Tos", "Packets", "Bytes", "Flows"),
    "extended": (*_COMMON, "Flags", "Tos", "Packets", "Bytes", "pps", "bps", "Bpp", "Flows"),
    "biline": (*_COMMON, *_TWO_WAYS),
    "bilong": (*_COMMON, "Flags", "Tos", *_TWO_WAYS),
}
_ROW: Final = re.compile(r"\s*\d{4}-\d\d-\d\d\s+\d\d:\d\d:\d\d\S*\s+\S+\s+\S+\s+\S+\s+(<?->)\s+\S+((?:\s+\S+)+?)\s*$")
_UNIT: Final = re.compile(r"(?<=\d)\s([KMGT])(?=\s|$)")
_FAR_UNIT: Final = re.compile(rb"[ \t]{2}[KMGT](?=[ \t\n])")
"""A unit that stands apart from its number: is it one?"""
_PATTERNS: Final = {
    DATE: r"([^ \t]+[ \t]+[^ \t]+)",
    NUMBER: r"([^ \t]+(?:[ \t][KMGT])?)",
    WORD: r"([^ \t]+)",
    REST: r"(.*?)",
}


@dataclass(frozen=True, slots=True)
class TextForm:
    """What a header says."""

    names: tuple[str, ...]
    """Keys of `PHRASES` in their order."""
    unknown: tuple[str, ...] = ()
    """Words of the header that are none of them: the rows cannot be cut."""

    @property
    def variant(self) -> str:
        """The layout's name in nfdump, "fmt" where it is another one; with countries it is the same layout."""
        spelt = tuple("Date first seen" if name in _BEGINNINGS else name for name in self.names if name != "Label")
        spelt = tuple(name.replace("(..)", "") for name in spelt)
        return next((name for name, names in _LAYOUTS.items() if names == spelt), "fmt")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(column for column, _ in (PHRASES[name] for name in self.names) if column)

    @property
    def pattern(self) -> str:
        """A regular expression of a row, with a named group for each column."""
        pieces = []
        for position, name in enumerate(self.names):
            column, kind = PHRASES[name]
            pattern = _PATTERNS[REST] if kind == REST and position == len(self.names) - 1 else _PATTERNS[kind]
            arrow = r"(?:<?->[ \t]+)?" if name.startswith("Dst IP") else ""
            pattern = r"([^ \t<-][^ \t]*)" if arrow else pattern
            pieces.append(arrow + (pattern.replace("(", f"(?P<{column}>", 1) if column else _uncaptured(pattern)))
        return r"^[ \t]*" + r"[ \t]+".join(pieces) + r"[ \t]*$"


def _uncaptured(pattern: str) -> str:
    return pattern.replace("(", "(?:", 1)


def form_of_header(line: bytes) -> TextForm | None:
    """Return what a header says; None where the line is none.

    >>> form_of_header(b"Date first seen  Duration Proto Src IP Addr:Port Dst IP Addr:Port Packets Bytes Flows").variant
    'line'
    """
    if not line.startswith(b"Date f"):
        return None
    text = " ".join(line.decode(errors="replace").split())
    names = tuple(_KNOWN.findall(text))
    if not names or names[0] not in _BEGINNINGS:
        return None
    form = TextForm(names, tuple(_KNOWN.sub(" ", text).split()))
    twice = {column for column in form.columns if form.columns.count(column) > 1}
    return TextForm(names, (*form.unknown, *sorted(twice)))


def form_of_row(line: bytes) -> TextForm | None:
    """Return the layout of a row without a header (``-q``), by its arrow and the number of its values."""
    match = _ROW.match(_UNIT.sub(r"\1", line.decode(errors="replace")))
    if match is None:
        return None
    two_ways, count = match[1] == "<->", len(match[2].split())
    for names in _LAYOUTS.values():
        if len(names) - len(_COMMON) == count and ("Out Pkt" in names) == two_ways:
            return TextForm(names)
    return None


def read_text(lines: Lines, form: TextForm, rejected: Rejected) -> tuple[Lines, pl.DataFrame]:
    """Cut rows into columns of text; those that cannot be cut go to `rejected`."""
    if (frame := _cut_at_once(lines, form)) is not None:
        return lines, frame
    texts = pl.Series("text", lines.data.decode().split("\n")[:-1], dtype=pl.String)
    frame = texts.str.extract_groups(form.pattern).struct.unnest()
    whole = frame.to_series(0)
    bad = whole.is_null().arg_true().to_list()
    for index in bad:
        rejected.add(lines, index, "ragged_row", detail=f"expected {', '.join(form.names)}, parted by blanks")
    return lines.edit(dict.fromkeys(bad)), frame.filter(whole.is_not_null()) if bad else frame


def _cut_at_once(lines: Lines, form: TextForm) -> pl.DataFrame | None:
    """Cut rows as a table of words, five times as fast; None where a row is not as simple as that."""
    if not lines.height or b"\r" in lines.data or not lines.data.isascii() or _FAR_UNIT.search(lines.data):
        return None
    columns = tuple(_columns(form))
    words = Lines(_single_blanks(lines), 1)
    blanks = np.searchsorted(words.positions(32), words.ends)
    if (np.diff(blanks, prepend=0) != len(columns) - 1).any():
        return None
    frame = read_cells(words, Layout(" ", columns), Rejected()).frame
    plain = [column for column, kind in (PHRASES[name] for name in form.names) if column and kind != NUMBER]
    if any(frame[name].str.contains("[KMGT]$").any() for name in plain):  # a unit, if it was a word of its own
        return None
    if frame["arrow"].is_in(["->", "<->"]).all():
        return frame.with_columns(pl.concat_str("date", "ts", separator=" ").alias("ts")).drop("arrow", "date")
    return None


def _single_blanks(lines: Lines) -> bytes:
    """Return lines whose words are parted by one blank, with units beside their number."""
    codes = np.where(lines.codes == 9, np.uint8(32), lines.codes)
    parted = (codes == 32) | (codes == 10)
    codes = codes[~((codes == 32) & np.append(True, parted[:-1]))]
    parted = (codes == 32) | (codes == 10)
    after = np.append(parted[1:], True)
    unit = ((codes == 75) | (codes == 77) | (codes == 71) | (codes == 84)) & after & np.append(False, codes[:-1] == 32)
    return bytes(codes[~((codes == 32) & (after | np.append(unit[1:], False)))].tobytes())


def _columns(form: TextForm) -> Iterator[Column | None]:
    for name in form.names:
        column, kind = PHRASES[name]
        if name.startswith("Dst IP"):
            yield Column("arrow", pl.String())
        if kind == DATE:
            yield Column("date", pl.String()) if column else None
        yield Column(column, pl.String()) if column else None


def cell(line: bytes, form: TextForm, field: str) -> str | None:
    """Return the text of a column in a row."""
    match = re.match(form.pattern, line.decode(errors="replace"))
    found = None if match is None else match.groupdict().get(field)
    return found if found is None else str(found)
