"""What a SOURCE stands for."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion.limits import Limits, applied
from cybersec_mlops.ingestion.sources import expand, expand_store, stream_of
from cybersec_mlops.storage.objects import ObjectStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.log", "a.log", "deep/er/c.log", "deep/d.txt", ".hidden"):
        (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / name).write_text(name)
    return tmp_path / "logs"


def names(found: object, folder: Path) -> list[str]:
    sources = found.sources  # type: ignore[attr-defined]
    return [str(Path(source.name).relative_to(folder)) for source in sources]


def test_a_file_is_itself(folder: Path) -> None:
    (source,) = expand(str(folder / "a.log")).sources
    assert (source.name, source.bytes, source.explicit) == (str(folder / "a.log"), 5, True)
    with source.open() as file:
        assert file.read() == b"a.log"


def test_a_hidden_file_can_be_named(folder: Path) -> None:
    assert expand(str(folder / ".hidden")).sources[0].explicit


def test_a_folder_is_everything_below_it_in_order(folder: Path) -> None:
    found = expand(str(folder))
    assert names(found, folder) == ["a.log", "b.log", "deep/d.txt", "deep/er/c.log"]
    assert not any(source.explicit for source in found.sources)
    assert [(Path(item.name).name, item.reason) for item in found.skipped] == [(".hidden", "a hidden file")]


def test_a_hidden_folder_is_passed_over_unless_it_is_named(folder: Path) -> None:
    (folder / "deep" / ".snapshot").mkdir()
    (folder / "deep" / ".snapshot" / "old.log").write_text("old")
    found = expand(str(folder))
    assert names(found, folder) == names(expand(str(folder / "**")), folder)
    assert ("deep/.snapshot", "a hidden folder") in {
        (str(Path(one.name).relative_to(folder)), one.reason) for one in found.skipped
    }
    assert names(expand(str(folder / "deep" / ".snapshot")), folder) == ["deep/.snapshot/old.log"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.log", ["a.log", "b.log"]),
        ("**/*.log", ["a.log", "b.log", "deep/er/c.log"]),
        ("d*", ["deep/d.txt", "deep/er/c.log"]),
        ("?.log", ["a.log", "b.log"]),
    ],
)
def test_a_pattern_is_what_it_matches(folder: Path, pattern: str, expected: list[str]) -> None:
    assert names(expand(str(folder / pattern)), folder) == expected


def test_a_file_whose_name_is_a_pattern_is_itself(folder: Path) -> None:
    (folder / "[x].log").write_text("x")
    assert expand(str(folder / "[x].log")).sources[0].explicit


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nothing.log", "there is no such file or folder"),
        ("*.pcap", "no file matches this pattern"),
        ("empty", "the folder has no files"),
        ("pipe", "is not a regular file"),
    ],
)
def test_what_is_not_there_is_told(folder: Path, source: str, problem: str) -> None:
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(DataError, match=problem) as caught:
        expand(str(folder / source))
    assert source in str(caught.value.source)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x" * 5_000, "cannot be read: File name too long"),
        ("x" * 300 + "*", "no file matches this pattern"),
        ("itself.log", "cannot be read: Too many levels of symbolic links"),
        ("a.log/b.log", "there is no such file or folder"),
    ],
)
def test_a_name_that_the_system_refuses_is_told(folder: Path, source: str, problem: str) -> None:
    (folder / "itself.log").symlink_to("itself.log")
    with pytest.raises(DataError, match=problem) as caught:
        expand(str(folder / source))
    assert len(str(caught.value.source)) <= 1_000


@pytest.mark.parametrize("source", ["closed", "closed/a.log"])
def test_a_folder_that_may_not_be_read_is_told(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(place: object, **_: object) -> object:
        if "closed" in os.fspath(place):  # type: ignore[call-overload]
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
        return real(place)

    (folder / "closed").mkdir()
    called = "scandir" if source == "closed" else "stat"  # root may do both, whatever the mode
    real = getattr(os, called)
    monkeypatch.setattr(os, called, denied)
    with pytest.raises(DataError, match="cannot be read: Permission denied") as caught:
        expand(str(folder / source))
    assert source in str(caught.value.source)


@pytest.mark.parametrize("place", ["/proc/self/mem", "/proc/kmsg"])
def test_a_file_that_fails_while_it_is_read_is_told_by_name(place: str) -> None:
    try:
        (source,) = expand(place).sources
    except DataError:
        pytest.skip(f"there is no {place}")
    with source.open() as file, pytest.raises(DataError, match=f"{place}: cannot be read: ") as caught:
        list(iter(lambda: file.read(1 << 20), b""))  # the log of the kernel ends once all of it was said
    assert caught.value.hint


@pytest.mark.parametrize("source", ["", "  ", "a\0b"])
def test_no_name_is_no_source(source: str) -> None:
    with pytest.raises(DataError):
        expand(source)


def test_links_that_leave_the_folder_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (folder / "out.log").symlink_to(tmp_path / "secret")
    (folder / "in.log").symlink_to(folder / "a.log")
    (folder / "loop").symlink_to(folder)
    (folder / "dead.log").symlink_to(folder / "gone")
    reasons = {Path(item.name).name: item.reason for item in expand(str(folder)).skipped}
    assert names(expand(str(folder)), folder) == ["a.log", "b.log", "deep/d.txt", "deep/er/c.log", "in.log"]
    assert reasons["out.log"] == reasons["dead.log"] == "a symbolic link that leaves the folder"
    assert reasons["loop"] == "a symbolic link to a folder"
    assert names(expand(str(folder / "*.log")), folder) == ["a.log", "b.log", "in.log"]
    assert expand(str(folder / "out.log")).sources[0].explicit  # who names it, means it


@pytest.mark.parametrize("pattern", ["**/*.log", "*/*.log", "o*", "*/**"])
def test_a_pattern_does_not_follow_them_either(folder: Path, tmp_path: Path, pattern: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.log").write_text("x")
    (folder / "out").symlink_to(elsewhere)
    found = expand(str(folder / pattern))
    assert not [one.name for one in found.sources if "secret" in one.name]
    assert [one.reason for one in found.skipped if one.name.startswith(str(folder / "out"))]
    assert names(expand(str(folder / "out" / "*")), folder) == ["out/secret.log"]


def test_a_pattern_follows_links_that_stay(folder: Path) -> None:
    (folder / "latest").symlink_to("deep")
    assert "latest/d.txt" in names(expand(str(folder / "*" / "*.txt")), folder)


def test_links_in_a_circle_are_no_trap_for_a_pattern(folder: Path) -> None:
    for name in "xyz":
        (folder / "deep" / name).symlink_to(folder)
    found = expand(str(folder / "**" / "*.log"))
    assert names(found, folder) == ["a.log", "b.log", "deep/er/c.log"]
    assert {one.reason for one in found.skipped} >= {"a symbolic link to a folder"}


@pytest.mark.parametrize("pattern", ["**/*.log", "*/*", "d*/er/*.log"])
def test_a_folder_that_a_pattern_may_not_look_into_is_told(
    folder: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(place: Any = ".") -> Any:
        if os.fspath(place).endswith("/er"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), place)
        return real(place)

    real = os.scandir
    monkeypatch.setattr(os, "scandir", denied)
    skipped = expand(str(folder / pattern)).skipped
    assert [(one.name, one.reason) for one in skipped if one.name.endswith("/er")] == [
        (str(folder / "deep" / "er"), "cannot be read: Permission denied")
    ]


def test_a_pipe_in_a_folder_is_passed_over(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert ("pipe", "not a regular file") in {(Path(i.name).name, i.reason) for i in expand(str(folder)).skipped}


def test_a_pipe_that_takes_the_place_of_a_file_is_never_waited_for(folder: Path) -> None:
    (source,) = expand(str(folder / "a.log")).sources
    (folder / "a.log").unlink()
    os.mkfifo(folder / "a.log")
    with pytest.raises(DataError, match="no longer a regular file"):
        source.open()


def test_more_files_than_the_limit_is_an_error_that_names_the_setting(folder: Path) -> None:
    for source in (folder, folder / "*.log"):
        with applied(Limits(max_files=1)), pytest.raises(DataError, match="more than 1 files") as caught:
            expand(str(source))
        assert "max_files" in caught.value.hint
    store = ObjectStore.from_url("memory://many")
    for key in ("a.log", "b.log"):
        store.put_bytes(key, b"x")
    with applied(Limits(max_files=1)), pytest.raises(DataError, match="more than 1 files"):
        expand_store(store, "")


def test_hostile_names_are_safe_to_show_and_can_be_read(folder: Path) -> None:
    (folder / "x\x1b[31m\n.log").write_bytes(b"red")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.log")).write_bytes(b"odd")
    sources = {source.bytes: source for source in expand(str(folder)).sources if source.bytes == 3}
    assert all(source.name.isprintable() for source in sources.values())
    contents = set()
    for source in expand(str(folder)).sources:
        with source.open() as file:
            contents.add(file.read())
    assert {b"red", b"odd"} <= contents


def test_one_file_under_two_names_has_one_place(folder: Path) -> None:
    (plain,) = expand(str(folder / "a.log")).sources
    (roundabout,) = expand(str(folder / "deep" / ".." / "a.log")).sources
    assert plain.place == roundabout.place


def test_a_file_that_vanishes_is_told(folder: Path) -> None:
    (source,) = expand(str(folder / "a.log")).sources
    (folder / "a.log").unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        source.open()


def test_objects_of_a_store_are_found_by_key_and_by_prefix() -> None:
    store = ObjectStore.from_url("memory://sources")
    for key in ("logs/b.log", "logs/a.log", "logs/deep/c.log", "other.log"):
        store.put_bytes(key, key.encode())
    found = expand_store(store, "logs")
    assert [source.name for source in found.sources] == [
        f"memory://sources/logs/{name}" for name in ("a.log", "b.log", "deep/c.log")
    ]
    (single,) = expand_store(store, "logs/a.log").sources
    assert (single.explicit, single.bytes) == (True, 10)
    assert single.open().read() == b"logs/a.log"
    with pytest.raises(DataError, match="no object under this prefix"):
        expand_store(store, "nowhere")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=9)), st.integers(1, 20))
def test_pieces_read_as_one_file(pieces: list[bytes], size: int) -> None:
    stream = stream_of(iter(pieces))
    assert b"".join(iter(lambda: stream.read(size), b"")) == b"".join(pieces)
