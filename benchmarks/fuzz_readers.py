"""A coverage-guided fuzzer of every reader and every decompressor: how many inputs, how much code, what broke.

    pip install --require-hashes -r requirements/fuzz.txt   # atheris: libFuzzer for Python
    nice .venv/bin/python benchmarks/fuzz_readers.py [--inputs 20000] [--seconds 900] [--only NAME,...] [--keep FOLDER]

For each reader a process mutates our samples of its format, so many inputs or so many seconds, and checks the laws on
each: it is recognised or refused, never more; nothing is raised but `DataError`; every batch has the schema; every row
is accounted for once, in order; the rows do not depend on the size of the batches (one input in sixteen); the
decompressed size is bounded. What breaks one is written to FOLDER and printed; the last line says how many.

An input is a few rows, so what it costs is not the rows but what is done once for a file: blocks are worked on in the
one thread that is there, on the one processor. `mapped` is the example's mapping over CSV, JSON and Parquet. `pcap` is
our own walk through a capture, with connections that are always the same; `pcap_metered` starts the real meter, a
process for each input, so it is slow. `archives` are zips of several files, `parquet_text` is `nf_tables` as Parquet.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "tests" / "ingestion" / "samples"
COMPRESSION, ARCHIVES, PARQUET = "decompressors", "archives", "parquet_text"
MAPPED, METERED = "mapped", "pcap_metered"
SEED_LINES = 5
MAX_BYTES = 4096
MAX_LINE_BYTES = 1500
FREE_BYTES = 1 << 20
TOKENS = (
    *(
        "\\x09",
        ",",
        ";",
        "|",
        " ",
        "\\x0a",
        "\\x0d\\x0a",
        '\\"',
        "-",
        "(empty)",
        "#fields\\x09",
        "#separator \\\\x09\\x0a",
        "#close",
    ),
    *(
        "\\x00",
        "\\xff",
        "\\xef\\xbb\\xbf",
        "\\xed\\xa0\\x80",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e999",
        "-0.0",
        "0x0050",
    ),
    *("18446744073709551616", "-9223372036854775809", "253402300799", "1969-12-31", "9999-12-31T23:59:59Z", "24:00:00"),
    *("{", "}", "[", "]", ":", "null", "true", '{\\"', '\\":', "\\\\ud800", "127.0.0.1", "::1", "65536", "tcp", "icmp"),
)


def main() -> None:
    """Fuzz in this process where --target says what, else each target in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000, help="for each target")
    parser.add_argument("--seconds", type=int, default=900, help="for each target, at most")
    parser.add_argument("--only", default="", help="only these targets, with commas between")
    parser.add_argument("--keep", type=Path, help="where inputs that broke a law are written; default: a new folder")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    given, rest = parser.parse_known_args()
    if given.target:
        fuzz(given.target, rest)
        return
    from cybersec_mlops.ingestion.readers import READERS

    keep = given.keep or Path(tempfile.mkdtemp(prefix="cybersec-mlops-fuzz-"))
    print("| target | seconds | inputs | per second | branches seen | broken laws |\n|---|---:|---:|---:|---:|---:|")
    totals = [0, 0]
    for target in (COMPRESSION, ARCHIVES, *READERS, PARQUET, MAPPED, METERED):
        if not given.only or target in given.only.split(","):
            inputs, broken = run_target(target, given.inputs, given.seconds, keep / target)
            totals = [totals[0] + inputs, totals[1] + broken]
    print(f"\n{datetime.now(UTC):%Y-%m-%d}: {totals[0]:,} inputs, {totals[1]} of them broke a law (kept in {keep})")


