from __future__ import annotations

import io
import uuid

import pytest

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.iceberg_io import STORE_PROPERTY, StoreFileIO
from cybersec_mlops.storage.objects import ObjectStore

DATA = bytes(range(256)) * 20_000


@pytest.fixture
def files() -> StoreFileIO:
    return StoreFileIO({STORE_PROPERTY: f"memory://{uuid.uuid4().hex}"})


def location(files: StoreFileIO, name: str) -> str:
    return f"{files.properties[STORE_PROPERTY]}/{name}"


def test_what_is_written_is_read(files: StoreFileIO) -> None:
    out = files.new_output(location(files, "a"))
    with out.create() as stream:
        stream.write(DATA[:100])
        assert not out.exists()
        stream.write(DATA[100:])
    assert out.exists()
    assert len(out) == len(DATA)
    with out.to_input_file().open() as stream:
        assert stream.read(len(DATA) + 1) == DATA


def test_reading_here_and_there(files: StoreFileIO) -> None:
    with files.new_output(location(files, "a")).create() as stream:
        stream.write(DATA)
    with files.new_input(location(files, "a")).open() as stream:
        for offset, whence, start in ((1000, io.SEEK_SET, 1000), (5, io.SEEK_CUR, 1015), (-8, io.SEEK_END, -8)):
            stream.seek(offset, whence)
            assert stream.read(10) == DATA[start:][:10]
        assert stream.read(10) == b""
        stream.seek(len(DATA) + 5)
        assert stream.read(10) == b""


def test_a_write_that_fails_leaves_nothing(files: StoreFileIO) -> None:
    def failing() -> None:
        with files.new_output(location(files, "a")).create() as stream:
            stream.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert not files.new_input(location(files, "a")).exists()


def test_a_file_is_not_replaced_unless_asked(files: StoreFileIO) -> None:
    def write(data: bytes, *, overwrite: bool) -> None:
        with files.new_output(location(files, "a")).create(overwrite=overwrite) as stream:
            stream.write(data)

    write(b"one", overwrite=False)
    with pytest.raises(DataError, match="already holds other bytes"):
        write(b"two", overwrite=False)
    write(b"two", overwrite=True)
    assert ObjectStore.from_url(files.properties[STORE_PROPERTY]).get_bytes("a") == b"two"


def test_what_is_not_there(files: StoreFileIO) -> None:
    with pytest.raises(FileNotFoundError):
        files.new_input(location(files, "a")).open()
    files.delete(location(files, "a"))
    with pytest.raises(DataError, match="is not in"):
        files.new_input("memory://elsewhere/a")


def test_delete(files: StoreFileIO) -> None:
    out = files.new_output(location(files, "a"))
    with out.create() as stream:
        stream.write(b"x")
    files.delete(out)
    assert not out.exists()
