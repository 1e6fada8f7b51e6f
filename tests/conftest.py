"""Fixtures for every test: the real logs beside the project, unpacked once per session."""

from __future__ import annotations

import contextlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest


def shared_data_folder() -> Path:
    """Where the collections of real logs lie (never part of the project)."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("CYBERSEC_MLOPS_TEST_DATA", default))


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that unpacks a collection of ../shared/data once and gives its folder."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    unpacked = root / "shared-data"
    unpacked.mkdir(exist_ok=True)

    def unpack(collection: str) -> Path:
        archive = shared_data_folder() / f"{collection}.tar.xz"
        if not archive.exists():
            pytest.skip(f"{archive} is not there: the real logs are not part of the project")
        if not (unpacked / collection).exists():
            part = unpacked / f".{collection}-{os.getpid()}"  # workers may race: the rename decides
            with tarfile.open(archive) as opened:
                opened.extractall(part, filter="data")
            with contextlib.suppress(OSError):
                (part / collection).rename(unpacked / collection)
        return unpacked / collection

    return unpack
