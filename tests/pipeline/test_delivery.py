from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.pipeline.delivery import MODE, check_target, deliver
from cybersec_mlops.storage.layers import Layers


@pytest.fixture
def layers(request: pytest.FixtureRequest) -> Layers:
    return Layers.open(f"memory://delivery-{request.node.name}-{{layer}}")


@pytest.fixture
def outputs(layers: Layers) -> dict[str, Any]:
    files = {"alerts_ndjson": b"{}\n", "alerts_parquet": b"PAR1"}
    return {name: layers.eval.put_bytes(f"alerts/{name}", data).to_dict() for name, data in files.items()}


@pytest.mark.parametrize(("name", "content"), [("a.ndjson", b"{}\n"), ("a.JSONL", b"{}\n"), ("a.parquet", b"PAR1")])
def test_a_file_has_what_its_name_says(
    name: str, content: bytes, layers: Layers, outputs: dict[str, Any], tmp_path: Path
) -> None:
    check_target(str(tmp_path / name))
    told = deliver(str(tmp_path / name), outputs, layers)
    assert (tmp_path / name).read_bytes() == content
    assert told["bytes"] == len(content)
    assert (tmp_path / name).stat().st_mode & 0o777 == MODE
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_is_replaced_whole_and_keeps_its_mode(layers: Layers, outputs: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"old")
    path.chmod(0o604)
    deliver(str(path), outputs, layers)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"{}\n", 0o604)


def test_what_was_changed_in_eval_is_not_delivered(layers: Layers, outputs: dict[str, Any], tmp_path: Path) -> None:
    layers.eval.put_bytes("alerts/alerts_ndjson", b"[]\n", overwrite=True)
    for out in (str(tmp_path / "a.ndjson"), "memory://elsewhere/a.ndjson"):
        with pytest.raises(Exception, match="SHA-256"):
            deliver(out, outputs, layers)
    assert list(tmp_path.iterdir()) == []


def test_an_object_store_is_a_place(layers: Layers, outputs: dict[str, Any]) -> None:
    from cybersec_mlops.storage.objects import ObjectStore

    out = "memory://soc/today/alerts.ndjson"
    check_target(out)
    assert deliver(out, outputs, layers)["to"] == out
    assert deliver(out, outputs, layers)["bytes"] == 3
    assert ObjectStore.from_url("memory://soc/today").get_bytes("alerts.ndjson") == b"{}\n"


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("alerts", "says no format"),
        ("alerts.csv", "says no format"),
        ("/nowhere/at/all/a.ndjson", "no folder"),
        ("ftp://host/a.ndjson", "is not a store"),
        ("memory://a.ndjson", "names no object"),
    ],
)
def test_what_is_no_place_is_refused_early(out: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        check_target(out)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").mkdir()
    with pytest.raises(ConfigError):
        check_target(str(tmp_path / "a.ndjson"))


def test_a_disk_that_refuses_is_the_platform(layers: Layers, outputs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="cannot write"):
        deliver(str(tmp_path / "gone" / "a.ndjson"), outputs, layers)
