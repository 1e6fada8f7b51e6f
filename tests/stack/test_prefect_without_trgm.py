"""Only statements about trigram indexes are passed over."""

from __future__ import annotations

import pytest
from alembic import op

from cybersec_mlops.stack.prefect_without_trgm import leave_out_trgm


def test_statements_about_trigrams_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(op, "execute", lambda statement: done.append(str(statement)))
    leave_out_trgm()
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm;")
    op.execute("CREATE INDEX trgm_ix_flow_name ON flow USING gin (name gin_trgm_ops);")
    op.execute("CREATE TABLE flow (name text)")
    assert done == ["CREATE TABLE flow (name text)"]
