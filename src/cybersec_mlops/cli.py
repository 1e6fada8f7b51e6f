"""The commands. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cybersec_mlops import __version__
from cybersec_mlops.commands import audit, models, scoring, stack
from cybersec_mlops.commands.session import Json, conclude, ending_with_exit_code
from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.native import tune_native

if TYPE_CHECKING:
    from cybersec_mlops.config import RunSpec

app = typer.Typer(
    name="cybersec-mlops",
    help="Connection logs in, an intrusion detector that one can trust out, with the evidence.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(audit.app)
app.add_typer(models.app)
app.add_typer(stack.app)

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="Files, folders, globs or s3:// prefixes.", show_default=False)
]
Tests = Annotated[
    list[str] | None,
    typer.Option("--test", metavar="SOURCE...", help="Evaluate on these; all that follows belongs to the test set."),
]
Dataset = Annotated[str | None, typer.Option(help="Name of the data; default: from the first source.")]
Format = Annotated[str | None, typer.Option("--format", help="The logs' format; default: recognised from the content.")]
Mappings = Annotated[
    list[str] | None,
    typer.Option("--mapping", metavar="FILE", help="What the columns of a table of your own mean; may be repeated."),
]
Config = Annotated[Path | None, typer.Option(help="TOML file with settings, see examples/run.toml.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the log of every task.")]
Tune = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Try N further settings, judged on the training rows alone."),
]
LeaveOneAttackOut = Annotated[
    bool | None,
    typer.Option("--leave-one-attack-out", help="Train again without each attack; tell whether it is found."),
]
OnEngine = Annotated[
    str | None,
    typer.Option(help="Where the transformation works: threads, dask, dask://local?workers=N or dask://HOST:PORT."),
]
Input = Annotated[str, typer.Argument(metavar="INPUT", help="A run's id, or the uri that the phase before printed.")]
Test = Annotated[str | None, typer.Option("--test", metavar="URI", help="The same for the test set.")]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; the process ends with the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 gets escapes, and not an error
            stream.reconfigure(errors="backslashreplace")
    tune_native()
    given = list(sys.argv[1:] if arguments is None else arguments)
    app(spread_test_sources(given), prog_name="cybersec-mlops")
    raise SystemExit(0)


def spread_test_sources(arguments: Sequence[str]) -> list[str]:
    """Let ``--test`` take every source up to the next option, so that a glob can stand there.

    Otherwise the shell's expansion of ``--test day2/*.log`` would put all but the first file into the training set.

    >>> spread_test_sources(["run", "a", "--test", "b", "c", "--json"])
    ['run', 'a', '--test', 'b', '--test', 'c', '--json']
    """
    spread: list[str] = []
    inside = False
    for position, argument in enumerate(arguments):
        if argument.startswith("-"):
            inside = argument == "--test"
        elif inside and spread[-1] != "--test":
            spread.append("--test")
        spread.append(argument)
        if argument == "--":
            return spread + list(arguments[position + 1 :])
    return spread


def _version(show: bool) -> None:
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="CYBERSEC_MLOPS_DEBUG", help="Show the traceback of an error.")
    ] = False,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    os.environ["CYBERSEC_MLOPS_DEBUG"] = "1" if debug else ""


@app.command()
def run(
    sources: Sources,
    test: Tests = None,
    dataset: Dataset = None,
    log_format: Format = None,
    mapping: Mappings = None,
    config: Config = None,
    tune: Tune = None,
    leave_one_attack_out: LeaveOneAttackOut = None,
    engine: OnEngine = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Ingest, transform, train and evaluate: the whole pipeline."""
    sections: dict[str, Any] = _sections(tune=tune, leave_one_attack_out=leave_one_attack_out)
    sections.update(mapping=tuple(mapping or ()), engine=engine)
    _run_flow("execute_run", sources, test, dataset, log_format, config, sections, as_json=as_json, verbose=verbose)


app.command()(scoring.score)


