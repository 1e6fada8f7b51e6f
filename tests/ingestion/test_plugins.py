"""Formats of other distributions: really installed, broken in every way, and never in the way of the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "examples" / "plugin-reader"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the example was installed by pip."""
    root = tmp_path_factory.mktemp("plugin")
    source, target = root / "source", root / "target"
    source.mkdir()
    for path in [PACKAGE / "pyproject.toml", PACKAGE / "README.md", *(PACKAGE / "src").rglob("*.py")]:
        copy = source / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def ask(code: str, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Run Python with these folders of distributions."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


INSPECT = f"from cybersec_mlops.cli import main; main(['inspect', {str(PACKAGE / 'sample.csv')!r}, '--json'])"
VERSION = "from cybersec_mlops.pipeline.version import code_version; print(code_version())"


def distribution(folder: Path, name: str, entry: str, code: str) -> Path:
    """Write a distribution by hand, with one entry point, as pip would have left it."""
    info = folder / f"{name}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[cybersec_mlops.readers]\n{entry}\n")
    (folder / f"{name}.py").write_text(code)
    return folder


def test_an_installed_format_is_recognised_and_read(installed: Path) -> None:
    done = ask(INSPECT, installed)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["files"]
    assert (found["format"], found["read"], found["kept"], found["labels"]) == ("acme", 3, 3, {"scan": 1, "BENIGN": 1})
    without = ask(INSPECT)
    assert without.returncode == 3
    assert "drafts a mapping" in json.loads(without.stdout)["files"][0]["hint"]


def test_the_example_keeps_the_laws_of_every_reader(installed: Path) -> None:
    sample = str(PACKAGE / "sample.csv")
    code = "from acme_reader import Acme; from cybersec_mlops.ingestion.conformance import check_reader; "
    done = ask(code + f"check_reader(Acme(), open({sample!r}, 'rb').read()); print('kept')", installed)
    assert done.stdout == "kept\n", done.stderr


def test_the_zone_of_a_run_reaches_a_plug_in(installed: Path) -> None:
    code = "from cybersec_mlops.ingestion.readers import reader_of; "
    done = ask(code + "print(reader_of('acme', timezone='Asia/Tokyo').reader.timezone)", installed)
    assert done.stdout == "Asia/Tokyo\n", done.stderr


def test_a_plug_in_and_its_code_are_part_of_the_version(installed: Path, tmp_path: Path) -> None:
    own = distribution(tmp_path, "mine", "mine = mine:Mine", "raise RuntimeError('never imported for its version')\n")
    versions = [ask(VERSION, *folders).stdout for folders in ((), (installed,), (own,))]
    (own / "mine.py").write_text("changed = True\n")
    versions.append(ask(VERSION, own).stdout)
    assert len(set(versions)) == 4


STRANGE = """
import polars as pl
class Broken:
    name = 'broken'; has_time = True; shortcut_columns = {}; native_columns = {'x': pl.String()}
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("x = 1", "AttributeError"),
        ("class Broken: name = 'other'", "its name is 'other', that of its entry point 'broken'"),
        ("class Broken:\n name = 'broken'", "AttributeError"),
        (STRANGE, "does not begin with broken_"),
    ],
)
def test_a_broken_plug_in_is_named_and_left_out(code: str, told: str, installed: Path, tmp_path: Path) -> None:
    done = ask(INSPECT, distribution(tmp_path, "badly", "broken = badly:Broken", code), installed)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"][0]["format"] == "acme"
    assert "the plug-in badly 2.0 (format broken) is left out" in done.stderr
    assert told in done.stderr


GREEDY = """
class Greedy:
    name = 'aaa'; has_time = True; native_columns = {}; shortcut_columns = {}
    def recognise(self, head): raise ZeroDivisionError('one')
    def read(self, stream, *, source, batch_bytes=1):
        yield 1 / 0
"""


def test_one_that_fails_at_work_is_named(installed: Path, tmp_path: Path) -> None:
    folder = distribution(tmp_path, "badly", "aaa = badly:Greedy", GREEDY)
    done = ask(INSPECT, folder, installed)
    assert done.returncode == 0, done.stderr
    assert "recognise failed: ZeroDivisionError: one" in done.stderr
    code = "import io; from cybersec_mlops.ingestion.readers import reader_of; "
    failed = ask(code + "list(reader_of('aaa').read(io.BytesIO(), source='x'))", folder)
    assert "DataError: x: the plug-in badly 2.0 failed on it: ZeroDivisionError" in failed.stderr


@pytest.mark.parametrize("name", ["zeek_conn", "acme"])
def test_two_readers_of_one_name_are_an_error(name: str, installed: Path, tmp_path: Path) -> None:
    folder = distribution(tmp_path, "second", f"{name} = second:Second", "class Second: ...\n")
    done = ask(INSPECT, folder, installed)
    assert done.returncode == 2
    assert f"two readers are named '{name}'" in done.stderr
    assert "second 2.0" in done.stderr
