"""The books of one account at one moment, read from its tables."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from engine.core.ledger import split_quantity
from engine.core.values import CASH_DECIMALS, QUANTITY_DECIMALS, ZERO, from_scaled
from engine.store.accounts import AccountRow
from engine.store.connection import sqlite

_END_OF_TIME: Final = 2**63 - 1
_Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLot:
    """Hold what is left of one purchase."""

    #: `T12`: bought by trade 12; `A3`: came by adjustment 3.
    lot: str
    opened: str
    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedPosition:
    """Hold a position with its lots."""

    strategy_id: str
    symbol: str
    quantity: Decimal
    cost: Decimal
    realized_pnl: Decimal
    #: None for an account of the first schema, which kept no lots.
    lots: tuple[OpenLot, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RealizedLot:
    """Hold what one sale took of one lot."""

    symbol: str
    lot: str
    opened: str
    closed: str
    holding_days: int
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal
    realized_pnl: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BooksAt:
    """Hold the books of an account at a moment. Amounts in account currency."""

    account: str
    cash: Decimal
    cash_settled: Decimal
    cash_unsettled: Decimal
    positions: tuple[BookedPosition, ...]
    realized_lots: tuple[RealizedLot, ...]
    realized_pnl: Decimal
    fees_by_kind: dict[str, Decimal]
    #: Dividends, interest, deposits and the like, by kind.
    movements: dict[str, Decimal]
    #: What was sold that was never held, and executions of unknown orders: number of rows.
    suspended: int
    good_faith_violations: int
    #: Account of the double entry -> its balance; debits are positive.
    balances: dict[str, Decimal]
    debits: Decimal
    credits: Decimal


def read_books(connection: sqlite.Connection, account: AccountRow, at_ts_ns: int | None = None) -> BooksAt:
    """Return the books of an account as they were at a moment, ns UTC; None: now."""
    at = _END_OF_TIME if at_ts_ns is None else at_ts_ns
    reader = _Reader(connection, account, at)
    cash, settled = reader.cash(_now(connection, account) if at_ts_ns is None else at)
    positions = reader.positions()
    balances, debits, credits_ = reader.balances()
    return BooksAt(
        account=account.name,
        cash=cash,
        cash_settled=settled,
        cash_unsettled=cash - settled,
        positions=tuple(position for position in positions if position.quantity),
        realized_lots=reader.realized(),
        realized_pnl=sum((position.realized_pnl for position in positions), ZERO),
        fees_by_kind=reader.fees(),
        movements=reader.movements(),
        suspended=reader.number("SELECT count(*) FROM suspense WHERE account_id = ?1 AND ts_ns <= ?2"),
        good_faith_violations=reader.number(
            "SELECT coalesce(sum(CASE WHEN quantity_e8 < 0 THEN -1 ELSE 1 END), 0) FROM good_faith_violations "
            "WHERE account_id = ?1 AND ts_ns <= ?2"
        ),
        balances=balances,
        debits=debits,
        credits=credits_,
    )


def _now(connection: sqlite.Connection, account: AccountRow) -> int:
    # The account's own time: that of its last input.
    row = connection.execute(
        "SELECT received_ts_ns FROM inputs WHERE account_id = ? ORDER BY id DESC LIMIT 1", (account.account_id,)
    ).fetchone()
    return int(row[0]) if row else 0


class _Reader:
    def __init__(self, connection: sqlite.Connection, account: AccountRow, at_ts_ns: int) -> None:
        self._connection = connection
        self._offset = account.id_offset
        self._key = (account.account_id, at_ts_ns)

    def rows(self, query: str) -> list[Any]:
        return self._connection.execute(query, self._key).fetchall()

    def number(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    def cash(self, arrived_ts_ns: int) -> tuple[Decimal, Decimal]:
        flows = self.rows("SELECT amount_e8, arrives_ts_ns FROM v_cash_flows WHERE account_id = ?1 AND ts_ns <= ?2")
        total = sum(amount for amount, _ in flows)
        return _money(total), _money(sum(amount for amount, arrives in flows if arrives <= arrived_ts_ns))

    def movements(self) -> dict[str, Decimal]:
        rows = self.rows(
            "SELECT kind, sum(amount_e8) FROM cash_movements WHERE account_id = ?1 AND ts_ns <= ?2 GROUP BY kind"
        )
        return {kind: _money(amount) for kind, amount in rows}

    def fees(self) -> dict[str, Decimal]:
        rows = self.rows(
            "SELECT kind, sum(amount_e8) FROM trade_fees WHERE account_id = ?1 AND ts_ns <= ?2 GROUP BY kind"
        )
        fees = {kind: _money(amount) for kind, amount in rows}
        charged = self.number(
            "SELECT coalesce(sum((1 - 2 * is_bust) * fee_e8), 0) FROM trades WHERE account_id = ?1 AND ts_ns <= ?2"
        )
        rest = _money(charged) - sum(fees.values(), ZERO)
        return {**fees, "other": rest} if rest else fees

    def balances(self) -> tuple[dict[str, Decimal], Decimal, Decimal]:
        rows = self.rows(
            "SELECT e.account, sum(e.debit_e8), sum(e.credit_e8) FROM journal_entries AS e "
            "JOIN inputs AS i ON i.id = e.step_id WHERE e.account_id = ?1 AND i.received_ts_ns <= ?2 "
            "GROUP BY e.account ORDER BY e.account"
        )
        balances = {account: _money(debit - credit) for account, debit, credit in rows}
        return balances, _money(sum(row[1] for row in rows)), _money(sum(row[2] for row in rows))

    def realized(self) -> tuple[RealizedLot, ...]:
        rows = self.rows(
            "SELECT symbol, opening_trade_id, opening_adjustment_id, min(opened_timestamp), min(closed_timestamp), "
            "holding_days, sum(sign * quantity_e8), sum(sign * cost_e8), sum(sign * proceeds_e8), "
            "sum(sign * realized_pnl_e8) FROM (SELECT *, 1 - 2 * is_reversal AS sign FROM lot_closures "
            "WHERE account_id = ?1 AND ts_ns <= ?2) GROUP BY closing_trade_id, closing_adjustment_id, "
            "opening_trade_id, opening_adjustment_id HAVING sum(sign * quantity_e8) != 0 ORDER BY min(id)"
        )
        return tuple(
            RealizedLot(
                symbol=row[0],
                lot=self._lot(row[1], row[2]),
                opened=row[3],
                closed=row[4],
                holding_days=row[5],
                quantity=_quantity(row[6]),
                cost=_money(row[7]),
                proceeds=_money(row[8]),
                realized_pnl=_money(row[9]),
            )
            for row in rows
        )

    def positions(self) -> list[BookedPosition]:
        lots = self._lots()
        rows = self.rows(
            "SELECT strategy_id, instrument_id, max(symbol), sum(quantity), sum(cost), sum(profit) FROM ("
            "SELECT strategy_id, instrument_id, symbol, realized_pnl_e8 AS profit, "
            "(1 - 2 * is_bust) * CASE side WHEN 'buy' THEN quantity_e8 ELSE -quantity_e8 END AS quantity, "
            "(1 - 2 * is_bust) * CASE side WHEN 'buy' THEN value_e8 ELSE -value_e8 END + realized_pnl_e8 AS cost "
            "FROM trades WHERE account_id = ?1 AND ts_ns <= ?2 UNION ALL "
            "SELECT strategy_id, instrument_id, symbol, coalesce(realized_pnl_e8, 0), quantity_e8, cost_e8 "
            "FROM position_adjustments WHERE account_id = ?1 AND ts_ns <= ?2) GROUP BY strategy_id, instrument_id"
        )
        return [
            BookedPosition(
                strategy_id=row[0],
                symbol=row[2],
                quantity=_quantity(row[3]),
                cost=_money(row[4]),
                realized_pnl=_money(row[5]),
                lots=None if lots is None else tuple(lots.get((row[0], row[1]), {}).values()),
            )
            for row in rows
        ]

    def _lots(self) -> dict[_Key, dict[str, OpenLot]] | None:
        if self.number(
            "SELECT count(*) FROM trades WHERE account_id = ?1 AND ts_ns <= ?2 AND settlement_ts_ns IS NULL"
        ):
            return None
        # Purchases and adjustments open lots, closures take from them; within a step in this order.
        changes = self.rows(
            "SELECT step_id, 0, strategy_id, instrument_id, id, NULL, (1 - 2 * is_bust) * quantity_e8, "
            "(1 - 2 * is_bust) * value_e8, timestamp, NULL, CASE is_bust WHEN 1 THEN execution_id END "
            "FROM trades WHERE account_id = ?1 AND ts_ns <= ?2 AND side = 'buy' UNION ALL "
            "SELECT step_id, 1, strategy_id, instrument_id, NULL, id, quantity_e8, cost_e8, timestamp, ratio, NULL "
            "FROM position_adjustments WHERE account_id = ?1 AND ts_ns <= ?2 "
            "AND (ratio IS NOT NULL OR (kind IN ('opening', 'adoption', 'correction') AND quantity_e8 > 0)) UNION ALL "
            "SELECT step_id, 2, strategy_id, instrument_id, opening_trade_id, opening_adjustment_id, "
            "(2 * is_reversal - 1) * quantity_e8, (2 * is_reversal - 1) * cost_e8, opened_timestamp, NULL, NULL "
            "FROM lot_closures WHERE account_id = ?1 AND ts_ns <= ?2 ORDER BY 1, 2"
        )
        bought = dict(
            self.rows("SELECT execution_id, id FROM trades WHERE account_id = ?1 AND ts_ns <= ?2 AND NOT is_bust")
        )
        positions: dict[_Key, dict[str, OpenLot]] = {}
        for _, _, strategy_id, instrument_id, trade, adjustment, quantity, cost, opened, ratio, busted in changes:
            lots = positions.setdefault((strategy_id, instrument_id), {})
            if ratio is not None:
                _split(lots, ratio)
                continue
            name = self._lot(bought[busted] if busted else trade, adjustment)
            lot = lots.get(name) or OpenLot(lot=name, opened=opened, quantity=ZERO, cost=ZERO)
            lots[name] = OpenLot(
                lot=name,
                opened=lot.opened,
                quantity=lot.quantity + _quantity(quantity),
                cost=lot.cost + _money(cost),
            )
        return {key: {name: lot for name, lot in lots.items() if lot.quantity > 0} for key, lots in positions.items()}

    def _lot(self, trade_id: int | None, adjustment_id: int | None) -> str:
        if trade_id is not None:
            return f"T{trade_id - self._offset}"
        return f"A{(adjustment_id or self._offset) - self._offset}"


def _split(lots: dict[str, OpenLot], ratio: str) -> None:
    # On the running sum, as the ledger does, so that the parts add up to the whole.
    new, _, old = ratio.partition(":")
    before = after = ZERO
    for name, lot in lots.items():
        before += lot.quantity
        reached = split_quantity(before, int(new), int(old))
        lots[name] = OpenLot(lot=name, opened=lot.opened, quantity=reached - after, cost=lot.cost)
        after = reached


def _money(integer: int) -> Decimal:
    return from_scaled(integer, decimals=CASH_DECIMALS)


def _quantity(integer: int) -> Decimal:
    return from_scaled(integer, decimals=QUANTITY_DECIMALS)
