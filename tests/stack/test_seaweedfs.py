from __future__ import annotations

import json
from pathlib import Path

import pytest

from cybersec_mlops.stack.seaweedfs import SOCKETS, SeaweedFS
from cybersec_mlops.storage.objects import ObjectStore


@pytest.mark.services
def test_it_listens_on_loopback_with_a_secret_that_only_the_owner_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = SeaweedFS.start(tmp_path)
    try:
        assert server.options.endpoint.startswith("http://127.0.0.1:")
        assert (tmp_path / "s3.json").stat().st_mode & 0o777 == 0o600
        stored = json.loads((tmp_path / "s3.json").read_text())["identities"][0]["credentials"][0]
        assert stored["secretKey"] == server.options.secret_access_key
        assert len(stored["secretKey"]) >= 40
        command = Path(f"/proc/{server.server.pid}/cmdline").read_text()
        assert stored["secretKey"] not in command
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = ObjectStore.from_url("s3://kept")
        store.ensure()
        reference = store.put_bytes("k", b"x" * 100_000)
    finally:
        server.stop(graceful=False)
    port = server.options.endpoint.rpartition(":")[2]
    assert not list(SOCKETS.glob(f"seaweedfs-*-{port}.sock"))
    again = SeaweedFS.start(tmp_path)
    try:
        for name, value in again.environment().items():
            monkeypatch.setenv(name, value)
        assert ObjectStore.from_url("s3://kept").holds(reference)  # what was acknowledged survives a kill
    finally:
        again.stop(graceful=False)
