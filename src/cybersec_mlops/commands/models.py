"""``cybersec-mlops models``: which versions there are, which one is in use, and changing that by hand, audited."""

from __future__ import annotations

import getpass
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cybersec_mlops.commands.session import Json, ending_with_exit_code, new_group, open_audit, print_json
from cybersec_mlops.errors import ConfigError, DataError

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
    with ending_with_exit_code(as_json=as_json):
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
    with ending_with_exit_code(as_json=as_json):
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
    with ending_with_exit_code(as_json=as_json):
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
    with ending_with_exit_code(as_json=as_json):
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


@app.command()
def sign(dataset: Dataset, version: Version = "champion", as_json: Json = False) -> None:
    """Sign a version's bundle with the private key of CYBERSEC_MLOPS_SIGNING_KEY_FILE."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.pipeline.phase import new_run_id
        from cybersec_mlops.pipeline.platform import open_platform
        from cybersec_mlops.pipeline.signing import sign_bundle, signature_key
        from cybersec_mlops.storage.reference import Reference

        platform = open_platform()
        if platform.settings.signing_key_file is None:
            raise ConfigError(
                "CYBERSEC_MLOPS_SIGNING_KEY_FILE names no key", hint="`cybersec-mlops models keygen FOLDER` makes one"
            )
        model = platform.registry.get(dataset, version)
        bundle = Reference.from_dict(model.bundle)
        signed = sign_bundle(platform, bundle, dataset=dataset, run_id=new_run_id())
        uri = platform.layers.models.uri(signature_key(bundle, platform))
        told = {"dataset": dataset, "version": model.version, "sha256": model.sha256, "signature": uri}
        if as_json:
            print_json({**told, "changed": signed})
        else:
            typer.echo(f"version {model.version} of {dataset} {'is' if signed else 'was'} signed: {uri}")


@app.command()
def keygen(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the two files go; made when missing.")],
    as_json: Json = False,
) -> None:
    """Make a key pair for signing bundles: bundle-signing.key (keep it apart) and bundle-signing.pub."""
    with ending_with_exit_code(as_json=as_json):
        from cybersec_mlops.training.signature import fingerprint, generate_keys

        private, public = generate_keys()
        files = {"private": folder / "bundle-signing.key", "public": folder / "bundle-signing.pub"}
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for name, data, mode in (("private", private, 0o600), ("public", public, 0o644)):
                with os.fdopen(os.open(files[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    file.write(data)
        except FileExistsError as error:
            raise ConfigError(
                f"{error.filename} is there already", hint="a key is never replaced: name another folder"
            ) from None
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}", hint="name a folder that can be written") from None
        told = {name: str(path) for name, path in files.items()} | {"fingerprint": fingerprint(private)}
        if as_json:
            print_json(told)
        else:
            typer.echo(
                f"export CYBERSEC_MLOPS_SIGNING_KEY_FILE={shlex.quote(told['private'])}  # where models are trained"
            )
            typer.echo(f"export CYBERSEC_MLOPS_PUBLIC_KEY_FILE={shlex.quote(told['public'])}  # wherever they are used")


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

    _require_signed(model)
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


def _require_signed(model: ModelVersion) -> None:
    """Where a public key is configured, only a signed bundle is promoted; else no store is opened for it."""
    from cybersec_mlops.config import Settings
    from cybersec_mlops.pipeline.signing import public_keys, require_signed
    from cybersec_mlops.storage.reference import Reference

    if public_keys(Settings.load()) is not None:
        from cybersec_mlops.pipeline.platform import open_platform

        require_signed(open_platform(), Reference.from_dict(model.bundle))


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
