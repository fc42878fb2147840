"""What tables are made of: the metadata that holds them, their keys and the references that most of them have."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Column, ForeignKey, ForeignKeyConstraint, MetaData, Table
from sqlalchemy import text as sql_text
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.elements import quoted_name

from engine.store.columns import WHOLE, text, whole

METADATA: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_exists",
        "uq": "%(table_name)s_%(column_0_N_name)s_once",
        "ix": "%(table_name)s_by_%(column_0_N_name)s",
    }
)


def table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    """Return a strict table; without a rowid where its key is all that finds a row."""
    return Table(name, METADATA, *items, sqlite_strict=True, sqlite_with_rowid=rowid)


def word_column(name: str, vocabulary: str) -> Column[Any]:
    """Return a column of the words of a vocabulary."""
    return text(name, ForeignKey(f"{vocabulary}.name"))


# A keyword that needs no quotes: people type it without.
TRIGGER: Final = quoted_name("trigger", quote=False)


def id_column() -> Column[Any]:
    """Return the key of a table whose rows are numbered."""
    return Column("id", WHOLE, primary_key=True)


def defaulted_column(name: str, default: str) -> Column[Any]:
    """Return a column of whole numbers with a default."""
    return Column(name, WHOLE, nullable=False, server_default=sql_text(default))


def account_column() -> Column[Any]:
    """Return the account of a row."""
    return whole("account_id", ForeignKey("accounts.id"))


def owner_column() -> Column[Any]:
    """Return the account of a row, unchecked."""
    # The account of a row whose instrument or step says already that the account exists: one look-up less per row.
    return whole("account_id")


def step_column() -> Column[Any]:
    """Return the step that wrote a row."""
    return whole("step_id", ForeignKey("inputs.id"))


def instrument_exists() -> ForeignKeyConstraint:
    """Return the reference to an instrument of the account."""
    return ForeignKeyConstraint(
        ["account_id", "instrument_id"], ["instruments.account_id", "instruments.instrument_id"]
    )


def strategy_exists() -> ForeignKeyConstraint:
    """Return the reference to a strategy of the account."""
    return ForeignKeyConstraint(["account_id", "strategy_id"], ["strategies.account_id", "strategies.strategy_id"])
