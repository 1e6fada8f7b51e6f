"""What whoever writes the logs can write, given to the real commands: a clear answer, bounded memory, no hang."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard

pytestmark = pytest.mark.xdist_group("hostile")  # all look at one inspection, which takes a quarter of a minute

SAMPLES = Path(__file__).parent / "ingestion" / "samples"
ZEEK = (SAMPLES / "zeek_conn.log").read_bytes()
JSON = (SAMPLES / "zeek_conn.json").read_bytes()
CSV = (SAMPLES / "cic2017_flows.csv").read_bytes()
EVE = (SAMPLES / "suricata_eve.json").read_bytes()
ROWS = 6
MIB = 1 << 20
MOST_MEMORY = 700 * MIB
"""Of a child that meets several GiB of content; Python and Polars alone take some 130 MiB."""
ROW = json.loads(JSON.splitlines()[0])
EVIL = "=cmd|' /C calc'!A1<script>alert(1)</script>\x1b[31m\u202egpj.exe"


def pieces(compressor: Any, head: bytes, count: int) -> bytes:
    """Compress a head and many MiB of zeros."""
    zeros = bytes(MIB)
    return b"".join(
        [compressor.compress(head), *(compressor.compress(zeros) for _ in range(count)), compressor.flush()]
    )


def zipped(*names: str, content: bytes = ZEEK, encrypted: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, content)
    data = bytearray(file.getvalue())
    data[6] |= encrypted
    return bytes(data)


def tarred(name: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(ZEEK)
        archive.addfile(member, io.BytesIO(ZEEK))
    return file.getvalue()


def rows(*changes: dict[str, Any]) -> bytes:
    """Return the sample in JSON with further rows that have these values."""
    return JSON + b"".join(json.dumps({**ROW, **change}).encode() + b"\n" for change in changes)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@dataclass(frozen=True)
class Case:
    """A file, and what must be said of it."""

    content: Callable[[], bytes]
    problem: str | None = None
    """Words of the error; None where the file can be used."""
    rejected: dict[str, int] | None = None
    kept: int = ROWS


CASES: dict[str, Case] = {
    # decompression bombs: all begin like a log, or nothing more of them would be read
    "bomb.gz": Case(lambda: pieces(zlib.compressobj(9, wbits=31), ZEEK, 400), "decompression bomb"),
    "bomb.xz": Case(lambda: lzma.compress(ZEEK) + lzma.compress(bytes(16 * MIB)) * 200, "decompression bomb"),
    "bomb.bz2": Case(lambda: bz2.compress(ZEEK) + bz2.compress(bytes(16 * MIB)) * 200, "decompression bomb"),
    "bomb.zst": Case(lambda: pieces(zstandard.ZstdCompressor(level=1).compressobj(), ZEEK, 3000), "decompression bomb"),
    "bomb.zip": Case(lambda: zipped("a", content=ZEEK + bytes(64 * MIB)), "decompression bomb"),
    "nested.gz": Case(lambda: gzip.compress(gzip.compress(ZEEK)), "gzip inside another compression"),
    "members.gz": Case(lambda: gzip.compress(b"") * 100_000 + gzip.compress(ZEEK)),
    "members.zst": Case(lambda: zstandard.compress(b"") * 100_000 + zstandard.compress(ZEEK)),
    # archives
    "slip.zip": Case(lambda: zipped("../../../../../../tmp/cybersec-mlops-slipped.log")),
    "absolute.zip": Case(lambda: zipped("/tmp/cybersec-mlops-slipped.log")),
    "encrypted.zip": Case(lambda: zipped("a.log", encrypted=True), "encrypted zip"),
    "slip.tar": Case(lambda: tarred("../../x.log"), "a tar archive"),
    "slip.tar.gz": Case(lambda: gzip.compress(tarred("/tmp/x.log")), "a tar archive"),
    # lines, depths, columns
    "long_line.log": Case(lambda: ZEEK + b"x" * 100_000_000 + b"\n", rejected={"line_too_long": 1}),
    "long_line.json": Case(lambda: JSON + b'{"a": "' + b"x" * 100_000_000 + b'"}\n', rejected={"line_too_long": 1}),
    "one_long_line.txt": Case(lambda: b"x" * 20_000_000, "is not of a known format"),
    "deep.json": Case(
        lambda: JSON + b'{"ts": ' + nested(100_000) + b"}\n" + nested(500_000) + b"\n" + nested(1000) + b"\n",
        rejected={"not_json": 3},
    ),
    "deep_first.json": Case(
        lambda: b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n" + JSON, rejected={"not_json": 1}
    ),
    "deep_unread.json": Case(
        lambda: JSON[:-2] + b', "x": ' + nested(100_000) + b"}\n", rejected={"not_json": 1}, kept=ROWS - 1
    ),
    "deep_eve.json": Case(
        lambda: EVE + b'{"event_type": "flow", "timestamp": "x", "flow": ' + nested(100_000) + b"}\n",
        rejected={"not_json": 1},
    ),
    "deep_array.json": Case(lambda: b"[" * 1_000_000, "is not of a known format"),
    "columns.csv": Case(lambda: b",".join(b"c%d" % i for i in range(1_000_000)) + b"\n", "a line of more than 1 MiB"),
    "columns.log": Case(
        lambda: ZEEK.replace(b"#fields", b"#fields" + b"\ta" * 3_000), "3,021 columns, expected at most 2,000"
    ),
    "keys.json": Case(lambda: rows({f"k{i}": i for i in range(50_000)}), kept=ROWS + 1),
    "headers.csv": Case(lambda: CSV.partition(b"\n")[0].join([b"", b"\n"]) * 5_000 + CSV, kept=5),
    # encodings
    "not_utf8.log": Case(lambda: ZEEK.replace(b"tcp", b"t\xffp", 1), rejected={"not_utf8": 1}, kept=ROWS - 1),
    "nul.log": Case(lambda: ZEEK.replace(b"tcp", b"t\0p", 1), rejected={"nul_byte": 1}, kept=ROWS - 1),
    "utf16.log": Case(lambda: ZEEK.decode().encode("utf-16"), "text in UTF-16"),
    "utf32.log": Case(lambda: ZEEK.decode().encode("utf-32"), "text in UTF-32"),
    "empty.log": Case(lambda: b"", "is empty"),
    "empty.gz": Case(lambda: gzip.compress(b""), "is empty"),
    # values
    "not_finite.json": Case(
        lambda: (
            rows({"duration": float("nan")}, {"duration": float("inf")})
            + JSON.splitlines()[0][:-1]
            + b', "missed_bytes": 1e999}\n'
        ),
        rejected={"not_json": 3},
    ),
    "too_large.json": Case(
        lambda: rows(
            {"orig_bytes": 2**63},
            {"orig_bytes": 2**200},
            {"orig_bytes": 1e300},
            {"orig_bytes": -1},
            {"duration": 1e300},
        ),
        rejected={"bad_count": 3, "bad_duration": 1, "not_json": 1},
    ),
    "ports.json": Case(
        lambda: rows({"id.orig_p": 65_536}, {"id.orig_p": -1}, {"id.orig_p": 80.5}, {"id.orig_p": "http"}),
        rejected={"bad_port": 4},
    ),
    "times.json": Case(
        lambda: rows(
            {"ts": 253_402_300_799.0},
            {"ts": "9999-12-31T23:59:59Z"},
            {"ts": -1.0},
            {"ts": "1969-12-31T23:59:59Z"},
            {"ts": 1e300},
        ),
        rejected={"bad_time": 5},
    ),
    "negative_zero.json": Case(lambda: rows({"duration": -0.0}), kept=ROWS + 1),
    "texts.json": Case(
        lambda: rows({"id.orig_h": EVIL}, {"service": EVIL, "label": EVIL, "uid": EVIL}),
        rejected={"bad_address": 1},
        kept=ROWS + 1,
    ),
}
MEMBERS = {
    "../../../../../../tmp/cybersec-mlops-slipped.log": ZEEK,
    "/tmp/cybersec-mlops-slipped.log": ZEEK,
    "\x1b[31m<script>.log": ZEEK,
    "bomb.log": ZEEK + bytes(64 * MIB),
}
"""The files of a zip of several."""
SEVERAL_NAMES = (
    "<script>alert(1)<\\script>.log",
    "\x1b[31mred\n=cmd|calc\u202egol.log",
    "y" * 251 + ".log",
    os.fsdecode(b"\xff\xfe.log"),
    "$(touch owned);`touch owned`.log",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("hostile") / "logs"
    folder.mkdir()
    for name, case in CASES.items():
        (folder / name).write_bytes(case.content())
    for name in SEVERAL_NAMES:
        (folder / name).write_bytes(ZEEK)
    with zipfile.ZipFile(folder / "several.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    (folder.parent / "outside.log").write_bytes(ZEEK)
    (folder / "outside.log").symlink_to(folder.parent / "outside.log")
    (folder / "zero.log").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path is short
        listener.bind("socket")
        os.chdir(here)
        yield folder


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str
    memory: int
    """Peak resident bytes."""


MEASURED = """
import resource, subprocess, sys
code = subprocess.call([sys.executable, "-m", "cybersec_mlops.cli", *sys.argv[2:]], stdin=subprocess.DEVNULL)
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""
"""Linux counts the memory of whoever forked as that of the child: so a small process forks, and not the tests' own."""


