"""A container's command that scores new logs: wait for the Prefect API, score, map the flow's end to an exit code.

``python -m cybersec_mlops.pipeline.batch_scoring_flow [--config run.toml] [--model MODEL] [--out PLACE] [SOURCE...]``

What is said in `pipeline.entrypoint` holds here as well.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from cybersec_mlops.config import RunSpec
from cybersec_mlops.pipeline.entrypoint import require_server
from cybersec_mlops.pipeline.execute import perform
from cybersec_mlops.pipeline.phase import run_id_of_key
from cybersec_mlops.pipeline.scoring_result import scoring_document


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Score once and end the process, with the exit codes of `pipeline.entrypoint.main`."""
    parser = argparse.ArgumentParser(prog="batch_scoring_flow", description="Score new logs once.")
    parser.add_argument("sources", nargs="*", metavar="SOURCE", help="files, folders, globs or s3:// prefixes")
    parser.add_argument("--model", help="champion, challenger, a version, a bundle's uri")
    parser.add_argument("--dataset", help="whose model")
    parser.add_argument("--out", metavar="PLACE", help="s3://bucket/alerts.ndjson or .parquet")
    parser.add_argument("--per-day", type=int, metavar="N", help="at most N alerts for each day")
    parser.add_argument("--config", type=Path, help="TOML file, see examples/run.toml")
    given = parser.parse_args(arguments)

    def spec() -> RunSpec:
        scoring = {"model": given.model, "out": given.out, "per_day": given.per_day}
        made = RunSpec.load(given.config, sources=tuple(given.sources), dataset=given.dataset, scoring=scoring)
        require_server()
        return made

    key = os.environ.get("CYBERSEC_MLOPS_IDEMPOTENCY_KEY")
    name = "execute_score" if not key else "execute_score_job"
    more = {"key": key, "run_id": run_id_of_key(key)} if key else {}
    performed = perform(name, spec, verbose=True, describe=scoring_document, **more)
    print(json.dumps(performed.document, allow_nan=False), flush=True)  # noqa: T201 - the container's output
    performed.leave()
