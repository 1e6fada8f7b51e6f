"""The model registry: versions and aliases, read from the audit's chain and kept nowhere else.

A registration and a promotion are events like any other: hash-chained, never changed. What a dataset's champion is
follows from the last promotion, so the registry cannot disagree with the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import EllipsisType
from typing import Any, Final, Protocol

from cybersec_mlops.audit.events import PhaseEvent, StoredEvent
from cybersec_mlops.audit.log import AuditLog, Reader
from cybersec_mlops.errors import DataError, PlatformError

REGISTRATION: Final = "registration"
PROMOTION: Final = "promotion"
CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
ALIASES: Final = (CHAMPION, CHALLENGER)


class Stored(Protocol):
    """What a registered bundle must say of itself; `storage.reference.Reference` does."""

    @property
    def sha256(self) -> str:
        """Hash of the bundle."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: uri, sha256, bytes, rows."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A bundle as the registry knows it."""

    dataset: str
    version: int
    """From 1, per dataset."""
    bundle: dict[str, Any]
    """The reference's JSON form."""
    run_id: str
    registered_at: datetime
    metrics: dict[str, Any] = field(hash=False)
    aliases: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of the bundle."""
        return str(self.bundle["sha256"])

    @property
    def uri(self) -> str:
        """Where the bundle is."""
        return str(self.bundle["uri"])


class ModelRegistry:
    """Versions and aliases per dataset."""

    def __init__(self, audit: AuditLog) -> None:
        self.audit = audit

    def register(
        self,
        dataset: str,
        bundle: Stored,
        *,
        run_id: str,
        metrics: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        code_version: str = "",
        prefect_flow_run_id: str | None = None,
    ) -> int:
        """Give a bundle its version number; the same bundle again keeps the one it has.

        Raises
        ------
        PlatformError
            The database failed.
        """
        with self.audit.appending() as writer:
            known = _Registry(writer, dataset)
            if (version := known.version_of(bundle.sha256)) is not None:
                return version
            version = len(known.versions) + 1
            writer.append(
                PhaseEvent(
                    run_id=run_id,
                    phase=REGISTRATION,
                    attempt=1,
                    status="completed",
                    started_at=datetime.now(UTC),
                    ended_at=datetime.now(UTC),
                    key=bundle.sha256,
                    dataset=dataset,
                    outputs={"bundle": bundle.to_dict(), "version": version},
                    parameters=dict(parameters or {}),
                    metrics=dict(metrics or {}),
                    code_version=code_version,
                    prefect_flow_run_id=prefect_flow_run_id,
                )
            )
            return version

    def versions(self, dataset: str) -> list[ModelVersion]:
        """Return the dataset's versions, oldest first, each with the aliases that it has now."""
        with self.audit.reading() as reader:
            return list(_Registry(reader, dataset).versions.values())

    def get(self, dataset: str, version: int | str) -> ModelVersion:
        """Return a version by its number or by an alias.

        Raises
        ------
        DataError
            There is none.
        """
        for each in self.versions(dataset):
            if version in (each.version, str(each.version), *each.aliases):
                return each
        raise DataError(
            f"dataset {dataset!r} has no model {version}", hint="`cybersec-mlops models list` lists what there is"
        )

    def champion(self, dataset: str) -> ModelVersion | None:
        """Return the version that is in use, None before the first promotion."""
        return self._holder(dataset, CHAMPION)

    def challenger(self, dataset: str) -> ModelVersion | None:
        """Return the version that is on trial, None where there is none."""
        return self._holder(dataset, CHALLENGER)

    def _holder(self, dataset: str, alias: str) -> ModelVersion | None:
        return next((each for each in self.versions(dataset) if alias in each.aliases), None)

    def set_alias(
        self,
        dataset: str,
        alias: str,
        version: int | None,
        *,
        run_id: str,
        reason: str,
        expected: int | EllipsisType | None = ...,
        code_version: str = "",
    ) -> StoredEvent | None:
        """Let a version bear an alias: a promotion, or a rollback when it is older than the one before.

        Parameters
        ----------
        dataset, alias : str
            ``champion`` or ``challenger`` of which dataset.
        version : int or None
            None takes the alias away.
        run_id, reason : str
            Who decided, and why; both are audited.
        expected : int or None, optional
            The version that bore the alias when this was decided; another one by now is an error.

        Returns
        -------
        StoredEvent or None
            The audited event; None where the version already bears the alias.

        Raises
        ------
        DataError
            There is no such version or alias.
        PlatformError
            Somebody else changed the alias in the meantime, or the database failed.
        """
        if alias not in ALIASES:
            raise DataError(f"{alias!r} is not an alias", hint=f"one of {', '.join(ALIASES)}")
        with self.audit.appending() as writer:
            known = _Registry(writer, dataset)
            before = known.holders.get(alias)
            if expected is not ... and expected != before:
                raise PlatformError(
                    f"the {alias} of {dataset} is now {_name(before)}, not {_name(expected)} as when this was decided",
                    hint="evaluate again against the present one",
                )
            if version is not None and version not in known.versions:
                raise DataError(
                    f"dataset {dataset!r} has no model version {version}, only {len(known.versions)} of them"
                )
            if version == before:
                return None
            return writer.append(_promotion(known, alias, version, run_id, reason, code_version))

    def predecessor(self, bundle_sha256: str) -> ModelVersion | None:
        """Return the champion that a bundle replaced when it was first promoted; None where it was the first one."""
        for event in self.audit.events(phase=PROMOTION):
            promoted = event.outputs.get("bundle") or {}
            if promoted.get("sha256") == bundle_sha256 and event.parameters.get("alias") == CHAMPION:
                before = event.parameters["previous_version"]
                return None if before is None else self.get(str(event.dataset), int(before))
        return None


