"""Column types that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Integer, String, TypeDecorator
from sqlalchemy.types import TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, in UTC, to the microsecond.

    PostgreSQL has ``timestamp with time zone``. SQLite drops the zone, so there it is text of fixed width in ISO 8601,
    which sorts as the moments do.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the database's own type."""
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a moment without a zone; give the rest in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no zone; times in the audit are UTC")
        return iso(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Give it back in UTC."""
        if value is None:
            return None
        moment: datetime = datetime.fromisoformat(value) if dialect.name == "sqlite" else value
        return moment.astimezone(UTC)


def iso(value: datetime) -> str:
    """Return the one text form of a moment.

    >>> iso(datetime(2017, 7, 7, 15, 30, tzinfo=UTC))
    '2017-07-07T15:30:00.000000+00:00'
    """
    return value.astimezone(UTC).isoformat(timespec="microseconds")


WideInteger = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on both; SQLite makes only a plain INTEGER the row's own number."""
