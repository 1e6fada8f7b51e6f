"""What a SOURCE names: a file, a folder, a glob, an S3 object or an S3 prefix, as an ordered list of files.

A zip archive of several files stands for its files, as a folder does.

A file that is named itself must be usable; of what is found in a folder, files of another type are passed over, and the
caller is told. Names are hostile: they are cleaned for display. Links that leave the folder are not followed.
"""

from __future__ import annotations

import errno
import fnmatch
import glob
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO, Final

from cybersec_mlops.errors import DataError
from cybersec_mlops.ingestion import archives
from cybersec_mlops.ingestion.limits import current
from cybersec_mlops.ingestion.rejected import printable
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.ranged import open_ranged
from cybersec_mlops.storage.streams import Pieces

_NAME_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read."""

    name: str
    """As the user gave it or found it, safe to show."""
    bytes: int
    """Size as it is stored."""
    explicit: bool
    """Whether it was named itself; otherwise it was found in a folder, by a glob or under a prefix."""
    opener: Callable[[], BinaryIO] = field(repr=False, compare=False)
    place: str = field(default="", repr=False)
    """Where it is, exactly: two names of one file have one place."""
    joined: bool = False
    """Whether it is a log that is joined to the connections of another (Zeek's dns, http and ssl)."""
    measured: bool = True
    """Whether `bytes` is what opening it gives: not of a member of an archive, which is opened decompressed."""

    def open(self) -> BinaryIO:
        """Open it at its beginning.

        Raises
        ------
        DataError
            It cannot be read.
        """
        try:
            return self.opener()
        except OSError as error:
            raise DataError(
                f"cannot be read: {error.strerror}", source=self.name, hint="check that it exists and may be read"
            ) from error


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was found and is not used."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a SOURCE stands for."""

    sources: tuple[Source, ...]
    skipped: tuple[Skipped, ...] = ()


def expand(source: str) -> Expansion:
    """Return the files that a SOURCE stands for, in the order of their names.

    Raises
    ------
    DataError
        Nothing is there: a missing file, an empty folder, a glob or prefix without a match.
    PlatformError
        The object store did not answer.
    """
    return _from_store(source) if source.startswith("s3://") else _opened_up(_from_folder(source))


def _opened_up(found: Expansion) -> Expansion:
    """Put the files of archives in the place of the archives; one that cannot be opened tells why when it is read."""
    sources, skipped = list[Source](), list(found.skipped)
    for source in found.sources:
        if (files := _files_of(source)) is None:
            sources.append(source)
            continue
        for info in files:
            name = f"{source.name}/{archives.member_name(info)}"
            if archives.is_hidden(info):
                skipped.append(Skipped(name, "a hidden file"))
            else:
                sources.append(_member(source, info, name))
        _check_number(len(sources) + len(skipped), source.name)
    return Expansion(tuple(sources), tuple(skipped))


def _files_of(source: Source) -> list[zipfile.ZipInfo] | None:
    if not archives.is_archive(source.place):
        return None
    try:
        with source.open() as file:
            return archives.files_of(file)
    except DataError:
        return None


def _member(archive: Source, info: zipfile.ZipInfo, name: str) -> Source:
    place = f"{archive.place}\0{info.header_offset}"
    opener = partial(_open_member, archive, info, name)
    return Source(name, info.compress_size, explicit=False, opener=opener, place=place, measured=False)


def _open_member(archive: Source, info: zipfile.ZipInfo, name: str) -> BinaryIO:
    return archives.open_member(archive.opener(), info, name)


def _from_folder(source: str) -> Expansion:
    path = Path(source)
    if not source.strip() or "\0" in source:
        raise DataError("an empty name is no source", hint="name a file, a folder, a glob or an s3:// prefix")
    if (problem := _why_unusable(path)) is None:
        if not path.is_dir():
            return Expansion((_file(path, explicit=True),))
        return _required(_walk(path), source, "the folder has no files")
    if glob.has_magic(source):
        return _required(_matches(source), source, "no file matches this pattern")
    raise DataError(problem, source=_shown(source), hint="check the name and the folder")


def _why_unusable(path: Path) -> str | None:
    """Say why nothing is found under a name; None where a file or a folder that can be listed is."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file or folder"
    except OSError as error:  # no right to look into the folder, a name that is too long, a link to itself
        return f"cannot be read: {error.strerror}"
    return None


def _check_number(files: int, place: object) -> None:
    if files > (most := current().max_files):
        raise DataError(
            f"more than {most:,} files",
            source=printable(str(place), _NAME_LIMIT),
            hint="name fewer at once, or set max_files in [limits]",
        )


def _required(found: Expansion, source: str, problem: str) -> Expansion:
    if found.sources or found.skipped:
        return found
    raise DataError(problem, source=_shown(source), hint="check where the logs are written")


def _file(path: Path, *, explicit: bool) -> Source:
    name = _shown(path)
    try:
        if not path.is_file():
            raise DataError("is not a regular file", source=name, hint="write it to a file first: it is read twice")
        return Source(name, path.stat().st_size, explicit, lambda: _opened(path, name), os.path.realpath(path))
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", source=name) from error


def _opened(path: Path, name: str) -> BinaryIO:
    """Open a regular file; a pipe or device that took its place since is refused and never waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no longer a regular file")
    return io.BufferedReader(_Regular(descriptor, name), 1 << 17)


class _Regular(io.FileIO):
    """A file whose bytes are there; those of /proc/kmsg and the like are waited for, which nobody does here."""

    def __init__(self, descriptor: int, shown: str) -> None:
        super().__init__(descriptor)
        self._shown = shown

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        try:
            count = super().readinto(buffer)
        except OSError as error:  # a disk or a share that fails: whoever reads on would take it for damage
            raise DataError(
                f"cannot be read: {error.strerror}",
                source=self._shown,
                hint="check the disk or the share that it is on",
            ) from error
        if count is None:
            raise DataError(
                "cannot be read: nothing comes of it; it is no file on a disk",
                source=self._shown,
                hint="copy it to a file first",
            )
        return count


def _walk(root: Path, pattern: tuple[str, ...] = ("**",)) -> Expansion:
    sources, skipped = list[Source](), list[Skipped]()

    def unreadable(error: OSError) -> None:
        skipped.append(Skipped(_shown(error.filename), f"cannot be read: {error.strerror}"))

    for folder, folders, files in os.walk(root, onerror=unreadable):
        folders.sort()
        for name in list(folders):
            is_link = (Path(folder) / name).is_symlink()
            if is_link or name.startswith("."):  # as a pattern does, which matches no hidden folder
                folders.remove(name)
                reason = "a symbolic link to a folder" if is_link else "a hidden folder"
                skipped.append(Skipped(_shown(Path(folder) / name), reason))
        above = Path(folder).relative_to(root).parts
        for name in sorted(files):
            if _fits((*above, name), pattern):
                _sort_out(Path(folder) / name, root, sources, skipped)
        _check_number(len(sources) + len(skipped), root)
    return Expansion(tuple(sorted(sources, key=lambda source: source.name)), tuple(skipped))


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Say whether the parts of a name fit those of a pattern, of which ``**`` stands for any number.

    >>> [_fits(("a", "b", "c.log"), pattern) for pattern in (("**", "*.log"), ("*", "*.log"), ("**",))]
    [True, False, True]
    """
    if not pattern or not parts:
        return not parts and all(one == "**" for one in pattern)
    if pattern[0] == "**":
        return _fits(parts, pattern[1:]) or _fits(parts[1:], pattern)
    return fnmatch.fnmatch(parts[0], pattern[0]) and _fits(parts[1:], pattern[1:])


def _matches(pattern: str) -> Expansion:
    fixed = Path(*_fixed_parts(pattern))
    wanted = Path(pattern).parts[len(fixed.parts) :]
    if "**" in wanted:  # `glob` would go round in a circle of links, and pass over what it cannot read
        return _walk(fixed, wanted) if fixed.is_dir() else Expansion(())
    sources, skipped = list[Source](), _unreadable(pattern, fixed)
    inside = cache(partial(_stays_inside, root=fixed))  # many files share a folder
    for name in sorted(glob.glob(pattern)):  # noqa: PTH207 - Path.glob takes no absolute pattern
        path = Path(name)
        if not inside(path.parent):
            skipped.append(Skipped(_shown(path), "behind a symbolic link that leaves the folder"))
        elif path.is_dir() and not path.is_symlink():
            below = _walk(path)
            sources += below.sources
            skipped += below.skipped
        else:
            _sort_out(path, fixed, sources, skipped)
        _check_number(len(sources) + len(skipped), pattern)
    return Expansion(tuple(sources), tuple(skipped))


def _unreadable(pattern: str, fixed: Path) -> list[Skipped]:
    """Tell the folders that a pattern leads through and that cannot be looked into, which `glob` passes over."""
    above = [parent for parent in Path(pattern).parents if glob.has_magic(str(parent))]
    matched = (name for parent in reversed(above) for name in sorted(glob.glob(str(parent))))  # noqa: PTH207
    folders = (folder for folder in (fixed, *map(Path, matched)) if folder.is_dir())
    told = ((folder, _why_unusable(folder)) for folder in folders)
    return [Skipped(_shown(folder), problem) for folder, problem in told if problem is not None]


def _fixed_parts(pattern: str) -> Iterator[str]:
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _sort_out(path: Path, root: Path, sources: list[Source], skipped: list[Skipped]) -> None:
    shown = _shown(path)
    if path.name.startswith("."):
        skipped.append(Skipped(shown, "a hidden file"))
    elif path.is_symlink() and not _stays_inside(path, root):
        skipped.append(Skipped(shown, "a symbolic link that leaves the folder"))
    elif not path.is_file():
        skipped.append(Skipped(shown, "not a regular file"))
    else:
        sources.append(_file(path, explicit=False))


def _stays_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False


def _shown(path: str | Path) -> str:
    return printable(os.fspath(path).encode(errors="surrogateescape").decode(errors="replace"), _NAME_LIMIT)


def _from_store(url: str) -> Expansion:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return expand_store(ObjectStore.from_url(f"s3://{bucket}"), key)


def expand_store(store: ObjectStore, key: str) -> Expansion:
    """Return the object `key`, or all the objects below the folder `key`.

    Raises
    ------
    DataError
        There is none.
    PlatformError
        The object store did not answer.
    """
    if key and not key.endswith("/") and (size := store.size(key)) is not None:
        return _opened_up(Expansion((_object(store, key, size, explicit=True),)))
    found = list[Source]()
    for name, size in store.list(key):
        if size or name[-1] != "/":
            found.append(_object(store, name, size, explicit=False))
            _check_number(len(found), f"{store.url}/{key}")
    return _required(_opened_up(Expansion(tuple(found))), f"{store.url}/{key}", "there is no object under this prefix")


def _object(store: ObjectStore, key: str, size: int, *, explicit: bool) -> Source:
    name = printable(store.uri(key), _NAME_LIMIT)
    if archives.is_archive(key):  # its directory is at its end
        return Source(name, size, explicit, lambda: open_ranged(store, key, size), store.uri(key))
    return Source(name, size, explicit, lambda: stream_of(store.chunks(key)), store.uri(key))


def stream_of(chunks: Iterator[bytes]) -> BinaryIO:
    """Return pieces of bytes as a file to read.

    >>> stream_of(iter([b"ab", b"", b"cd"])).read(3)
    b'abc'
    """
    return io.BufferedReader(Pieces(chunks), 1 << 20)
