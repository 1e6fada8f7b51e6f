"""A scratch folder is gone when it is left, and when its owner was killed the next one to come removes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline.scratch import PREFIX, remove_mine, scratch_folder, sweep

OWNER = """
import sys
from pathlib import Path
from cybersec_mlops.pipeline.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "rows.arrow").write_bytes(b"x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_it_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert list(folder.iterdir()) == []
        (folder / "deep").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        with scratch_folder(tmp_path):
            assert (folder / "rows.arrow").exists()
        owner.kill()
        owner.wait()
    assert (folder / "rows.arrow").exists()
    with scratch_folder(tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine]


def test_only_what_has_our_name_and_is_a_folder_is_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / f"{PREFIX}file").write_text("x")
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "precious")
    (tmp_path / f"{PREFIX}left").mkdir()
    assert sweep(tmp_path) == [tmp_path / f"{PREFIX}left"]
    assert (tmp_path / "precious").exists()
    assert (tmp_path / f"{PREFIX}file").exists()


def test_all_of_this_process_can_be_removed_at_once(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as one, scratch_folder(tmp_path) as other:
        remove_mine()
        assert not one.exists()
        assert not other.exists()


def test_no_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no scratch folder can be made"), scratch_folder(tmp_path / "nowhere"):
        pass


def write_parquet(folder: Path) -> None:
    pl.DataFrame({"a": range(100_000)}).write_parquet(folder / "full")


def write_text(folder: Path) -> None:
    (folder / "full").write_text("x")


@pytest.mark.parametrize("write", [write_parquet, write_text])
def test_a_full_disk_is_told_whoever_finds_it(tmp_path: Path, write: Callable[[Path], None]) -> None:
    def fill() -> None:
        with scratch_folder(tmp_path) as folder:
            (folder / "full").symlink_to("/dev/full")
            write(folder)

    with pytest.raises(PlatformError, match="is full") as caught:
        fill()
    assert "CYBERSEC_MLOPS_SCRATCH_DIR" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
