"""``cybersec-mlops stack``: a production-like stack on this machine, without Docker and without root."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cybersec_mlops.commands.session import Json, ending_with_exit_code, new_group, print_json
from cybersec_mlops.errors import PlatformError

if TYPE_CHECKING:
    from cybersec_mlops.stack.local import LocalStack

app = new_group("stack", "SeaweedFS, PostgreSQL and a Prefect server on this machine, as in production.")

ROOT_FOLDER: Final = Path("/var/lib/cybersec-mlops/stack")
Folder = Annotated[
    Path | None, typer.Option(help="Data, logs and passwords. Default: stack/ in the home.", show_default=False)
]


@app.command()
def up(folder: Folder = None, as_json: Json = False) -> None:
    """Start the servers and print the environment to export: eval "$(cybersec-mlops stack up)"."""
    with ending_with_exit_code(as_json=as_json):
        stack = _stack(folder)
        from cybersec_mlops.pipeline.platform import prepare_database
        from cybersec_mlops.stack.local import AUDIT_ROLE

        typer.echo(f"starting in {stack.folder} ...", err=True)
        access = stack.up()
        prepare_database(access.database_url("audit_owner", "audit"), grant_role=AUDIT_ROLE)
        environment = access.environment()
        if as_json:
            print_json({"folder": str(stack.folder), "environment": environment, "servers": stack.status()})
            return
        for name, value in environment.items():
            typer.echo(f"export {name}={shlex.quote(value)}")
        ui = environment["PREFECT_API_URL"].removesuffix("/api")
        typer.echo(
            f'up. Prefect: {ui}  To use it here: eval "$({_command("up", folder)})"  To end it:'
            f" {_command('down', folder)}",
            err=True,
        )


@app.command()
def status(folder: Folder = None, as_json: Json = False) -> None:
    """Say which server runs and answers; ends with 4 when one does not."""
    with ending_with_exit_code(as_json=as_json):
        stack = _stack(folder)
        servers = stack.status()
        if as_json:
            print_json({"folder": str(stack.folder), "servers": servers})
        for one in () if as_json else servers:
            state = "answers" if one["answers"] else "does not answer" if one["pid"] else "is down"
            process = f", process {one['pid']}" if one["pid"] else ""
            typer.echo(f"{one['name']:<10} {state:<15} {one['address']}{process}, log {one['log']}")
        if not servers or not all(one["answers"] for one in servers):
            raise PlatformError(
                f"the stack in {stack.folder} is not up" if servers else f"there is no stack in {stack.folder}",
                hint=f"`{_command('up', folder)}` starts it",
            )


@app.command()
def down(folder: Folder = None, as_json: Json = False) -> None:
    """End the servers; their data and passwords stay."""
    with ending_with_exit_code(as_json=as_json):
        stack = _stack(folder)
        ended = stack.down()
        if as_json:
            print_json({"folder": str(stack.folder), "ended": ended})
        else:
            typer.echo(f"ended: {', '.join(ended) or 'nothing ran'}; the data stay in {stack.folder}")


def _stack(folder: Path | None) -> LocalStack:
    from cybersec_mlops.config import Settings
    from cybersec_mlops.stack.local import LocalStack, reachable

    if folder is None:
        folder = Settings.load().home / "stack"
        if os.geteuid() == 0 and not reachable(folder.absolute()):  # root's own home is closed to PostgreSQL
            folder = ROOT_FOLDER
    return LocalStack(folder)


def _command(name: str, folder: Path | None) -> str:
    return f"cybersec-mlops stack {name}" + (f" --folder {shlex.quote(str(folder))}" if folder else "")