def run(folder: Path, *arguments: str | Path) -> Ran:
    """Run the real command, its memory measured."""
    command = [sys.executable, "-c", MEASURED, folder / "memory", *arguments]
    with (folder / "out").open("w+b") as out, (folder / "err").open("w+b") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        timer = threading.Timer(300, os.killpg, (child.pid, signal.SIGKILL))
        timer.start()
        code = child.wait()
        timer.cancel()
        out.seek(0)
        err.seek(0)
        return Ran(code, out.read().decode(), err.read().decode(), int((folder / "memory").read_text()) * 1024)


@pytest.fixture(scope="module")
def inspected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    scratch = tmp_path_factory.mktemp("inspect")
    (scratch / "run.toml").write_text(f"[limits]\nratio_free_bytes = {16 * MIB}\n")
    return run(scratch, "inspect", "--json", "--config", scratch / "run.toml", folder)


@pytest.fixture(scope="module")
def files(inspected: Ran, folder: Path) -> dict[str, dict[str, Any]]:
    """Return what is said of each file, by its name as it is shown."""
    document = json.loads(inspected.out)
    return {str(Path(one["source"]).relative_to(folder)): one for one in document["files"]}


def test_everything_is_read_in_bounded_memory(inspected: Ran) -> None:
    assert inspected.code == 3, inspected.err
    assert inspected.memory < MOST_MEMORY


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_gets_a_clear_answer(name: str, files: dict[str, dict[str, Any]]) -> None:
    case, found = CASES[name], files[name]
    if case.problem is not None:
        assert case.problem in found["problem"]
        assert found["status"] in ("refused", "passed over")
        assert found["hint"]
    else:
        assert (found["status"], found["problem"]) == ("usable", None)
        assert found["kept"] == case.kept
        assert found["rejected"] == (case.rejected or {})
        assert found["read"] == found["kept"] + sum(found["rejected"].values()) + sum(found["skipped"].values())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("outside.log", "a symbolic link that leaves the folder"),
        ("zero.log", "a symbolic link that leaves the folder"),
        ("loop", "a symbolic link to a folder"),
        ("pipe", "not a regular file"),
        ("socket", "not a regular file"),
    ],
)
def test_what_is_no_file_is_passed_over(name: str, reason: str, files: dict[str, dict[str, Any]]) -> None:
    assert (files[name]["status"], files[name]["problem"]) == ("passed over", reason)


