"""The four layers of artefacts, each a store of its own: RAW, SILVER, MODELS, EVAL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from cybersec_mlops.errors import ConfigError, DataError
from cybersec_mlops.storage.objects import ObjectStore
from cybersec_mlops.storage.reading import MOVED


@dataclass(frozen=True, slots=True)
class Layers:
    """Where each kind of artefact is kept."""

    raw: ObjectStore
    """Originals byte for byte, and their receipts."""
    silver: ObjectStore
    """Typed connections and features, the Iceberg warehouse."""
    models: ObjectStore
    """Bundles."""
    eval: ObjectStore
    """Metrics, predictions and reports."""

    @classmethod
    def open(cls, template: str, overrides: Mapping[str, str] | None = None) -> Layers:
        """Open the four stores.

        Parameters
        ----------
        template : str
            A URL in which ``{layer}`` stands for the layer's name (``s3://mlops-{layer}``); without it the name is
            appended (``file:///store`` gives ``file:///store/raw``).
        overrides : mapping of str to str, optional
            Layer to URL, for those that are elsewhere; an empty URL counts as none.

        Raises
        ------
        ConfigError
            A URL is not a store, an override names no layer, or two layers share a place.

        Examples
        --------
        >>> layers = Layers.open("memory://{layer}-example", {"eval": "memory://reports"})
        >>> layers.raw.url, layers.eval.url
        ('memory://raw-example', 'memory://reports')
        """
        names = [field.name for field in fields(cls)]
        given = {name: url for name, url in (overrides or {}).items() if url}
        if unknown := sorted(given.keys() - set(names)):
            raise ConfigError(f"{unknown[0]!r} is not a layer", hint=f"layers are {', '.join(names)}")
        pattern = template if "{layer}" in template else f"{template.rstrip('/')}/{{layer}}"
        stores = {name: ObjectStore.from_url(given.get(name) or pattern.replace("{layer}", name)) for name in names}
        _check_apart(stores)
        return cls(**stores)

    def stores(self) -> dict[str, ObjectStore]:
        """Return layer name to store."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def store_of(self, uri: str) -> ObjectStore:
        """Return the store that a location belongs to.

        Raises
        ------
        DataError
            It is in none of them.
        """
        for store in self.stores().values():
            if uri.startswith(f"{store.url}/"):
                return store
        raise DataError(f"{uri} is in none of the four layers", hint=MOVED)

    def ensure(self) -> None:
        """Make what is missing (see `ObjectStore.ensure`)."""
        for store in self.stores().values():
            store.ensure()


def _check_apart(stores: Mapping[str, ObjectStore]) -> None:
    for name, store in stores.items():
        for other, its in stores.items():
            if name != other and f"{its.url}/".startswith(f"{store.url}/"):
                raise ConfigError(
                    f"the layers {name} and {other} share a place: {store.url} and {its.url}",
                    hint="give each layer a bucket or folder of its own, e.g. with {layer} in the store URL",
                )
