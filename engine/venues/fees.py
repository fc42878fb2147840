"""Fee schedules: dated tables, never constants.

Sources: the SEC's "Fee Rate Advisory" notices for section 31 of the Exchange Act, and section 1 of schedule A of
FINRA's by-laws with its rule filings (SR-FINRA-2024-019 for 2026 to 2028; SR-FINRA-2026-021 for the holiday of
the last quarter of 2026) for the Trading Activity Fee. The last row of each table holds until a newer one is known.

How Robinhood rounds is not verified: here each fee of each execution goes to the nearest cent, halves up. Its
passed-on CAT fee is left out, because its rate is not known: a schedule of one's own, in a file, may state it. A real
account's fees come with its orders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Final, Protocol

from engine.core.errors import BadInput
from engine.core.values import (
    CASH_DECIMALS,
    SECOND_NS,
    ZERO,
    AssetClass,
    Instrument,
    Side,
    cents,
    from_scaled,
)

_MILLION: Final = Decimal(1_000_000)
#: The most that a column of money holds.
_AMOUNT_MAX: Final = from_scaled(2**63 - 1, decimals=CASH_DECIMALS)

#: Midnight of New York's standard time in UTC. In summer it is one in the morning there, when no regular session
#: runs, so the exchange date of every execution here comes out right in both halves of the year.
_EXCHANGE_MIDNIGHT: Final = "T05:00:00+00:00"

#: From exchange date on: dollars for each million of sales.
SEC_SECTION_31: Final = (
    ("2020-02-18", Decimal("22.10")),
    ("2021-02-25", Decimal("5.10")),
    ("2022-05-14", Decimal("22.90")),
    ("2023-02-27", Decimal("8.00")),
    ("2024-05-22", Decimal("27.80")),
    ("2025-05-14", Decimal("0.00")),
    ("2026-04-04", Decimal("20.60")),
)

#: From exchange date on: (dollars for each share sold, most for one execution in dollars).
FINRA_TRADING_ACTIVITY: Final = (
    ("2020-01-01", (Decimal("0.000119"), Decimal("5.95"))),
    ("2022-01-01", (Decimal("0.000130"), Decimal("6.49"))),
    ("2023-01-01", (Decimal("0.000145"), Decimal("7.27"))),
    ("2024-01-01", (Decimal("0.000166"), Decimal("8.30"))),
    ("2026-01-01", (Decimal("0.000195"), Decimal("9.79"))),
    ("2026-10-01", (Decimal("0.000000"), Decimal("0.00"))),
    ("2027-01-01", (Decimal("0.000232"), Decimal("11.61"))),
    ("2028-01-01", (Decimal("0.000240"), Decimal("12.05"))),
)

#: Amounts by kind of fee.
Fees = tuple[tuple[str, Decimal], ...]


class FeeSchedule(Protocol):
    """Tell what one execution costs."""

    @property
    def name(self) -> str:
        """Return what stands for the schedule: the same name is the same fees."""

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return the fee of one execution at a moment, ns UTC, in account currency, at or above zero.

        Raises BadInput for a moment that the schedule does not reach.
        """


