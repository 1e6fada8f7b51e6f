"""What to do (`RunSpec`: TOML and flags) and where things are (`Settings`: environment only)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from cybersec_mlops.engine import Engine
from cybersec_mlops.errors import ConfigError
from cybersec_mlops.evaluation.spec import EvaluationSpec
from cybersec_mlops.ingestion.limits import Limits
from cybersec_mlops.scoring.spec import ScoringSpec
from cybersec_mlops.training.spec import TrainingSpec
from cybersec_mlops.transformation.spec import TransformationSpec

LAYERS = ("raw", "silver", "models", "eval")
_CONFIG_BYTES = 1 << 20
_DATASET = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Settings(BaseSettings):
    """Where things are. Read from the environment and from nowhere else; secrets never leave it.

    Every field is the variable ``CYBERSEC_MLOPS_<FIELD>``. S3 itself is set by the standard ``AWS_*`` variables,
    Prefect by ``PREFECT_API_URL``.
    """

    model_config = SettingsConfigDict(env_prefix="CYBERSEC_MLOPS_", frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(default_factory=lambda: Path.home() / ".cybersec-mlops", validate_default=True)
    """Folder of the embedded store, database and Prefect server."""
    store_url: str | None = None
    """Object store, ``{layer}`` standing for raw, silver, models or eval: ``s3://mlops-{layer}``. Default: the home."""
    raw_url: str | None = None
    silver_url: str | None = None
    models_url: str | None = None
    eval_url: str | None = None
    """One layer somewhere else than `store_url` says."""
    database_url: SecretStr | None = None
    """Audit, table catalogue and model registry: ``postgresql://...`` or ``sqlite:///...``. Default: SQLite at home."""
    scratch_dir: Path | None = None
    """Folder for temporary files. Default: the system's."""
    git_commit: str | None = None
    image_digest: str | None = None
    """What runs, for the record."""
    alert_urls: SecretStr | None = None
    """Where to tell that a run failed: Apprise addresses (webhook, e-mail, chat), between blanks or commas."""
    signing_key_file: Path | None = None
    """PEM file of the private Ed25519 key that bundles are signed with after training; the key itself is no setting."""
    public_key_file: Path | None = None
    """PEM file of the public keys that signatures are verified with; with it no other bundle is ever loaded."""
    public_key: str | None = None
    """The same as text."""
    idempotency_key: str | None = None
    """The same key finds the same Prefect flow run again: a Kubernetes Job's UID."""

    @field_validator("home")
    @classmethod
    def _check_home(cls, value: Path) -> Path:
        if found := re.search(r"[?\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}", str(value)):  # in a URL it would be another folder
            raise ValueError(f"the name of a folder cannot have {found[0]!a} in it")
        return value

    @property
    def store_template(self) -> str:
        """The URL of the store with ``{layer}`` in it."""
        return self.store_url or f"file://{self.home.absolute()}/store/{{layer}}"

    @property
    def layer_urls(self) -> dict[str, str]:
        """Layers that have a URL of their own."""
        own = {layer: getattr(self, f"{layer}_url") for layer in LAYERS}
        return {layer: url for layer, url in own.items() if url}

    @property
    def database(self) -> str:
        """The database's URL, password included: for the engine only."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.absolute()}/mlops.db"

    @classmethod
    def load(cls) -> Settings:
        """Read the environment.

        Raises
        ------
        ConfigError
            When a variable has a value that cannot be used; the value itself is not repeated.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "_".join(("CYBERSEC_MLOPS", *(str(part).upper() for part in first["loc"])))
            reason = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{name}: {reason}", hint=f"correct or unset {name}") from None
        except RuntimeError as error:  # no home folder
            raise ConfigError(str(error), hint="set CYBERSEC_MLOPS_HOME to a folder that can be written") from None


