"""``cybersec-mlops audit``: verify the chain, trace a thing, note where the chain ends, migrate the database."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from cybersec_mlops.commands.session import Json, ending_with_exit_code, new_group, open_audit, print_json
from cybersec_mlops.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cybersec_mlops.audit.events import Head

app = new_group("audit", "The evidence: verify it, read it, keep its schema.")


@app.command()
def verify(
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="HEAD", help="A head noted earlier elsewhere (N:HASH); may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the whole chain: is every row as it was written, in its place, and none missing? Ends with 3 if not."""
    with ending_with_exit_code(as_json=as_json):
        expected = [parse_head(text) for text in expect or ()]
        audit = open_audit()
        faults = audit.verify(expected=expected)
        head = None if any(fault.kind == "head" for fault in faults) else audit.head()
        told = [{"id": fault.id, "kind": fault.kind, "message": fault.message} for fault in faults]
        if as_json:
            print_json(
                {
                    "intact": not faults,
                    "rows": None if head is None else head.id,
                    "head": head and str(head),
                    "faults": told,
                }
            )
            raise typer.Exit(DataError.exit_code if faults else 0)
        for fault in faults:
            typer.echo(f"row {fault.id}: {fault.kind}: {fault.message}")
        if faults:
            raise DataError(
                f"the audit is not as it was written: {len(faults)} fault{'s'[: len(faults) > 1]}, listed on stdout",
                hint="keep the database as it is for the investigation, and restore a backup elsewhere",
            )
        typer.echo(f"intact: {head.id if head else 0} rows, head {head}")


def parse_head(text: str) -> Head:
    """Read a head as `audit head` prints it.

    Raises
    ------
    ConfigError
        It is not one.

    Examples
    --------
    >>> parse_head("7:" + "ab" * 32).id
    7
    """
    from cybersec_mlops.audit.events import Head

    if not re.fullmatch(r"\d{1,18}:[0-9a-f]{64}", text):
        raise ConfigError(f"{text[:100]!r} is not a head", hint="give it as `cybersec-mlops audit head` printed it")
    number, _, found = text.partition(":")
    return Head(int(number), found)


@app.command()
def head(as_json: Json = False) -> None:
    """Print where the chain ends. Note it elsewhere: it proves later that no row was cut off."""
    with ending_with_exit_code(as_json=as_json):
        found = open_audit().head()
        if as_json:
            print_json({"head": str(found), "rows": found.id, "hash": found.hash})
        else:
            typer.echo(str(found))


@app.command()
def trace(
    thing: Annotated[
        str,
        typer.Argument(
            metavar="THING",
            help="A SHA-256 or its beginning, a uri, DATASET@VERSION, DATASET@champion, a snapshot, a key, a run.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Tell where a thing came from and what it led to: data, times, parameters, code, models, reports."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.audit.lineage import trace as follow
        from cybersec_mlops.commands.lineage import Manifests, trace_document
        from cybersec_mlops.pipeline.platform import open_platform
        from cybersec_mlops.presentation import print_trace

        platform = open_platform()
        manifests = Manifests(platform.layers)
        document = trace_document(follow(platform.audit, thing, contents=manifests))
        document["unread"] = manifests.unread
        if as_json:
            print_json(document)
        else:
            print_trace(document)


@app.command()
def migrate(
    grant_role: Annotated[
        str | None,
        typer.Option("--grant-role", metavar="ROLE", help="Let this role read and append, and change nothing."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the database to the schema of this version; run it as the owner of the tables."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.audit.schema import SCHEMA_VERSION
        from cybersec_mlops.config import Settings
        from cybersec_mlops.pipeline.platform import prepare_database

        prepare_database(Settings.load().database, grant_role=grant_role)
        if as_json:
            print_json({"schema": SCHEMA_VERSION, "granted": grant_role})
        else:
            rights = f", role {grant_role} may read and append" if grant_role else ""
            typer.echo(f"the audit has schema {SCHEMA_VERSION}{rights}")
