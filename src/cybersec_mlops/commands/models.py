"""``cybersec-mlops models``: which versions there are, which one is in use, and changing that by hand, audited."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cybersec_mlops.commands.session import Json, ending_with_exit_code, new_group, open_audit, print_json
from cybersec_mlops.errors import DataError

if TYPE_CHECKING:
    from cybersec_mlops.audit.registry import ModelRegistry, ModelVersion

app = new_group("models", "The registry: versions, the champion, promotion and rollback.")

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Whose models.")]
Version = Annotated[str, typer.Argument(metavar="VERSION", help="A number, champion or challenger.")]
Reason = Annotated[str, typer.Option(help="Why; it is audited.")]


@app.command("list")
def list_models(
    dataset: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Only its models.")] = None,
    as_json: Json = False,
) -> None:
    """List the registered versions, oldest first."""
    with ending_with_exit_code():
        from cybersec_mlops.audit.registry import REGISTRATION
        from cybersec_mlops.presentation import print_models

        registry = _registry()
        known = dict.fromkeys(str(event.dataset) for event in registry.audit.events(phase=REGISTRATION))
        names = list(known) if dataset is None else [dataset]
        found = [model_document(each) for name in names for each in registry.versions(name)]
        if as_json:
            print_json(found)
        else:
            print_models(found)


@app.command()
def show(dataset: Dataset, version: Version = "champion", as_json: Json = False) -> None:
    """Show a version: bundle, metrics, and every change of its aliases."""
    with ending_with_exit_code():
        from cybersec_mlops.audit.registry import PROMOTION
        from cybersec_mlops.presentation import print_model

        registry = _registry()
        model = registry.get(dataset, version)
        document = model_document(model)
        document["promotions"] = [
            {"at": event.recorded_at, "run_id": event.run_id, **event.parameters}
            for event in registry.audit.events(phase=PROMOTION)
            if event.dataset == dataset and event.outputs.get("version") == model.version
        ]
        document["evaluations"] = _evaluations(registry, model)
        if as_json:
            print_json(document)
        else:
            print_model(document)


@app.command()
def promote(
    dataset: Dataset,
    version: Version,
    alias: Annotated[str, typer.Option(help="champion or challenger.")] = "champion",
    reason: Reason = "by hand",
    as_json: Json = False,
) -> None:
    """Let a version be the champion, whatever the gate said. Audited."""
    with ending_with_exit_code():
        registry = _registry()
        _bear(registry, registry.get(dataset, version), alias, reason, as_json=as_json)


@app.command()
def rollback(
    dataset: Dataset,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: the champion before.")] = None,
    reason: Reason = "rolled back by hand",
    as_json: Json = False,
) -> None:
    """Give the champion's place back to an earlier version. Audited."""
    with ending_with_exit_code():
        registry = _registry()
        champion = registry.champion(dataset)
        if champion is None:
            raise DataError(f"dataset {dataset!r} has no champion", hint=f"`cybersec-mlops models list {dataset}`")
        before = registry.predecessor(champion.sha256) if version is None else registry.get(dataset, version)
        if before is None:
            raise DataError(
                f"version {champion.version} is the first champion of {dataset!r}: there is none to go back to",
                hint="name a version, or train one",
            )
        if before.version >= champion.version:
            raise DataError(
                f"version {before.version} is not older than the champion, version {champion.version}",
                hint=f"`cybersec-mlops models promote {dataset} {before.version}`",
            )
        _bear(registry, before, "champion", reason, as_json=as_json)


def model_document(model: ModelVersion) -> dict[str, Any]:
    """Return a version as JSON."""
    names = ("dataset", "version", "aliases", "uri", "sha256", "run_id", "registered_at", "metrics")
    return {**{name: getattr(model, name) for name in names}, "bytes": model.bundle.get("bytes")}


def _registry() -> ModelRegistry:
    from cybersec_mlops.audit.registry import ModelRegistry

    return ModelRegistry(open_audit())


def _bear(registry: ModelRegistry, model: ModelVersion, alias: str, reason: str, *, as_json: bool) -> None:
    from cybersec_mlops.pipeline.mlflow_copy import copy_aliases
    from cybersec_mlops.pipeline.phase import new_run_id
    from cybersec_mlops.pipeline.version import code_version

    holder = next((each for each in registry.versions(model.dataset) if alias in each.aliases), None)
    event = registry.set_alias(
        model.dataset,
        alias,
        model.version,
        run_id=new_run_id(),
        reason=f"{reason} ({_who()})",
        expected=None if holder is None else holder.version,
        code_version=code_version(),
    )
    copy_aliases(model.dataset)
    before = None if holder is None else holder.version
    told = {"dataset": model.dataset, "alias": alias, "version": model.version, "previous_version": before}
    if as_json:
        print_json({**told, "changed": event is not None, "audit_row": None if event is None else event.id})
    elif event is None:
        typer.echo(f"version {model.version} of {model.dataset} is {alias} already")
    else:
        typer.echo(
            f"version {model.version} of {model.dataset} is {alias}, before it was "
            f"{'nobody' if before is None else f'version {before}'} (audit row {event.id})"
        )


def _who() -> str:
    try:
        return f"user {getpass.getuser()}"
    except (KeyError, OSError):  # a container's user has no name
        return "unnamed user"


def _evaluations(registry: ModelRegistry, model: ModelVersion) -> list[dict[str, Any]]:
    return [
        {"at": event.recorded_at, "run_id": event.run_id, "status": event.status, "metrics": event.metrics}
        | {name: event.outputs.get(name) for name in ("promoted", "reasons", "report")}
        for event in registry.audit.events(phase="evaluation")
        if event.status in ("completed", "rejected") and any(one["sha256"] == model.sha256 for one in event.inputs)
    ]
