"""``cybersec-mlops score``: new logs to alerts, and what a person sees of them in a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cybersec_mlops.commands.session import Json, conclude
from cybersec_mlops.errors import ConfigError

if TYPE_CHECKING:
    from cybersec_mlops.config import RunSpec


def score(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Files, folders, globs or s3:// prefixes.", show_default=False),
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="champion (default), challenger, a version, a bundle's uri or .zip file."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Whose model; default: the only one there is.")] = None,
    out: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="File or s3:// object, .ndjson or .parquet; - is NDJSON on stdout."),
    ] = None,
    per_day: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most N alerts for each day (UTC).")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--format", help="The logs' format; default: recognised from the content.")
    ] = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--mapping", metavar="FILE", help="What the columns of a table of your own mean."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings, see examples/run.toml.")] = None,
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the log of every task.")] = False,
) -> None:
    """Score new logs with a trained model: ranked, explained alerts."""
    from cybersec_mlops.pipeline.delivery import check_target
    from cybersec_mlops.pipeline.execute import perform
    from cybersec_mlops.pipeline.scoring_result import scoring_document
    from cybersec_mlops.presentation import show_progress

    def spec() -> RunSpec:
        from cybersec_mlops.config import RunSpec

        if out == "-" and as_json:
            raise ConfigError("--out - and --json both write to stdout", hint="name a file for the alerts")
        scoring = {"model": model, "out": None if out == "-" else out, "per_day": per_day}
        given = {"sources": tuple(sources), "dataset": dataset, "format": log_format, "mapping": tuple(mapping or ())}
        loaded = RunSpec.load(config, **given, scoring=scoring)
        if loaded.scoring.out is not None:
            check_target(loaded.scoring.out)  # the flow does so too; nobody waits for a Prefect server to be told
        return loaded

    show_progress(verbose=verbose)
    performed = perform("execute_score", spec, verbose=verbose, describe=scoring_document)

    def show() -> None:
        from cybersec_mlops.commands.scored import print_outcome
        from cybersec_mlops.pipeline.platform import open_platform

        if performed.error is None:
            print_outcome(performed.document, open_platform().layers, to_stdout=out == "-")

    conclude(performed, as_json=as_json, show=show)
