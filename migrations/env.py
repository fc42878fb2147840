"""Run migrations on the one connection that the program hands over: alembic opens no file of its own."""

from __future__ import annotations

from alembic import context
from pysqlite3 import dbapi2
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from engine.core.errors import Halt
from engine.store.schema import METADATA
from engine.store.views import replace_views

handed_over = context.config.attributes["connection"]
engine = create_engine("sqlite://", module=dbapi2, creator=lambda: handed_over, poolclass=StaticPool)


@event.listens_for(engine, "begin")
def begin_immediately(connection: Connection) -> None:
    """Take the write lock at once; the driver's own deferred BEGIN is switched off by its isolation level."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def check_references(connection: Connection) -> None:
    """Raise Halt when a migration left a row that refers to nothing; its transaction is undone."""
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise Halt(f"The migration left {len(broken)} rows that refer to nothing, first {broken[0]}: it is undone.")


# A rebuild of a table drops it: with foreign keys on, that would delete the rows that refer to it. The setting
# cannot change inside a transaction.
handed_over.execute("PRAGMA foreign_keys=OFF")
try:
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
            replace_views(handed_over)
            check_references(connection)
finally:
    handed_over.execute("PRAGMA foreign_keys=ON")