def run_target(target: str, wanted: int, seconds: int, keep: Path) -> tuple[int, int]:
    """Fuzz one target in a process of its own, print its line, return the inputs and those that broke a law."""
    (keep / "corpus").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds_of(target)):
        (keep / "corpus" / f"seed-{number}").write_bytes(seed[:MAX_BYTES])
    (keep / "tokens").write_text("".join(f'"{token}"\n' for token in TOKENS))
    inputs = branches = broken = 0
    spent = 0.0
    while spent < seconds and inputs < wanted:  # goes on behind an input that broke a law
        options = [
            f"-max_total_time={int(seconds - spent) or 1}",
            f"-runs={wanted - inputs}",
            f"-max_len={MAX_BYTES}",
            "-timeout=60",
            "-rss_limit_mb=4096",
        ]
        options += ["-print_final_stats=1", f"-dict={keep / 'tokens'}", f"-artifact_prefix={keep}/broken-"]
        begun = datetime.now(UTC)
        done = subprocess.run(
            [sys.executable, __file__, "--target", target, *options, str(keep / "corpus")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"},
            check=False,
        )
        spent += (datetime.now(UTC) - begun).total_seconds()
        told = done.stdout.decode(errors="replace")
        inputs += _last(r"stat::number_of_executed_units: (\d+)", told)
        branches = max(branches, _last(r"cov: (\d+)", told))
        if done.returncode:
            broken += 1
            print(told[-3000:], file=sys.stderr)
            if not inputs:
                break
    print(f"| `{target}` | {spent:.0f} | {inputs:,} | {inputs / spent:,.0f} | {branches:,} | {broken} |", flush=True)
    return inputs, broken


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def seeds_of(target: str) -> Iterator[bytes]:
    """Give the samples that a target begins from, a few rows each."""
    from cybersec_mlops.ingestion.reader import Head, Recognition

    sys.path.insert(0, str(ROOT))
    from tests.ingestion import exports

    frames = (exports.tcp(0x02), exports.tcp(0x12, back=True), exports.udp(b"ping"))
    captures = [exports.pcap(*frames), exports.pcapng(*frames), exports.pcap(*frames, order=">")]
    datagrams = [exports.V5, exports.V9, exports.IPFIX, exports.pcap(*map(exports.udp, exports.V9_PARTS))]
    texts = [_few_lines(path.read_bytes()) for path in sorted(SAMPLES.iterdir())]
    if target == COMPRESSION:
        for text in texts:
            yield from _packed(text[:200])
        return
    if target == ARCHIVES:
        yield from (
            _archive(text[:200], method) for text in texts for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
        )
        return
    if target == PARQUET:
        yield from (_as_parquet((SAMPLES / f"nf_v{version}.csv").read_bytes()) for version in (1, 2, 3))
        return
    texts += [*map(_with_iso_times, texts), *map(_as_array, texts)]
    tables = [_as_parquet((SAMPLES / f"{name}.csv").read_bytes()) for name in ("mapped", "canonical")]
    reader = reader_of_target(target)
    for content in (*texts, *datagrams, *captures, *tables):
        if isinstance(reader.recognise(Head(content, complete=True, tail=content)), Recognition):
            yield content


def _few_lines(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    comments = sum(line.startswith((b"#", b"@", b"%")) for line in lines)
    return b"".join(lines[: comments + SEED_LINES])


def _with_iso_times(content: bytes) -> bytes:
    """Return a log of Zeek's with times as `zeek-cut -u` writes them."""
    return re.sub(rb"(?m)^\d{10}\.(\d+)\t", rb"2024-06-10T06:13:20.\1Z\t", content)


def _as_array(content: bytes) -> bytes:
    return b"[" + b",\n".join(content.splitlines()) + b"]" if content.startswith(b"{") else b""


def _archive(content: bytes, method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, text in (("a.log", content), ("d/.b", gzip.compress(content)), ("../c", b"")):
            archive.writestr(name, text)
    return file.getvalue()


def _as_parquet(content: bytes) -> bytes:
    import polars as pl

    file = io.BytesIO()
    separator = max(b",;", key=content.count)
    frame = pl.read_csv(content, separator=chr(separator), infer_schema=False)
    frame.write_parquet(file, compression="uncompressed", statistics=False)
    return file.getvalue()


def _packed(content: bytes) -> Iterator[bytes]:
    import zstandard

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("d")
        archive.writestr("d/a", content)
        archive.writestr("__MACOSX/d/._a", b"x")
    yield from (gzip.compress(content), bz2.compress(content), zstandard.compress(content))
    yield from (lzma.compress(content), lzma.compress(content, lzma.FORMAT_ALONE))
    yield file.getvalue()


def reader_of_target(target: str):  # type: ignore[no-untyped-def]
    """Return the reader that a target is."""
    from cybersec_mlops.ingestion.mapped import Mapped
    from cybersec_mlops.ingestion.mapping import parse_mapping
    from cybersec_mlops.ingestion.readers import READERS

    if target == MAPPED:
        return Mapped(parse_mapping((ROOT / "examples" / "mapping.toml").read_bytes(), source="mapping.toml"))
    return READERS[{METERED: "pcap", PARQUET: "nf_tables"}.get(target, target)]


def fuzz(target: str, options: list[str]) -> None:
    """Mutate and check until it is enough or a law is broken."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {os.getpid() % (os.cpu_count() or 1)})
    with atheris.instrument_imports(include=["cybersec_mlops.ingestion"]):
        from cybersec_mlops.ingestion import archives, compression, in_order, parquet_text, pcap_flows  # noqa: F401

        in_order.in_order = _one_by_one
        reader = None if target in (COMPRESSION, ARCHIVES) else reader_of_target(target)
    from cybersec_mlops.ingestion.limits import Limits, applied

    if target == "pcap":
        pcap_flows._metering = _metered

    def one(data: bytes) -> None:
        with applied(Limits(max_line_bytes=MAX_LINE_BYTES, ratio_free_bytes=FREE_BYTES, max_ratio=200, max_headers=5)):
            if reader is None:
                check_compression(data) if target == COMPRESSION else check_archive(data)
            elif target == PARQUET:
                check_parquet(reader, data)
            else:
                check_reader(reader, data)

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def _one_by_one(work: Callable[[Any], Any], items: Iterable[Any], **_: object) -> Iterator[Any]:
    return map(work, items)


@contextmanager
def _metered(path: Path, source: str) -> Iterator[BinaryIO]:
    """Give what the meter would write, of connections that are always the same."""
    from cybersec_mlops.ingestion.pcap_meter import COLUMNS, TEXTS

    del path, source
    words = {"orig_h": "10.0.0.1", "resp_h": "192.0.2.1", "application": "DNS.Google", "history": "Dd"}
    values = [words.get(name, "Web") if name in TEXTS or name == "history" else "6" for name in COLUMNS]
    yield io.BytesIO(("\t".join(values) + "\n").encode() * 2)


def check_compression(data: bytes) -> None:
    """Decompress: bounded content, or `DataError`."""
    from cybersec_mlops.errors import DataError
    from cybersec_mlops.ingestion.compression import decompress

    size, hint = 0, "none is needed"
    try:
        stream = decompress(io.BytesIO(data), source="fuzz")
        while piece := stream.read(1 << 16):
            size += len(piece)
    except DataError as error:
        hint = error.hint
    assert hint
    assert size <= FREE_BYTES + (2 << 20) + 200 * len(data)


def check_archive(data: bytes) -> None:
    """Open every file of an archive: bounded content, or `DataError`."""
    from cybersec_mlops.errors import DataError
    from cybersec_mlops.hidden import HIDDEN
    from cybersec_mlops.ingestion import archives

    for info in archives.files_of(io.BytesIO(data)) or ():
        size, hint = 0, "none is needed"
        assert not re.search(f"[{HIDDEN}]", archives.member_name(info))
        assert archives.is_hidden(info) in (True, False)
        try:
            with archives.open_member(io.BytesIO(data), info, "fuzz") as file:
                while piece := file.read(1 << 16):
                    size += len(piece)
        except DataError as error:
            hint = error.hint
        assert hint
        assert size <= FREE_BYTES + (2 << 20) + 200 * max(info.compress_size, len(data))


def check_parquet(reader, data: bytes) -> None:  # type: ignore[no-untyped-def]
    """Recognise and read a table that may be Parquet; every row of it is accounted for."""
    from cybersec_mlops.errors import DataError
    from cybersec_mlops.ingestion import parquet
    from cybersec_mlops.ingestion.parquet_text import read_with, recognise_with
    from cybersec_mlops.ingestion.reader import Head, Recognition

    answer = recognise_with(reader, Head(data, complete=True, tail=data))
    try:
        batches = list(read_with(reader, io.BytesIO(data), source="fuzz"))
    except DataError:
        return
    check_batches(reader, batches)
    if parquet.is_parquet(data) and isinstance(answer, Recognition):
        assert sum(batch.read for batch in batches) == parquet.footer_of(io.BytesIO(data)).rows


def check_reader(reader, data: bytes) -> None:  # type: ignore[no-untyped-def]
    """Recognise and read: every law of `tests/ingestion/test_readers.py` that holds for any bytes."""
    from cybersec_mlops.errors import DataError
    from cybersec_mlops.ingestion.reader import Head

    answer = reader.recognise(Head(data, complete=True, tail=data))
    assert answer is None or answer.__class__.__name__ in ("Recognition", "Refusal")
    try:
        whole = list(reader.read(io.BytesIO(data), source="fuzz"))
        also_small = sum(data[-2:]) % 16 == 0
        pieces = list(reader.read(io.BytesIO(data), source="fuzz", batch_bytes=61)) if also_small else None
    except DataError:
        return
    found = check_batches(reader, whole)
    if pieces is not None:
        assert check_batches(reader, pieces) == found, "the rows depend on the batches"


def check_batches(reader, batches) -> list[tuple[object, ...]]:  # type: ignore[no-untyped-def]
    """Check the schema and the accounts; return everything that was read, in order."""
    from cybersec_mlops.ingestion.reader import REJECTED_ROWS, batch_schema

    rows, seen = list[tuple[object, ...]](), list[int]()
    skipped: dict[str, int] = {}
    schema = batch_schema(reader)
    for batch in batches:
        assert dict(batch.rows.schema) == schema
        assert dict(batch.rejected.schema) == REJECTED_ROWS
        assert batch.read > 0
        assert batch.read == batch.rows.height + batch.rejected.height + sum(batch.skipped.values())
        assert batch.rows["raw_line"].null_count() == batch.rejected["reason"].null_count() == 0
        assert batch.rows["raw_line"].is_sorted()
        assert (
            batch.rejected["text"].str.len_chars().max() is None or batch.rejected["text"].str.len_chars().max() <= 500
        )
        seen += [*batch.rows["raw_line"], *batch.rejected["raw_line"]]
        rows += [tuple(map(repr, row)) for frame in (batch.rows, batch.rejected) for row in frame.iter_rows()]
        for reason, count in batch.skipped.items():
            skipped[reason] = skipped.get(reason, 0) + count
    assert len(seen) == len(set(seen)), "a line is accounted for twice"
    return [*sorted(rows, key=str), *sorted(skipped.items())]


if __name__ == "__main__":
    main()