class _Registry:
    """A dataset's versions and alias holders, folded from its events."""

    def __init__(self, reader: Reader, dataset: str) -> None:
        self.dataset = dataset
        self.versions: dict[int, ModelVersion] = {}
        self.holders: dict[str, int | None] = {}
        for event in reader.events(phases=(REGISTRATION, PROMOTION), dataset=dataset):
            if event.phase == REGISTRATION:
                version = _version(event)
                self.versions[version.version] = version
            else:
                self.holders[event.parameters["alias"]] = event.outputs["version"]
        for alias, holder in sorted(self.holders.items()):
            if holder is not None:
                borne = self.versions[holder]
                self.versions[holder] = replace(borne, aliases=(*borne.aliases, alias))

    def version_of(self, sha256: str) -> int | None:
        return next((number for number, each in self.versions.items() if each.sha256 == sha256), None)


def _version(event: StoredEvent) -> ModelVersion:
    return ModelVersion(
        dataset=str(event.dataset),
        version=int(event.outputs["version"]),
        bundle=event.outputs["bundle"],
        run_id=event.run_id,
        registered_at=event.recorded_at,
        metrics=event.metrics,
    )


def _promotion(
    known: _Registry, alias: str, version: int | None, run_id: str, reason: str, code_version: str
) -> PhaseEvent:
    before = known.holders.get(alias)
    kind = "removal" if version is None else "rollback" if before is not None and version < before else "promotion"
    now = datetime.now(UTC)
    return PhaseEvent(
        run_id=run_id,
        phase=PROMOTION,
        attempt=1,
        status="completed",
        started_at=now,
        ended_at=now,
        key=None if version is None else known.versions[version].sha256,
        dataset=known.dataset,
        inputs=[] if before is None else [known.versions[before].bundle],
        outputs={"bundle": None if version is None else known.versions[version].bundle, "version": version},
        parameters={"alias": alias, "kind": kind, "reason": reason, "previous_version": before},
        code_version=code_version,
    )


def _name(version: int | None) -> str:
    return "nobody" if version is None else f"version {version}"
