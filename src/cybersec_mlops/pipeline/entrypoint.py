"""The container's command: wait for the Prefect API, run, map the flow's end to an exit code.

``python -m cybersec_mlops.pipeline.full_mlops_flow [--config run.toml] [SOURCE...] [--test SOURCE...]``

Everything else comes from the environment. Nothing is written but to the store, the database and the scratch folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import PlatformError
from cybersec_mlops.pipeline.execute import perform

READY_TIMEOUT_S: Final = 300
_POLL_S: Final = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pipeline once and return the exit code: 0 done, 2 to 5 as everywhere, 5 for a refused model."""
    parser = argparse.ArgumentParser(prog="full_mlops_flow", description="Run the whole pipeline once.")
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="files, folders, globs or s3:// prefixes")
    parser.add_argument("--test", nargs="+", default=[], metavar="SOURCE", help="what to evaluate on")
    parser.add_argument("--config", type=Path, help="TOML file, see examples/run.toml")
    given = parser.parse_args(arguments)

    def spec() -> RunSpec:
        url = os.environ.get("PREFECT_API_URL")
        made = RunSpec.load(given.config, sources=tuple(given.sources), test=tuple(given.test))
        if url:
            wait_for_api(url, READY_TIMEOUT_S)
        return made

    performed = perform("execute_run", spec, verbose=True)
    print(json.dumps(performed.document, allow_nan=False), flush=True)  # noqa: T201 - the container's output
    return performed.exit_code


def wait_for_api(url: str, timeout_s: float) -> None:
    """Return when the Prefect API is ready.

    A flow that starts while its server is away fails within seconds and without a retry.

    Raises
    ------
    PlatformError
        When it is not ready after `timeout_s` seconds.
    """
    deadline = time.monotonic() + timeout_s
    reason = ""
    while True:
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}/ready", timeout=10) as answer:  # noqa: S310 - configured
                if answer.status == 200:
                    return
                reason = f"HTTP {answer.status}"
        except (urllib.error.URLError, OSError) as error:
            reason = str(getattr(error, "reason", error))
        if time.monotonic() >= deadline:
            raise PlatformError(
                f"the Prefect API was not ready after {timeout_s:.0f} s: {reason}",
                hint="look at the Prefect server, or at PREFECT_API_URL",
            )
        sys.stderr.write(f"waiting for the Prefect API: {reason}\n")
        time.sleep(_POLL_S)
