"""A Prefect server with its user interface, on a PostgreSQL database, as a process that stays."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Final

from cybersec_mlops.errors import ConfigError
from cybersec_mlops.stack.processes import LOOPBACK, Server, answers

START_TIMEOUT_S: Final = 240
"""A first start makes the tables, and takes half a minute on two idle cores."""
_WITHOUT_TRGM: Final = "cybersec_mlops.stack.prefect_without_trgm"
_OURS: Final = ("PREFECT_", "CYBERSEC_MLOPS_", "AWS_")


class PrefectServer:
    """A Prefect server that was asked to start; `wait` until it answers."""

    def __init__(self, folder: Path, *, port: int, database_url: str, has_trgm: bool = True, tied: bool = True) -> None:
        """Start it.

        Parameters
        ----------
        folder : Path
            For its log and settings; made when missing.
        port : int
            Of the API and the user interface.
        database_url : str
            ``postgresql+asyncpg://...``; given in the environment, where other users do not see it.
        has_trgm : bool
            Whether the database's server has the extension pg_trgm.
        tied : bool
            End with this process.

        Raises
        ------
        ConfigError
            Prefect is not installed.
        """
        if importlib.util.find_spec("prefect") is None:
            raise ConfigError("Prefect is not installed", hint="pip install cybersec-mlops-pipeline")
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"http://{LOOPBACK}:{port}"
        program = "prefect" if has_trgm else _WITHOUT_TRGM
        command = [sys.executable, "-m", program, "server", "start", "--host", LOOPBACK, "--port", str(port)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.server = Server(
            "the Prefect server",
            command,
            log=folder / "prefect.log",
            tied=tied,
            env={**kept, **_settings(folder, self.url, database_url)},
        )

    @property
    def api_url(self) -> str:
        """What clients take as PREFECT_API_URL."""
        return f"{self.url}/api"

    def wait(self) -> None:
        """Return when it answers and its database does.

        Raises
        ------
        PlatformError
            It ended, or was not ready in time.
        """
        self.server.wait_until(lambda: answers(f"{self.api_url}/ready"), timeout_s=START_TIMEOUT_S)

    def stop(self) -> None:
        """End it."""
        self.server.stop(timeout_s=15)


def _settings(folder: Path, url: str, database_url: str) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(folder),
        "PREFECT_API_DATABASE_CONNECTION_URL": database_url,
        "PREFECT_SERVER_UI_API_URL": f"{url}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }
