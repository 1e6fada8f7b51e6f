"""Objects as files that can be read at any place."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybersec_mlops.errors import DataError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.ranged import open_ranged

STORE = ObjectStore.from_url("memory://test-ranged")
CONTENT = bytes(range(256)) * 20
STORE.put_bytes("object", CONTENT)


@given(st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 6000)), max_size=10))
def test_it_reads_as_a_file_in_memory_does(steps: list[tuple[int, int]]) -> None:
    with open_ranged(STORE, "object", len(CONTENT)) as file:
        same = io.BytesIO(CONTENT)
        for place, size in steps:
            assert file.seek(place) == same.seek(place)
            assert file.read(size) == same.read(size)
            assert file.tell() == same.tell()


def test_places_are_counted_from_where_one_says() -> None:
    with open_ranged(STORE, "object", len(CONTENT)) as file:
        assert file.seek(-10, io.SEEK_END) == len(CONTENT) - 10
        assert file.seek(4, io.SEEK_CUR) == len(CONTENT) - 6
        assert file.read() == CONTENT[-6:]
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)


def test_an_object_that_is_gone_is_an_error() -> None:
    with open_ranged(STORE, "nothing", 10) as file, pytest.raises(DataError):
        file.read()