@app.command()
def ingest(
    sources: Sources,
    test: Tests = None,
    dataset: Dataset = None,
    log_format: Format = None,
    mapping: Mappings = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Store originals in RAW under their SHA-256."""
    sections = {"mapping": tuple(mapping or ())}
    _run_flow("execute_ingest", sources, test, dataset, log_format, config, sections, as_json=as_json, verbose=verbose)


@app.command()
def recalibrate(
    sources: Sources,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="DATASET (its champion), DATASET@VERSION, or the uri of a bundle.")
    ],
    test: Tests = None,
    dataset: Dataset = None,
    log_format: Format = None,
    mapping: Mappings = None,
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Carry a model over to another network, and evaluate it there: thresholds come from that network's traffic."""
    given = {"recalibrate": model, "mapping": tuple(mapping or ())}
    _run_flow("execute_run", sources, test, dataset, log_format, config, given, as_json=as_json, verbose=verbose)


def _run_flow(
    executor: str,
    sources: list[str],
    test: list[str] | None,
    dataset: str | None,
    log_format: str | None,
    config: Path | None,
    settings: Mapping[str, Any],
    *,
    as_json: bool,
    verbose: bool,
) -> None:
    def spec() -> RunSpec:
        from cybersec_mlops.config import RunSpec

        given = {"sources": tuple(sources), "test": tuple(test or ()), "dataset": dataset, "format": log_format}
        return RunSpec.load(config, **given, **settings)

    _perform(executor, spec, as_json=as_json, verbose=verbose)


def _sections(*, tune: int | None = None, leave_one_attack_out: bool | None = None) -> dict[str, dict[str, Any]]:
    """Return the flags that are settings of a phase, by section of the TOML file."""
    return {"training": {"tune": tune}, "evaluation": {"leave_one_attack_out": leave_one_attack_out}}


@app.command()
def transform(
    source: Input,
    test: Test = None,
    dataset: Dataset = None,
    config: Config = None,
    engine: OnEngine = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Turn RAW originals into typed connections with features: SILVER."""
    _continue("execute_transform", config, dataset, as_json, verbose, {"engine": engine}, source=source, test=test)


@app.command()
def train(
    source: Input,
    test: Test = None,
    dataset: Dataset = None,
    config: Config = None,
    tune: Tune = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train a detector on SILVER and store its bundle."""
    _continue("execute_train", config, dataset, as_json, verbose, _sections(tune=tune), source=source, test=test)


@app.command()
def evaluate(
    source: Input,
    silver: Annotated[str | None, typer.Option(metavar="URI", help="SILVER that the bundle was trained on.")] = None,
    test: Test = None,
    dataset: Dataset = None,
    config: Config = None,
    leave_one_attack_out: LeaveOneAttackOut = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Evaluate a bundle, write its report, decide on its promotion."""
    sections = _sections(leave_one_attack_out=leave_one_attack_out)
    _continue("execute_evaluate", config, dataset, as_json, verbose, sections, source=source, silver=silver, test=test)


def _continue(
    executor: str,
    config: Path | None,
    dataset: str | None,
    as_json: bool,
    verbose: bool,
    sections: dict[str, Any],
    **inputs: str | None,
) -> None:
    def spec() -> RunSpec:
        from cybersec_mlops.config import RunSpec

        return RunSpec.load(config, dataset=dataset, **sections)

    _perform(executor, spec, as_json=as_json, verbose=verbose, **inputs)


def _perform(executor: str, spec: Callable[[], RunSpec], *, as_json: bool, verbose: bool, **inputs: Any) -> None:
    """Run one flow with a Prefect server, print what happened, end with the exit code."""
    from cybersec_mlops.pipeline.execute import perform
    from cybersec_mlops.presentation import print_run, show_progress

    show_progress(verbose=verbose)
    performed = perform(executor, spec, verbose=verbose, **inputs)
    conclude(performed, as_json=as_json, show=lambda: print_run(performed.document, performed.places))


@app.command()
def inspect(
    sources: Sources,
    log_format: Format = None,
    mapping: Mappings = None,
    timezone: Annotated[
        str | None, typer.Option(help="IANA zone of times that do not say theirs; default: UTC.")
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell what each file is and what would become of its rows; nothing is ingested."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.commands.inspection import inspect_document, print_inspected
        from cybersec_mlops.config import RunSpec, Settings
        from cybersec_mlops.ingestion.inspect import inspect_sources
        from cybersec_mlops.ingestion.limits import applied
        from cybersec_mlops.ingestion.mappings import load_mappings
        from cybersec_mlops.ingestion.scratch import scratch_in

        spec = RunSpec.load(config, sources=tuple(sources), format=log_format, mapping=tuple(mapping or ()))
        zone = timezone or spec.transformation.timezone
        with applied(spec.limits), scratch_in(Settings.load().scratch_dir):
            mappings = [one.reader for one in load_mappings(spec.mapping)]
            found = inspect_sources(sources, format=spec.format, timezone=zone, mappings=mappings)
            document = inspect_document(found)
        if as_json:
            typer.echo(json.dumps(document, allow_nan=False))
        else:
            print_inspected(document)
        if document["statuses"]["refused"]:
            raise typer.Exit(DataError.exit_code)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write; made when missing.")],
    connections: Annotated[int, typer.Option(help="How many connections.")] = 60_000,
    hours: Annotated[float, typer.Option(help="How many hours of traffic.")] = 24.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    log_format: Annotated[str, typer.Option("--format", help="zeek-tsv, zeek-json or cicflowmeter.")] = "zeek-tsv",
    labelled: Annotated[bool, typer.Option(help="Write the labels.")] = True,
    rotate: Annotated[bool, typer.Option(help="One file an hour, as Zeek rotates them.")] = True,
    compress: Annotated[bool, typer.Option(help="gzip the files.")] = False,
    attack_fraction: Annotated[float, typer.Option(help="Share of attack connections.")] = 0.03,
    as_json: Json = False,
) -> None:
    """Write labelled SYNTHETIC traffic, for demos and load tests."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.ingestion.rejected import printable
        from cybersec_mlops.simulate.simulate import simulate as write

        made = write(
            folder,
            connections=connections,
            hours=hours,
            seed=seed,
            format=log_format,
            labelled=labelled,
            rotate=rotate,
            compress=compress,
            attack_fraction=attack_fraction,
        )
        facts = {"folder": str(folder), "files": len(made.files), "connections": made.connections}
        facts["attacks"] = dict(made.attacks)
        typer.echo(
            json.dumps({"synthetic": True, **facts})
            if as_json
            else f"SYNTHETIC: {made.connections} connections, {sum(made.attacks.values())} of them attacks, "
            f"in {printable(str(folder))}"
        )


@app.command()
def runs(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 20, as_json: Json = False
) -> None:
    """List the runs in the audit."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.pipeline.platform import open_platform
        from cybersec_mlops.presentation import print_runs

        found = open_platform().audit.runs(limit)
        if as_json:
            fields = ("run_id", "dataset", "status", "phases", "events")
            rows = [
                {name: getattr(one, name) for name in fields} | {"started_at": one.started_at.isoformat()}
                for one in found
            ]
            typer.echo(json.dumps(rows))
        else:
            print_runs(found)


@app.command()
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its beginning.")],
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the run's report there.")] = None,
    as_json: Json = False,
) -> None:
    """Show a run: phases, artefacts, metrics, lineage."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.commands.reports import save_report
        from cybersec_mlops.pipeline.platform import open_platform
        from cybersec_mlops.pipeline.result import describe_run
        from cybersec_mlops.presentation import print_described

        platform = open_platform()
        name = platform.audit.resolve_run(run_id)
        described = describe_run(name, platform.audit.events(run_id=name))
        if report is not None:
            save_report(described, platform.layers, report)
        if as_json:
            typer.echo(json.dumps(described, allow_nan=False))
        else:
            print_described(described)


if __name__ == "__main__":
    main()

__all__ = ["ConfigError", "app", "main"]
