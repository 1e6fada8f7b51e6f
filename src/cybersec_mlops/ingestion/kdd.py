"""The readers of KDD Cup 1999 and of NSL-KDD: 41 columns by position, a label, in NSL-KDD a difficulty.

Sources: ``kddcup.names`` of the KDD Cup 1999 (https://kdd.ics.uci.edu/databases/kddcup99/task.html) and NSL-KDD
(Tavallaee et al., CISDA 2009, https://www.unb.ca/cic/datasets/nsl.html). The files have no header; one is tolerated,
and so is that of Weka's ARFF, in which NSL-KDD is published as well, with "normal" and "anomaly" as labels.
The difficulty says how many of 21 learners got the row right: it is kept as ``meta_`` and is never a feature.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import BinaryIO, Final

import polars as pl

from cybersec_mlops.connections import CONNECTION_SCHEMA
from cybersec_mlops.ingestion.delimited import Column, Layout
from cybersec_mlops.ingestion.labels import common_name, with_labels
from cybersec_mlops.ingestion.lines import BOM
from cybersec_mlops.ingestion.reader import BATCH_BYTES, Batch, Head, Recognition, Refusal
from cybersec_mlops.ingestion.screening import Rule, missing, not_whole, outside
from cybersec_mlops.ingestion.tables import Form, Table, names_of, read_table

_CANONICAL: Final = {
    "duration": "duration_s",
    "protocol_type": "proto",
    "service": "service",
    "flag": "conn_state",
    "src_bytes": "orig_bytes",
    "dst_bytes": "resp_bytes",
}
_TRUTHS: Final = ("land", "logged_in", "root_shell", "is_host_login", "is_guest_login")
_COUNTS: Final = (
    "wrong_fragment",
    "urgent",
    "hot",
    "num_failed_logins",
    "num_compromised",
    "su_attempted",
    "num_root",
    "num_file_creations",
    "num_shells",
    "num_access_files",
    "num_outbound_cmds",
    "count",
    "srv_count",
    "dst_host_count",
    "dst_host_srv_count",
)
_NAMES: Final = (
    *("duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent"),
    *("hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted", "num_root"),
    *("num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login", "is_guest_login"),
    *("count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate", "same_srv_rate"),
    *("diff_srv_rate", "srv_diff_host_rate", "dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate"),
    *("dst_host_diff_srv_rate", "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate"),
    *("dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate"),
)
_NATIVE: Final = tuple(name for name in _NAMES if name not in _CANONICAL)
_ROWS_LOOKED_AT: Final = 50
_ARFF: Final = dict.fromkeys((b"@relation", b"@attribute", b"@data", b"%"), "arff_header")
_DIFFICULTY: Final = "meta_kdd_difficulty"
_STATES: Final = frozenset({"SF", "S0", "REJ", "RSTR", "RSTO", "S1", "SH", "S2", "RSTOS0", "S3", "OTH"})
_MEASURES: Final[dict[str, pl.DataType]] = {
    f"kdd_{name}": pl.Boolean() if name in _TRUTHS else pl.Float64() for name in _NATIVE
}


class _KDD(ABC):
    """What both data sets share."""

    name: str
    has_time = False
    shortcut_columns: Mapping[str, str] = {}

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """The 35 columns that have no canonical name."""
        return _MEASURES

    @abstractmethod
    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the first row by the number and kind of its values."""

    def read(self, stream: BinaryIO, *, source: str, batch_bytes: int = BATCH_BYTES) -> Iterator[Batch]:
        """Read a table; see `Reader.read`."""
        del source  # the format has no error of its own
        expected = "one with 41 values, a label and perhaps a difficulty"
        table = Table(_form_of_header, _form_of_row, expected=expected, passed_over=_ARFF)
        return read_table(self, table, stream, batch_bytes=batch_bytes)


