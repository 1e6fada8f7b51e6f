"""The stores, the audit and the catalogue that the settings name, opened once per process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Final

from sqlalchemy import inspect, text

from cybersec_mlops.audit.grants import CATALOGUE_TABLES, grant
from cybersec_mlops.audit.log import AuditLog
from cybersec_mlops.audit.registry import ModelRegistry
from cybersec_mlops.config import Settings
from cybersec_mlops.errors import ConfigError, PlatformError
from cybersec_mlops.pipeline.scratch import scratch_folder
from cybersec_mlops.storage.layers import Layers
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.silver import SilverCatalog


@dataclass(frozen=True)
class Platform:
    """Where everything of a run lives. Never crosses Prefect: each task opens it from the environment."""

    settings: Settings
    layers: Layers
    audit: AuditLog

    @cached_property
    def catalog(self) -> SilverCatalog:
        """The Iceberg catalogue, in the database of the audit."""
        return SilverCatalog.open(self.settings.database, self.layers.silver)

    @cached_property
    def registry(self) -> ModelRegistry:
        """The model registry, in the database of the audit."""
        return ModelRegistry(self.audit)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder that is gone afterwards.

        Raises
        ------
        PlatformError
            When there is no place for it.
        """
        with scratch_folder(self.settings.scratch_dir) as folder:
            yield folder


def open_platform() -> Platform:
    """Open what the environment names; the second call in a process costs nothing."""
    return _open(Settings.load())


@lru_cache(maxsize=4)
def _open(settings: Settings) -> Platform:
    if settings.store_url is None or settings.database_url is None:
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlatformError(
                f"the folder {settings.home} cannot be made: {error.strerror}",
                hint="set CYBERSEC_MLOPS_HOME to a folder that can be written",
            ) from None
    layers = Layers.open(settings.store_template, settings.layer_urls)
    layers.ensure()
    return Platform(settings, layers, AuditLog.open(settings.database, migrate=False))


_OWNS_THE_AUDIT: Final = (
    "SELECT pg_has_role(tableowner, 'MEMBER') FROM pg_tables"
    " WHERE tablename = 'audit_events' AND schemaname = current_schema()"
)


def prepare_database(url: str, *, grant_role: str | None = None) -> None:
    """Bring a database to this version's schema, and let a role use it that can change nothing in the audit.

    The catalogue's tables are made here only for such a role: whoever makes them owns them, and may change their rows.

    Raises
    ------
    ConfigError
        There is no such role, no right would bind it, or the database's user may not grant any.
    PlatformError
        The database failed, or has a newer schema.
    """
    audit = AuditLog.open(url)
    if grant_role is not None:
        with audit.database.reading() as connection:
            if not audit.database.is_sqlite and not connection.scalar(text(_OWNS_THE_AUDIT)):
                raise ConfigError(
                    f"{audit.database.name}: this role does not own the audit, so it can grant nothing",
                    hint="run it with the owner's CYBERSEC_MLOPS_DATABASE_URL",
                )
            missing = not set(CATALOGUE_TABLES) <= set(inspect(connection).get_table_names())
        if missing and not audit.database.is_sqlite:
            SilverCatalog.open(url, ObjectStore.from_url("memory://migration"))  # makes them, and touches no store
        grant(audit.database, grant_role)
