"""Its database's password is where only its owner sees it. That it runs: tests/commands/test_stack.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.stack.prefect_server import PrefectServer
from cybersec_mlops.stack.processes import free_ports


@pytest.mark.services
@pytest.mark.xdist_group("services")
def test_a_database_that_is_away_is_told_and_the_password_is_not(tmp_path: Path, closed_port: int) -> None:
    [port] = free_ports(1)
    url = f"postgresql+asyncpg://prefect:5ecret-w0rd@127.0.0.1:{closed_port}/prefect"
    server = PrefectServer(tmp_path, port=port, database_url=url)
    try:
        assert server.api_url == f"http://127.0.0.1:{port}/api"
        assert "5ecret-w0rd" not in Path(f"/proc/{server.server.pid}/cmdline").read_text()
        with pytest.raises(PlatformError, match="the Prefect server ended") as caught:
            server.wait()
        assert "5ecret-w0rd" not in caught.value.message
    finally:
        server.stop()
    assert "5ecret-w0rd" not in (tmp_path / "prefect.log").read_text(errors="replace")