class NoFees:
    """Charge nothing."""

    __slots__ = ()

    name = "none"

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return zero."""
        return ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRow:
    """Hold what one kind of fee is from one exchange date to another."""

    #: Number of its row where it was written.
    number: int
    kind: str
    #: ISO dates: the first on which it holds, and the first on which it no longer does ("": it goes on).
    start: str
    until: str
    #: None: both sides, or every asset class.
    side: Side | None
    asset_class: AssetClass | None
    #: Dollars for each million of value, for each share or coin, and for each execution.
    per_million: Decimal = ZERO
    per_share: Decimal = ZERO
    per_execution: Decimal = ZERO
    #: The most that one execution pays; None for no bound.
    most: Decimal | None = None

    def amount(self, price: Decimal, quantity: Decimal) -> Decimal:
        """Return the fee to the cent, halves up."""
        exact = price * quantity * self.per_million / _MILLION + self.per_share * quantity + self.per_execution
        return cents(exact if self.most is None else min(exact, self.most))


class DatedFees:
    """Charge by rows of dates: each kind of fee, side and asset class is a chain without a hole or an overlap.

    Raises BadInput, with the number of the row, for a negative or a huge fee, a hole or an overlap.
    """

    __slots__ = ("_chains", "_file", "name")

    def __init__(self, name: str, rows: Sequence[FeeRow], *, file: str = "") -> None:
        self.name = name
        #: What a human calls it, where it is a file: the name has a hash too.
        self._file = file
        title = file or name
        groups: dict[tuple[str, Side | None, AssetClass | None], list[FeeRow]] = {}
        for row in rows:
            _check_row(title, row)
            groups.setdefault((row.kind, row.side, row.asset_class), []).append(row)
        for chain in groups.values():
            _check_chain(title, chain)
        #: Each chain with the moments at which its rows begin.
        self._chains = tuple((chain, tuple(_midnight_ns(row.start) for row in chain)) for chain in groups.values())

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return the sum of the fees of one execution, each in whole cents."""
        charged = self.fees(instrument, side, price=price, quantity=quantity, ts_ns=ts_ns)
        return sum((amount for _, amount in charged), ZERO)

    def fees(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Fees:
        """Return the fees of one execution by kind, those above zero."""
        charged: dict[str, Decimal] = {}
        for chain, starts in self._chains:
            if chain[0].side not in (None, side) or chain[0].asset_class not in (None, instrument.asset_class):
                continue
            row = self._row(chain, bisect_right(starts, ts_ns) - 1, instrument, ts_ns)
            charged[row.kind] = charged.get(row.kind, ZERO) + row.amount(price, quantity)
        return tuple((kind, amount) for kind, amount in charged.items() if amount)

    def _row(self, chain: Sequence[FeeRow], place: int, instrument: Instrument, ts_ns: int) -> FeeRow:
        title = self._file or self.name
        if place < 0:
            remedy = "add a row from that date" if self._file else "use --fees none or later data"
            raise BadInput(
                f"The fee schedule {title} starts its fee {chain[0].kind} on {chain[0].start} and the trade of "
                f"{instrument.symbol} at {_utc(ts_ns)} is earlier: {remedy}."
            )
        row = chain[place]
        if row.until and ts_ns >= _midnight_ns(row.until):
            raise BadInput(
                f"The fee schedule {title} ends its fee {row.kind} on {row.until} and the trade of "
                f"{instrument.symbol} at {_utc(ts_ns)} is later: add a row that goes on."
            )
        return row


def _check_row(name: str, row: FeeRow) -> None:
    where = f"The fee schedule {name} has in row {row.number}"
    for what in ("per_million", "per_share", "per_execution", "most"):
        amount: Decimal | None = getattr(row, what)
        if amount is not None and (not amount.is_finite() or amount < 0):
            raise BadInput(f"{where} the {what} {amount}, which is no fee: give a number at or above zero.")
        if amount is not None and amount > (_MILLION if what == "per_million" else _AMOUNT_MAX):
            more = "more than the whole value" if what == "per_million" else "more than can be booked"
            raise BadInput(f"{where} the {what} {amount}, which is {more}: give a smaller number.")
    if row.until and row.until <= row.start:
        raise BadInput(f"{where} the dates {row.start} to {row.until}, which hold no day: correct one of them.")


def _check_chain(name: str, chain: Sequence[FeeRow]) -> None:
    for row, following in pairwise(chain):
        where = f"The fee schedule {name} has in row {following.number} the fee {row.kind} from {following.start}"
        if following.start <= row.start or (row.until and following.start < row.until) or not row.until:
            raise BadInput(f"{where}, where row {row.number} still holds: end that row, or begin this one later.")
        if following.start > row.until:
            raise BadInput(
                f"{where}, after a hole since {row.until}: let one end on the date on which the next begins."
            )


def _utc(ts_ns: int) -> str:
    return f"{datetime.fromtimestamp(ts_ns // SECOND_NS, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _midnight_ns(day: str) -> int:
    return int(datetime.fromisoformat(day + _EXCHANGE_MIDNIGHT).astimezone(UTC).timestamp()) * SECOND_NS


def _robinhood() -> DatedFees:
    # What Robinhood passes on for sales of shares. Crypto has no fee here: there the spread between bid and ask is the
    # cost, so match it on quotes.
    rows: list[FeeRow] = []
    sec_ends = [start for start, _ in SEC_SECTION_31[1:]] + [""]
    for (start, rate), until in zip(SEC_SECTION_31, sec_ends, strict=True):
        rows.append(_sale(len(rows) + 1, "sec", start, until, per_million=rate))
    taf_ends = [start for start, _ in FINRA_TRADING_ACTIVITY[1:]] + [""]
    for (start, (rate, most)), until in zip(FINRA_TRADING_ACTIVITY, taf_ends, strict=True):
        rows.append(_sale(len(rows) + 1, "taf", start, until, per_share=rate, most=most))
    return DatedFees("robinhood", rows)


def _sale(number: int, kind: str, start: str, until: str, **amounts: Decimal) -> FeeRow:
    return FeeRow(
        number=number,
        kind=kind,
        start=start,
        until=until,
        side=Side.SELL,
        asset_class=AssetClass.EQUITY,
        **amounts,
    )


def fees_by_kind(
    schedule: FeeSchedule, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int
) -> Fees:
    """Return the fees of one execution by kind; a schedule that tells none apart has one kind, its name."""
    if isinstance(schedule, DatedFees):
        return schedule.fees(instrument, side, price=price, quantity=quantity, ts_ns=ts_ns)
    fee = schedule.fee(instrument, side, price=price, quantity=quantity, ts_ns=ts_ns)
    return ((schedule.name, fee),) if fee else ()


def fee_schedule(name: str) -> FeeSchedule:
    """Return the fee schedule of a name, `none` or `robinhood`, or of a file, `.csv` or `.yaml`.

    Raises BadInput for another name, and for a file that is no schedule (see `engine.venues.fee_files`).
    """
    if name == NoFees.name:
        return NoFees()
    if name == "robinhood":
        return _robinhood()
    if Path(name).suffix in {".csv", ".yaml", ".yml"}:
        from engine.venues.fee_files import read_fees

        return read_fees(Path(name))
    raise BadInput(f"The fee schedule {name!r} is not known: use none, robinhood, or a file ending .csv or .yaml.")


def is_date(text: str) -> bool:
    """Return whether a text is a date of the form 2024-05-22."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