def test_hostile_names_are_read_and_shown_without_their_control_characters(files: dict[str, dict[str, Any]]) -> None:
    others = {name: one for name, one in files.items() if name not in CASES and one["status"] == "usable"}
    assert len(others) == len(SEVERAL_NAMES) + len(MEMBERS) - 1
    assert all(one["kept"] == ROWS for one in others.values())
    assert all(name.isprintable() for name in others)


def test_of_a_zip_of_several_files_each_gets_its_own_answer(files: dict[str, dict[str, Any]]) -> None:
    found = {name.removeprefix("several.zip/"): one for name, one in files.items() if name.startswith("several.zip/")}
    assert len(found) == len(MEMBERS)
    bomb = found.pop("bomb.log")
    assert bomb["status"] == "refused"
    assert "decompression bomb" in bomb["problem"]
    assert {one["kept"] for one in found.values()} == {ROWS}
    assert {"../../../../../../tmp/cybersec-mlops-slipped.log", "\\x1b[31m<script>.log"} < found.keys()


def test_nothing_reaches_the_terminal_that_it_would_obey(folder: Path, tmp_path: Path) -> None:
    names = [folder / "texts.json", *(folder / name for name in SEVERAL_NAMES)]
    told = run(tmp_path, "inspect", *names)
    assert told.code == 0, told.err
    assert "<script>" in told.out  # text is text
    assert obeyed(told.out + told.err) == set()


def obeyed(text: str) -> set[str]:
    """Return the characters that change what a terminal shows, beyond lines and tabs."""
    return {character for character in text if unicodedata.category(character) in ("Cc", "Cf")} - {"\n", "\t"}


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/proc/kmsg", "pipe", "socket"])
def test_a_device_that_is_named_is_refused_at_once(name: str, folder: Path, tmp_path: Path) -> None:
    told = run(tmp_path, "inspect", folder / name)
    assert told.code == 3
    assert "is not a regular file" in told.err or "cannot be read" in told.out + told.err


def test_nothing_is_unpacked_to_a_path(files: dict[str, dict[str, Any]]) -> None:
    assert files["slip.zip"]["kept"] == files["absolute.zip"]["kept"] == ROWS
    assert not Path("/tmp/cybersec-mlops-slipped.log").exists()
    assert not Path("owned").exists()