class KDD99(_KDD):
    """KDD Cup 1999: the label ends with a full stop, or is absent."""

    name = "kdd99"

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the first row by the number and kind of its values."""
        row = _first_row(head)
        if row is None or len(row) == len(_NAMES) + 2:
            return None
        if len(row) == len(_NAMES):
            return Recognition(self.name, "unlabelled", has_time=False)
        return Recognition(self.name, "labelled", False, (), ("labelled",)) if row[-1].endswith(".") else None


class NSLKDD(_KDD):
    """NSL-KDD, with or without the difficulty."""

    name = "nsl_kdd"

    @property
    def native_columns(self) -> Mapping[str, pl.DataType]:
        """The 35 columns that have no canonical name, and the difficulty."""
        return {**_MEASURES, _DIFFICULTY: pl.Float64()}

    def recognise(self, head: Head) -> Recognition | Refusal | None:
        """Recognise the first row by the number and kind of its values."""
        row = _first_row(head)
        if row is None:
            return _almost(head)
        if len(row) == len(_NAMES) or row[-1].endswith("."):
            return None
        variant = "difficulty" if len(row) == len(_NAMES) + 2 else "plain"
        return Recognition(self.name, variant, has_time=False, notes=("labelled",))


def _first_rows(head: Head) -> list[tuple[int, list[str]]]:
    """Return the first rows with the numbers of their lines."""
    lines = enumerate(io.BytesIO(head.data.removeprefix(BOM)), 1)
    rows = ((number, line) for number, line in lines if not line.lower().startswith(tuple(_ARFF)))
    return [(number, names_of(line)) for number, line in islice(rows, _ROWS_LOOKED_AT)]


def _first_row(head: Head) -> list[str] | None:
    return next((cells for _, cells in _first_rows(head) if _is_row(cells)), None)


def _almost(head: Head) -> Refusal | None:
    """Say what is wrong with a file that has KDD's values but not as many, or only its header."""
    rows = _first_rows(head)
    if head.complete and rows and _form_of_header(rows[0][1]) is not None:
        return Refusal("a KDD table with a header and no rows", hint="give a table with connections", passable=True)
    for number, cells in rows:
        if len(cells) > 4 and _begins_like_a_row(cells):
            return Refusal(
                f"a table like KDD's with {len(cells)} values in a row, expected {len(_NAMES)} to {len(_NAMES) + 2}",
                hint="give the table with its 41 columns, the label, and in NSL-KDD the difficulty",
                line=number,
            )
    return None


def _begins_like_a_row(cells: list[str]) -> bool:
    return cells[1] in {"tcp", "udp", "icmp"} and cells[3] in _STATES


def _is_row(cells: list[str]) -> bool:
    """Say whether a row has KDD's number of values, a protocol and a flag where they belong."""
    return len(_NAMES) <= len(cells) <= len(_NAMES) + 2 and _begins_like_a_row(cells)


def _form_of_header(names: list[str]) -> Form | None:
    if tuple(name.casefold() for name in names[: len(_NAMES)]) != _NAMES:
        return None
    return form_of(names)


def _form_of_row(cells: list[str]) -> Form | None:
    return form_of(cells) if _is_row(cells) else None


def form_of(cells: list[str]) -> Form | None:
    """Return how rows with this many values are read: 41, 42 with a label, 43 with a difficulty."""
    extra = len(cells) - len(_NAMES)
    if not 0 <= extra <= 2:
        return None
    columns = [_column(name) for name in _NAMES]
    columns += [Column("label_text", pl.String()), Column(_DIFFICULTY, pl.Float64())][:extra]
    return Form(Layout(",", tuple(columns)), tuple(_rules()), finish=_finish)


def _column(name: str) -> Column:
    target = _CANONICAL.get(name, f"kdd_{name}")
    if target in ("proto", "service", "conn_state"):
        return Column(target, pl.String())
    return Column(target, pl.Float64())


def _rules() -> Iterator[Rule]:
    yield from (missing(name) for name in ("duration_s", "proto", "conn_state"))
    yield outside("duration_s", 0, 1e9, reason="bad_duration", expected="seconds, 0 or more")
    for name in ("orig_bytes", "resp_bytes"):
        yield outside(name, 0, 2**53, reason="bad_count", expected="a count of 0 or more")
        yield not_whole(name, reason="bad_count", expected="a count of 0 or more")
    for name in _NATIVE:
        column = f"kdd_{name}"
        if name in _TRUTHS:
            yield Rule(column, "bad_boolean", "0 or 1", ~pl.col(column).is_in([0.0, 1.0]))
        elif name in _COUNTS:
            yield outside(column, 0, 2**53, reason="bad_count", expected="a count of 0 or more")
        else:
            yield outside(column, 0, 1, reason="bad_rate", expected="a share from 0 to 1")


def _finish(frame: pl.DataFrame) -> pl.DataFrame:
    frame = frame.with_columns(
        pl.col("proto", "service").str.to_lowercase(),
        *(pl.col(name).cast(CONNECTION_SCHEMA[name]) for name in ("orig_bytes", "resp_bytes")),
        *(pl.col(f"kdd_{name}").cast(pl.Boolean) for name in _TRUTHS),
    )
    return with_labels(frame, "label_text", label_name) if "label_text" in frame.columns else frame


def label_name(text: str) -> str | None:
    """Return the label without the full stop that KDD99 puts behind it.

    >>> label_name("normal."), label_name("neptune")
    ('BENIGN', 'neptune')
    """
    return common_name(text.strip().removesuffix("."))
