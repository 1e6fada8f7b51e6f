"""The container's command: wait for the Prefect API, run, map the flow's end to an exit code.

``python -m cybersec_mlops.pipeline.full_mlops_flow [--config run.toml] [SOURCE...] [--test SOURCE...]``

Everything else comes from the environment. Nothing is written but to the store, the database and the scratch folder.
With CYBERSEC_MLOPS_IDEMPOTENCY_KEY (a Job's UID) a retried pod goes on in the same Prefect flow run and in the same run
of the audit.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.pipeline.execute import Performed, perform
from cybersec_mlops.pipeline.phase import run_id_of_key
from cybersec_mlops.pipeline.termination import Terminated

READY_TIMEOUT_S: Final = 300
_POLL_S: Final = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline once and return the exit code.

    Returns
    -------
    int
        0 done, 1 internal, 2 configuration, 3 data, 4 platform, 5 the model was refused, 143 ended by SIGTERM.
    """
    parser = argparse.ArgumentParser(prog="full_mlops_flow", description="Run the whole pipeline once.")
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="files, folders, globs or s3:// prefixes")
    parser.add_argument("--test", nargs="+", default=[], metavar="SOURCE", help="what to evaluate on")
    parser.add_argument("--config", type=Path, help="TOML file, see examples/run.toml")
    given = parser.parse_args(arguments)

    def spec() -> RunSpec:
        made = RunSpec.load(given.config, sources=tuple(given.sources), test=tuple(given.test))
        require_server()
        return made

    performed = _perform(spec)
    if performed.places.get("audit_head"):
        sys.stderr.write(f"audit head {performed.places['audit_head']}\n")  # a witness outside of the database
    print(json.dumps(performed.document, allow_nan=False), flush=True)  # noqa: T201 - the container's output
    if isinstance(performed.error, Terminated):
        sys.stderr.flush()
        os._exit(performed.exit_code)  # a task that cannot be interrupted would be waited for
    return performed.exit_code


def _perform(spec: Callable[[], RunSpec]) -> Performed:
    key = os.environ.get("CYBERSEC_MLOPS_IDEMPOTENCY_KEY")  # not by Settings: what is wrong there is told by perform
    if not key:
        return perform("execute_run", spec, verbose=True)
    return perform("execute_job", spec, verbose=True, run_id=run_id_of_key(key), key=key)


def require_server() -> None:
    """Return when the Prefect API of the environment is ready; where none is needed, at once.

    Raises
    ------
    ConfigError
        None is named where one must be: a container's own would be thrown away with it.
    PlatformError
        It was not ready in time.
    """
    url = os.environ.get("PREFECT_API_URL")
    if url:
        wait_for_api(url, READY_TIMEOUT_S)
    elif os.environ.get("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "").lower() in ("false", "0"):
        raise ConfigError("PREFECT_API_URL is not set", hint="name the Prefect server: http://prefect-server:4200/api")


def wait_for_api(url: str, timeout_s: float) -> None:
    """Return when the Prefect API is ready.

    A flow that starts while its server is away fails within seconds and without a retry.

    Raises
    ------
    ConfigError
        It is no address.
    PlatformError
        When it is not ready after `timeout_s` seconds.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(
            "PREFECT_API_URL is not an http(s) address", hint="write it as http://prefect-server:4200/api"
        )
    deadline, told = time.monotonic() + timeout_s, ""
    while (reason := _unready(url)) is not None:
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"the Prefect API was not ready after {timeout_s:.0f} s: {reason}",
                hint="look at the Prefect server, or at PREFECT_API_URL",
            )
        if reason != told:
            sys.stderr.write(f"waiting up to {timeout_s:.0f} s for the Prefect API: {reason}\n")
            told = reason
        time.sleep(min(_POLL_S, max(0.0, deadline - time.monotonic())))


def _unready(url: str) -> str | None:
    """Return why the API is not ready, None when it is."""
    authority = os.environ.get("PREFECT_API_SSL_CERT_FILE")
    try:
        context = ssl.create_default_context(cafile=authority) if url.startswith("https") else None
        with urllib.request.urlopen(f"{url.rstrip('/')}/ready", timeout=10, context=context) as answer:  # noqa: S310
            return None if answer.status == 200 else f"HTTP {answer.status}"
    except urllib.error.HTTPError as error:
        return f"HTTP {error.code}"
    except (OSError, ValueError) as error:  # URLError is an OSError; an address that cannot be parsed a ValueError
        return str(getattr(error, "reason", error))
