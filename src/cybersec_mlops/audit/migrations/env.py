"""What Alembic runs: the steps, on the connection that `cybersec_mlops.audit.migrate` hands over."""

from __future__ import annotations

from alembic import context

from cybersec_mlops.audit.schema import VERSION_TABLE, metadata


def run() -> None:
    """Run the steps inside the caller's transaction, which both databases can hold schema changes in."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if hasattr(context, "config"):  # executed by Alembic, not merely imported
    run()
