"""Which files are copies."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from cybersec_mlops.ingestion import copies as copies_module
from cybersec_mlops.ingestion.copies import Copies
from cybersec_mlops.ingestion.inspect import inspect_sources
from cybersec_mlops.ingestion.sources import Source, expand

ROWS = (Path(__file__).parent / "samples" / "argus_commas.csv").read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four files, all of them described alike, of which three are copies."""
    (tmp_path / "a.csv").write_bytes(ROWS)
    (tmp_path / "b.csv").write_bytes(ROWS)
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(ROWS))
    (tmp_path / "d.csv").write_bytes(ROWS.replace(b",tcp,", b",udp,", 1))
    return tmp_path


def sources(folder: Path) -> list[Source]:
    return list(expand(str(folder)).sources)


def test_copies_are_told_with_what_becomes_of_them(folder: Path) -> None:
    copies = Copies()
    assert [copies.note_on(one, "alike") for one in sources(folder)] == [
        None,
        f"the same bytes as {folder}/a.csv: a run takes them once",
        f"the content of {folder}/a.csv: each of its connections would count twice; leave one out",
        None,
    ]


def test_each_file_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(source: Source) -> tuple[str, str]:
        hashed.append(source.name)
        return real(source)

    hashed: list[str] = []
    real = copies_module._hashes
    monkeypatch.setattr(copies_module, "_hashes", counted)
    copies, found = Copies(), sources(folder)
    for one in found:
        copies.note_on(one, "alike")
    assert hashed == [one.name for one in found]


def test_what_differs_is_not_read(folder: Path) -> None:
    copies, found = Copies(), sources(folder)
    for path in folder.iterdir():
        path.unlink()
    assert [copies.note_on(one, number) for number, one in enumerate(found)] == [None] * 4


def test_a_file_that_is_gone_is_no_copy(folder: Path) -> None:
    copies, found = Copies(), sources(folder)
    (folder / "b.csv").unlink()
    assert [copies.note_on(one, "alike") for one in found[:2]] == [None, None]


def test_inspect_tells_copies(folder: Path) -> None:
    told = [[note for note in found.notes if "a.csv" in note] for found in inspect_sources([str(folder)])]
    assert [len(notes) for notes in told] == [0, 1, 1, 0]
