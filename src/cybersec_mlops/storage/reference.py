"""A reference to a stored object: all that tasks, flows and phases ever hand each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an object is, and what it must be."""

    uri: str
    """Absolute location, e.g. ``s3://mlops-raw/objects/ab/ab12...``."""
    sha256: str
    """Lower-case hexadecimal SHA-256 of the object's bytes."""
    bytes: int
    """Size in bytes."""
    rows: int | None = None
    """Rows in it, where it is a table."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Reference:
        """Read the JSON form.

        >>> Reference.from_dict(Reference("memory:///a", "00", 1).to_dict())
        Reference(uri='memory:///a', sha256='00', bytes=1, rows=None)
        """
        return cls(value["uri"], value["sha256"], value["bytes"], value.get("rows"))
