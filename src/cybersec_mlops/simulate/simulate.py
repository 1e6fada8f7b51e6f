"""The command: a period of labelled synthetic traffic as log files in a folder.

The same arguments give the same bytes, with one version of numpy and Polars. Files are written beside their final name
and renamed at the end, so that a folder never holds half a simulation. Nothing that this module did not write is ever
replaced.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

import polars as pl

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.simulate.mark import is_synthetic_head
from cybersec_mlops.simulate.traffic import DEFAULT_START, Plan, attacks_by_kind, simulate_traffic
from cybersec_mlops.simulate.writers import FORMATS, LogFormat

DATASET: Final = "synthetic-day"
"""Name of the data set where nobody gives another."""

_COMPRESS_LEVEL: Final = 3
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Simulated:
    """What was written."""

    files: tuple[Path, ...]
    """In order of time."""
    connections: int
    attacks: dict[str, int]
    """Malicious connections by kind."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One file and the time that it covers."""

    path: Path
    begins: datetime
    ends: datetime

    @property
    def unfinished(self) -> Path:
        """Where it is written first; a hidden name, which folder scans pass over."""
        return self.path.with_name(f".{self.path.name}.part")


def simulate(
    folder: Path,
    *,
    connections: int = 80_000,
    hours: float = 24.0,
    start: datetime = DEFAULT_START,
    seed: int = 7,
    format: str = "zeek-tsv",  # noqa: A002 - the name of the command's option
    labelled: bool = True,
    rotate: bool = True,
    compress: bool = False,
    attack_fraction: float = 0.025,
) -> Simulated:
    """Write synthetic connection logs.

    Parameters
    ----------
    folder : Path
        Made when missing. Rotated files lie in it, or in one folder a day where the period touches several days.
    connections : int
        Exact number of rows, 1 to 1e9; memory does not grow with it.
    hours : float
        Length of the period, to a month.
    start : datetime
        Its beginning, with a zone.
    seed : int
        The only source of chance.
    format : str
        A name in `FORMATS`: zeek-tsv, zeek-json, cicflowmeter.
    labelled : bool
        Write the labels.
    rotate : bool
        One file per hour with traffic (``conn.00:00:00-01:00:00.log``) as Zeek rotates them, else one file.
    compress : bool
        gzip, without a time stamp.
    attack_fraction : float
        Share of malicious rows, 0 to 0.5.

    Raises
    ------
    ConfigError
        An argument is out of range, or the folder holds files that are not to be replaced.
    PlatformError
        The disk did not take it.
    """
    if format not in FORMATS:
        raise ConfigError(f"format is {format!r}, expected one of {', '.join(FORMATS)}", hint="choose one of these")
    plan, folder = Plan(connections, hours, start, seed, attack_fraction), Path(folder)
    parts = _lay_out(folder, plan, FORMATS[format], rotate=rotate, suffix=".gz" if compress else "")
    _check_folder(folder, {part.path for part in parts})
    origin = f"cybersec-mlops simulate\tdataset={DATASET}\tseed={seed}\tconnections={connections}\thours={hours:g}"
    origin += f"\tattack_fraction={attack_fraction:g}"
    try:
        written = _write(plan, FORMATS[format], parts, origin, labelled=labelled, compress=compress)
        _publish(parts, written)
    except OSError as error:
        raise PlatformError(
            f"{folder}: cannot write simulated logs: {error.strerror or error}", hint="check space and permissions"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            for part in parts:
                part.unfinished.unlink(missing_ok=True)
    return Simulated(tuple(part.path for part in written), plan.connections, attacks_by_kind(plan))


def _lay_out(folder: Path, plan: Plan, log_format: LogFormat, *, rotate: bool, suffix: str) -> list[_Part]:
    """Name every file that the period can have."""
    end = plan.start + timedelta(hours=plan.hours)
    if not rotate:
        return [_Part(folder / f"{log_format.stem}.{log_format.suffix}{suffix}", plan.start, end)]
    parts, begins = [], plan.start
    several_days = plan.start.date() != (end - timedelta(microseconds=1)).date()
    while begins < end:
        ends = begins.replace(minute=0, second=0, microsecond=0) + _HOUR
        name = f"{log_format.stem}.{begins:%H:%M:%S}-{ends:%H:%M:%S}.{log_format.suffix}{suffix}"
        home = folder / f"{begins:%Y-%m-%d}" if several_days else folder
        parts.append(_Part(home / name, begins, ends))
        begins = ends
    return parts


def _check_folder(folder: Path, ours: set[Path]) -> None:
    """Refuse a folder in which something else would be replaced, or mixed with what is to be written."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file, expected a folder", hint="name a folder; it is made when missing")
    for path in sorted(ours):
        if path.is_symlink() or (path.exists() and not _is_ours(path)):
            raise ConfigError(
                f"{path} exists and was not written by simulate", hint="name another folder; nothing is overwritten"
            )
    for path in sorted({*folder.glob("conn*"), *folder.glob("*/conn*")} - ours):
        if path.is_file() and _is_ours(path):
            raise ConfigError(
                f"{path} is of another simulation and would be mixed with this one",
                hint="name another folder or remove it",
            )


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            magic = opened.read(2)
        with gzip.open(path) if magic == b"\x1f\x8b" else path.open("rb") as opened:
            return is_synthetic_head(opened.read(8192))
    except (OSError, EOFError, zlib.error):
        return False


def _write(
    plan: Plan, log_format: LogFormat, parts: list[_Part], origin: str, *, labelled: bool, compress: bool
) -> list[_Part]:
    """Write the parts that have rows, unfinished."""
    written: list[_Part] = []
    with contextlib.ExitStack() as stack:
        stream: IO[bytes] | None = None
        before = 0
        for part, rows in _by_part(plan, parts):
            if not written or written[-1] is not part:
                if stream is not None:
                    stream.write(log_format.footer(written[-1].ends))
                    stack.pop_all().close()
                stream, before = stack.enter_context(_open(part.unfinished, compress=compress)), 0
                stream.write(log_format.header(labelled, origin, part.begins))
                written.append(part)
            assert stream is not None
            stream.write(log_format.rows(rows.drop("part", strict=False), labelled, before))
            before += rows.height
        if stream is not None:
            stream.write(log_format.footer(written[-1].ends))
    return written


def _by_part(plan: Plan, parts: list[_Part]) -> Iterator[tuple[_Part, pl.DataFrame]]:
    """Cut the slices at the borders of the files."""
    borders = pl.Series([part.begins for part in parts], dtype=pl.Datetime("us", "UTC"))
    for rows in simulate_traffic(plan):
        cuts = [*rows.get_column("ts").search_sorted(borders, "left").to_list()[1:], rows.height]
        first = 0
        for part, cut in zip(parts, cuts, strict=True):
            if cut > first:
                yield part, rows.slice(first, cut - first)
                first = cut


@contextlib.contextmanager
def _open(path: Path, *, compress: bool) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw:
        if not compress:
            yield raw
            return
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=_COMPRESS_LEVEL) as packed:
            yield packed  # type: ignore[misc]


def _publish(parts: list[_Part], written: list[_Part]) -> None:
    """Give the files their names; what an earlier run of the same name wrote and this one did not is removed."""
    for part in parts:
        if part in written:
            part.unfinished.replace(part.path)
        else:
            part.path.unlink(missing_ok=True)
