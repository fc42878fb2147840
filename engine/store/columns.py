"""Kinds of columns: whole numbers, exact decimals with readable twins, moments with readable twins.

A twin is a virtual generated column: it costs no space, cannot disagree, and is what a person reads. The types carry
PostgreSQL variants, and so do the twins of moments.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import REAL as SQL_REAL
from sqlalchemy import BigInteger, Column, Computed, Double, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.types import TypeEngine

from engine.core.values import CASH_DECIMALS, PRICE_DECIMALS, QUANTITY_DECIMALS

#: STRICT tables of SQLite know these names only; PostgreSQL needs 64 bits said.
WHOLE: Final = Integer().with_variant(BigInteger(), "postgresql")
REAL: Final[TypeEngine[float]] = SQL_REAL().with_variant(Double(), "postgresql")
TEXT: Final = Text()
BYTES: Final = LargeBinary()
MOMENT: Final = Text().with_variant(TIMESTAMP(), "postgresql")

_PRICE_UNITS: Final = 10**PRICE_DECIMALS
_QUANTITY_UNITS: Final = 10**QUANTITY_DECIMALS
_CASH_UNITS: Final = 10**CASH_DECIMALS


class _MomentText(ColumnElement[str]):
    """Stand for the text of a moment in ns UTC: ISO 8601, milliseconds (cut, not rounded), Z."""

    inherit_cache = False
    type = MOMENT

    def __init__(self, name: str) -> None:
        self.name = name


@compiles(_MomentText, "sqlite")
def _moment_in_sqlite(element: _MomentText, _compiler: SQLCompiler, **_options: object) -> str:
    # SQLite computes twins at each insert, to check their type: this is the cheapest text, at 0.2 us.
    ts = element.name
    return f"date({ts} / 1000000000, 'unixepoch') || 'T' || time({ts} / 1000000 / 1000.0, 'unixepoch', 'subsec') || 'Z'"


@compiles(_MomentText, "postgresql")
def _moment_in_postgresql(element: _MomentText, _compiler: SQLCompiler, **_options: object) -> str:
    # Text from a moment depends on settings there, so a generated column has to stay a timestamp.
    return f"TIMESTAMP '1970-01-01' + {element.name} / 1000000 * INTERVAL '1 millisecond'"


def whole(name: str, *arguments: SchemaItem, optional: bool = False) -> Column[Any]:
    """Return a column of 64-bit integers."""
    return Column(name, WHOLE, *arguments, nullable=optional)


def flag(name: str) -> Column[Any]:
    """Return a column of 0 and 1."""
    return Column(name, WHOLE, nullable=False)


def real(name: str, *, optional: bool = False) -> Column[Any]:
    """Return a column of float64."""
    return Column(name, REAL, nullable=optional)


def text(name: str, *arguments: SchemaItem, optional: bool = False) -> Column[Any]:
    """Return a column of text."""
    return Column(name, TEXT, *arguments, nullable=optional)


def moment(name: str, *, twin: str, optional: bool = False) -> tuple[Column[Any], Column[Any]]:
    """Return a column of ns UTC and its readable twin."""
    return whole(name, optional=optional), Column(twin, MOMENT, Computed(_MomentText(name), persisted=False))


def price(name: str, *, optional: bool = False) -> tuple[Column[Any], Column[Any]]:
    """Return a column `…_e10` of prices and its readable twin."""
    return _exact(f"{name}_e10", name, _PRICE_UNITS, optional=optional)


def quantity(name: str = "quantity") -> tuple[Column[Any], Column[Any]]:
    """Return a column `…_e8` of shares or coins and its readable twin."""
    return _exact(f"{name}_e8", name, _QUANTITY_UNITS, optional=False)


def money(name: str, *, twin: str | None = None, optional: bool = False) -> tuple[Column[Any], Column[Any]]:
    """Return a column `…_e8` of account currency and its readable twin."""
    return _exact(f"{name}_e8", twin or name, _CASH_UNITS, optional=optional)


def computed(name: str, sql: str) -> Column[Any]:
    """Return a virtual column of float64 by an expression over its row."""
    return Column(name, REAL, Computed(sql, persisted=False))


def _exact(name: str, twin: str, units: int, *, optional: bool) -> tuple[Column[Any], Column[Any]]:
    # Division by a float power of ten gives the float nearest to the decimal, which prints as the decimal.
    return whole(name, optional=optional), computed(twin, f"{name} / {units}.0")
