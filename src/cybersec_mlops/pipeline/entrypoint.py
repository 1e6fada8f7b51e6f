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
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from cybersec_mlops.config import RunSpec
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.pipeline.execute import Performed, perform
from cybersec_mlops.pipeline.orchestrator import wait_for_api
from cybersec_mlops.pipeline.phase import run_id_of_key

READY_TIMEOUT_S: Final = 300
"""A cluster that starts as a whole takes its time."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the pipeline once and end the process.

    Raises
    ------
    SystemExit
        With 0 done, 1 internal, 2 configuration, 3 data, 4 platform, 5 the model was refused, 143 ended by SIGTERM.
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
    performed.leave()


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
