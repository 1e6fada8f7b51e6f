"""The chain of events, its head, and the triggers that keep both append-only.

There is no way back: evidence is not taken apart.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cybersec_mlops.audit.types import UtcDateTime, WideInteger

revision = "0001"
down_revision = None

GENESIS = "0" * 64


def upgrade() -> None:
    """Make the tables, the first head and the guards."""
    op.create_table(
        "audit_events",
        sa.Column("id", WideInteger, primary_key=True, autoincrement=False),
        sa.Column("recorded_at", UtcDateTime, nullable=False),
        sa.Column("run_id", sa.String(200), nullable=False),
        sa.Column("phase", sa.String(50), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("key", sa.String(200)),
        sa.Column("dataset", sa.Text),
        sa.Column("rows", WideInteger),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.Column("prefect_flow_run_id", sa.String(100)),
        sa.Column("inputs", sa.Text, nullable=False),
        sa.Column("outputs", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
        sa.CheckConstraint(
            "status IN ('started', 'completed', 'reused', 'failed', 'rejected', 'interrupted')",
            name="audit_events_status",
        ),
    )
    op.create_index("audit_events_by_run", "audit_events", ["run_id", "phase"])
    op.create_index("audit_events_by_key", "audit_events", ["phase", "key"])
    op.create_index("audit_events_by_dataset", "audit_events", ["dataset", "phase"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("count", WideInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="audit_head_single"),
    )
    op.bulk_insert(head, [{"id": 1, "count": 0, "hash": GENESIS}])
    for statement in SQLITE_GUARDS if op.get_bind().dialect.name == "sqlite" else _postgresql_guards():
        op.execute(sa.text(statement.replace(":", r"\:")))


SQLITE_GUARDS = (
    """CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
       BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END""",
    """CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events
       BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END""",
    """CREATE TRIGGER audit_events_in_order BEFORE INSERT ON audit_events
       WHEN NOT EXISTS (SELECT 1 FROM audit_head WHERE count = NEW.id - 1 AND hash = NEW.previous_hash)
       BEGIN SELECT RAISE(ABORT, 'audit rows are appended in order'); END""",
    """CREATE TRIGGER audit_events_move_head AFTER INSERT ON audit_events
       BEGIN UPDATE audit_head SET count = NEW.id, hash = NEW.hash; END""",
    """CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head
       BEGIN SELECT RAISE(ABORT, 'the head of the audit is kept by its triggers'); END""",
    """CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head
       WHEN NEW.count <> OLD.count + 1 OR NEW.id <> 1
         OR NOT EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.count AND hash = NEW.hash)
       BEGIN SELECT RAISE(ABORT, 'the head of the audit is kept by its triggers'); END""",
)


def _postgresql_guards() -> tuple[str, ...]:
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    # The inserting role has no right to the head: the function that moves it runs as its owner.
    owner = f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp"
    move = "$$ BEGIN UPDATE audit_head SET count = NEW.id, hash = NEW.hash; RETURN NULL; END $$"
    return (
        f"""CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = {schema}, pg_temp AS $$
        BEGIN RAISE EXCEPTION 'audit rows are append-only'; END $$""",
        """CREATE TRIGGER audit_events_no_change BEFORE UPDATE OR DELETE ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
        f"""CREATE FUNCTION audit_in_order() RETURNS trigger {owner} AS $$
        BEGIN
            PERFORM 1 FROM audit_head WHERE count = NEW.id - 1 AND hash = NEW.previous_hash;
            IF NOT FOUND THEN RAISE EXCEPTION 'audit rows are appended in order'; END IF;
            RETURN NEW;
        END $$""",
        """CREATE TRIGGER audit_events_in_order BEFORE INSERT ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_in_order()""",
        f"CREATE FUNCTION audit_move_head() RETURNS trigger {owner} AS {move}",
        """CREATE TRIGGER audit_events_move_head AFTER INSERT ON audit_events
        FOR EACH ROW EXECUTE FUNCTION audit_move_head()""",
        f"""CREATE FUNCTION audit_head_forward() RETURNS trigger {owner} AS $$
        BEGIN
            PERFORM 1 FROM audit_events WHERE id = NEW.count AND hash = NEW.hash;
            IF NOT FOUND OR NEW.count <> OLD.count + 1 THEN
                RAISE EXCEPTION 'the head of the audit is kept by its triggers';
            END IF;
            RETURN NEW;
        END $$""",
        """CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head
        FOR EACH ROW EXECUTE FUNCTION audit_head_forward()""",
        """CREATE TRIGGER audit_head_no_delete BEFORE DELETE ON audit_head
        FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
        """CREATE TRIGGER audit_head_no_truncate BEFORE TRUNCATE ON audit_head
        FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    )
