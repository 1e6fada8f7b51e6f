from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select, text
from sqlalchemy.exc import StatementError
from sqlalchemy.pool import NullPool

from cybersec_mlops.audit.database import Database
from cybersec_mlops.audit.types import UtcDateTime, WideInteger, iso

table = Table("moments", MetaData(), Column("number", WideInteger, primary_key=True), Column("at", UtcDateTime))
MOMENTS = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=timezone(timedelta(hours=2))),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


def test_a_moment_comes_back_in_utc_and_in_order(database_url: str) -> None:
    database = Database(database_url)
    database.prepare_file()
    with database.writing() as connection:
        table.create(connection)
        connection.execute(insert(table), [{"number": n, "at": moment} for n, moment in enumerate(reversed(MOMENTS))])
        connection.execute(insert(table), {"number": 2**40, "at": None})
    with database.reading() as connection:
        found = list(connection.scalars(select(table.c.at).where(table.c.at.is_not(None)).order_by(table.c.at)))
        assert connection.scalar(select(table.c.number).where(table.c.at.is_(None))) == 2**40
    assert found == MOMENTS
    assert {moment.utcoffset() for moment in found} == {timedelta(0)}


def test_a_moment_without_a_zone_is_refused(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/x.db", poolclass=NullPool)
    with engine.begin() as connection:
        table.create(connection)
        with pytest.raises(StatementError, match="has no zone"):
            connection.execute(insert(table), {"number": 1, "at": datetime(2026, 1, 1)})  # noqa: DTZ001
        assert connection.scalar(text("SELECT count(*) FROM moments")) == 0


@settings(max_examples=50)
@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_the_text_form_sorts_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (iso(one) < iso(other)) == (one < other)
    assert datetime.fromisoformat(iso(one)) == one