class TaskPolicy(BaseModel):
    """How the tasks of a phase behave when something fails. Only transient errors are ever retried."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    retries: int = Field(default=3, ge=0, le=20)
    retry_delay_s: float = Field(default=2.0, ge=0, le=3600)
    """Delay before the first retry; it doubles with each one."""
    timeout_s: float = Field(default=3600.0, gt=0, le=365 * 24 * 3600)
    """A task that takes longer is failed."""


class RunSpec(BaseModel):
    """What a run does: the parameters of the flows. Holds no secret and no place of this machine but the sources."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sources: tuple[str, ...] = ()
    """Files, folders, globs or ``s3://`` prefixes to train on."""
    test: tuple[str, ...] = ()
    """Sources to evaluate on. Without them the newest part of `sources` is held out."""
    dataset: str | None = None
    """Name of the SILVER table and of the model. Default: from the first source."""
    format: str | None = None
    """Name of the format, where recognising it from the content is not wanted."""
    mapping: tuple[str, ...] = ()
    """Mapping files for tables of one's own: paths or ``s3://`` objects."""
    recalibrate: str | None = None
    """A model to carry over to these sources instead of training a new one: ``DATASET`` (its champion),
    ``DATASET@VERSION``, or the uri of a bundle."""
    limits: Limits = Limits()
    transformation: TransformationSpec = TransformationSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    scoring: ScoringSpec = ScoringSpec()
    tasks: TaskPolicy = TaskPolicy()
    engine: str = "threads"
    """Where the transformation's tasks work; see `Engine`. Changes neither a result nor its key."""

    @field_validator("engine")
    @classmethod
    def _check_engine(cls, value: str) -> str:
        Engine.parse(value)
        return value

    @field_validator("dataset")
    @classmethod
    def _check_dataset(cls, value: str | None) -> str | None:
        if value is not None and not _DATASET.fullmatch(value):
            raise ValueError(f'{value!a} is not a name: use a-z, 0-9, "-" and "_", at most 63')
        return value

    @model_validator(mode="after")
    def _check_recalibration(self) -> RunSpec:
        if self.recalibrate is not None and self.training.tune:
            raise ValueError("tune chooses settings of a new training, and recalibrate trains none: leave one out")
        return self

    @property
    def dataset_name(self) -> str:
        """The dataset's name, made from the first source where none was given."""
        return self.dataset or name_dataset(self.sources)

    def require_utf8(self) -> None:
        """Refuse names of sources that Prefect and the audit cannot write down: both have texts of UTF-8.

        Raises
        ------
        ConfigError
            A name holds a byte that Python could not decode.
        """
        for name in (*self.sources, *self.test, *self.mapping):
            if any("\ud800" <= character <= "\udfff" for character in name):
                raise ConfigError(
                    f"the name {name!a} is not UTF-8", hint="name its folder, or a pattern that matches it"
                )

    @classmethod
    def load(cls, path: Path | None, **given: Any) -> RunSpec:
        """Read a TOML file; what is given here goes before what is written there.

        Raises
        ------
        ConfigError
            When the file is missing, is not TOML, or holds something unknown or out of range.
        """
        values = {} if path is None else _read_toml(path)
        for name, value in given.items():
            if isinstance(value, dict):  # a section: what is given goes before what is written, setting by setting
                own = {key: one for key, one in value.items() if one is not None}
                written = values.get(name, {})
                values[name] = {**written, **own} if isinstance(written, dict) else written
            elif value not in (None, (), []):
                values[name] = value
        return cls.parse(values, where=str(path) if path else "the command line")

    @classmethod
    def parse(cls, values: Mapping[str, Any], *, where: str) -> RunSpec:
        """Validate; the first thing that is wrong becomes the sentence of a `ConfigError`."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            said = ": ".join(part for part in (where, name, reason) if part)
            raise ConfigError(said, hint="see examples/run.toml for every setting") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as opened:
            data = opened.read(_CONFIG_BYTES + 1)
        if len(data) > _CONFIG_BYTES:
            raise ConfigError(f"{path}: more than {_CONFIG_BYTES:,} bytes", hint="a file of settings is short")
        return tomllib.loads(data.decode())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", hint="give --config the path of a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}", hint="see examples/run.toml") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="give --config a file that can be read") from None


def name_dataset(sources: tuple[str, ...]) -> str:
    """Make a dataset's name from the first source: its stem and the two folders above it.

    >>> name_dataset(("/logs/2026-11-23/conn.log.gz",)), name_dataset(("s3://logs/zeek/",))
    ('logs-2026-11-23-conn', 'logs-zeek')
    """
    path = (sources or ("connections",))[0].split("://")[-1]
    parts = [part for part in re.split(r"[/\\]", path) if part not in ("", ".", "..")]
    stem = [parts[-1].split(".")[0] or parts[-1]] if parts else []
    words = re.findall(r"[a-z0-9_]+", "-".join([*parts[-3:-1], *stem]).lower())
    return "-".join(words)[:63].strip("-_") or "connections"
