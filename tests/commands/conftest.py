"""A small world of evidence, made by the real stores, manifests, audit and registry, without a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cybersec_mlops.audit.events import PhaseEvent
from cybersec_mlops.cli import app
from cybersec_mlops.config import Settings
from cybersec_mlops.ingestion.originals import Original, object_key, write_manifest
from cybersec_mlops.pipeline.platform import Platform, open_platform
from cybersec_mlops.storage.reference import Reference
from cybersec_mlops.transformation.silver import SilverManifest, part_key

HOSTILE = "evil\x1b[2J[bold]<b>.log"


@dataclass(frozen=True)
class World:
    """What was made, so that a test can ask for it."""

    platform: Platform
    raw: Reference
    raw_manifest: Reference
    silver: Reference
    bundles: tuple[Reference, ...]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Platform:
    """An empty embedded platform."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CYBERSEC_MLOPS_{name.upper()}", raising=False)
    monkeypatch.setenv("CYBERSEC_MLOPS_HOME", str(tmp_path / "home"))
    return open_platform()


def add(platform: Platform, phase: str, outputs: dict[str, Any], inputs: list[Reference], **more: Any) -> None:
    """Write down a finished phase."""
    now = datetime.now(UTC)
    given = [one.to_dict() for one in inputs]
    told = {"run_id": "run-1", "attempt": 1, "status": "completed", "key": phase, "dataset": "day", **more}
    platform.audit.append(
        PhaseEvent(phase=phase, started_at=now, ended_at=now, inputs=given, outputs=outputs, code_version="0+x", **told)
    )


@pytest.fixture
def world(home: Platform) -> World:
    """A run from one original to two models, the second of which is champion."""
    layers = home.layers
    data = b"#fields\tts\n1\n"
    stored = layers.raw.put_bytes("objects/tmp", data)
    original = layers.raw.put_bytes(object_key(stored.sha256), data)
    known = Original(stored.sha256, original.uri, len(data), "zeek-tsv", "conn", "none", HOSTILE, 2, len(data))
    raw = write_manifest([known], layers.raw)
    add(home, "ingestion", {"manifest": raw.to_dict(), "sources": {HOSTILE: stored.sha256}}, [])
    silver = _silver(home, raw)
    add(home, "transformation", {"manifest": silver.to_dict(), "snapshot": "tag-1"}, [raw], rows=1)
    bundles = tuple(layers.models.put_bytes(f"bundles/{number}", f"bundle {number}".encode()) for number in (1, 2))
    for number, bundle in enumerate(bundles, start=1):
        add(home, "training", {"bundle": bundle.to_dict()}, [silver], key=f"k{number}", parameters={"trees": number})
        home.registry.register("day", bundle, run_id="run-1", metrics={"roc_auc": 0.9 + number / 100})
        home.registry.set_alias("day", "champion", number, run_id="run-1", reason="better")
    add(home, "evaluation", {"report": "memory://report", "promoted": True}, [bundles[1]], metrics={"rows": 1})
    return World(home, original, raw, silver, bundles)


def _silver(platform: Platform, raw: Reference) -> Reference:
    part = platform.layers.silver.put_bytes("tmp", b"part")
    part = platform.layers.silver.put_bytes(part_key("data", part.sha256), b"part")
    manifest = SilverManifest(
        dataset="day",
        raw_manifest_sha256=raw.sha256,
        formats=("zeek-tsv",),
        columns={},
        shortcuts={},
        parts=(Reference(part.uri, part.sha256, part.bytes, 1),),
        quarantine=(),
        read=1,
        kept=1,
        quarantined={},
        skipped={},
        labels={},
        labels_original={},
        first_ts=None,
        last_ts=None,
        synthetic=False,
    )
    return platform.layers.silver.put_bytes("manifests/m.json", manifest.to_json())


@pytest.fixture
def call() -> Callable[..., Result]:
    """Run a command in this process."""
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def document(call: Callable[..., Result]) -> Callable[..., Any]:
    """Run a command that succeeds and return its JSON."""

    def read(*arguments: str) -> Any:
        done = call(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return read
