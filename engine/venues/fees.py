"""Fee schedules: dated tables, never constants.

Sources: the SEC's "Fee Rate Advisory" notices for section 31 of the Exchange Act, and section 1 of schedule A of
FINRA's by-laws with its rule filings (SR-FINRA-2024-019 for 2026 to 2028; SR-FINRA-2026-021 for the holiday of
the last quarter of 2026) for the Trading Activity Fee. The last row of each table holds until a newer one is known.

How Robinhood rounds is not verified: here each fee of each execution goes to the nearest cent, halves up. Its
passed-on CAT fee is left out, because its rate is not known. A real account's fees come with its orders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from types import MappingProxyType
from typing import Final, Protocol

from engine.core.errors import BadInput
from engine.core.values import SECOND_NS, ZERO, AssetClass, Instrument, Side

_CENT: Final = Decimal("0.01")
_MILLION: Final = Decimal(1_000_000)

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


class FeeSchedule(Protocol):
    """Tell what one execution costs."""

    @property
    def name(self) -> str:
        """Return the name under which `fee_schedule` finds it."""

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return the fee of one execution at a moment, ns UTC, in account currency, at or above zero.

        Raises BadInput for a moment before the schedule's first row.
        """


class NoFees:
    """Charge nothing."""

    __slots__ = ()

    name = "none"

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return zero."""
        return ZERO


class RobinhoodFees:
    """Charge what Robinhood passes on: section 31 and Trading Activity fees on sales of shares.

    Crypto has no fee here: there the spread between bid and ask is the cost, so match it on quotes.
    """

    __slots__ = ("_sec_rates", "_sec_starts", "_taf_rates", "_taf_starts")

    name = "robinhood"

    def __init__(self) -> None:
        self._sec_starts = tuple(_midnight_ns(date) for date, _ in SEC_SECTION_31)
        self._sec_rates = tuple(rate / _MILLION for _, rate in SEC_SECTION_31)
        self._taf_starts = tuple(_midnight_ns(date) for date, _ in FINRA_TRADING_ACTIVITY)
        self._taf_rates = tuple(rate for _, rate in FINRA_TRADING_ACTIVITY)

    def fee(self, instrument: Instrument, side: Side, *, price: Decimal, quantity: Decimal, ts_ns: int) -> Decimal:
        """Return the fees of one execution in whole cents; buys and crypto are free."""
        if side is Side.BUY or instrument.asset_class is AssetClass.CRYPTO:
            return ZERO
        sec_row = bisect_right(self._sec_starts, ts_ns) - 1
        taf_row = bisect_right(self._taf_starts, ts_ns) - 1
        if sec_row < 0 or taf_row < 0:
            raise BadInput(
                f"The fee schedule robinhood starts on {SEC_SECTION_31[0][0]} and the sale of {instrument.symbol} "
                f"at {ts_ns} ns UTC is earlier: use --fees none or later data."
            )
        per_share, most = self._taf_rates[taf_row]
        return _cents(price * quantity * self._sec_rates[sec_row]) + _cents(min(per_share * quantity, most))


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


def _midnight_ns(date: str) -> int:
    return int(datetime.fromisoformat(date + _EXCHANGE_MIDNIGHT).astimezone(UTC).timestamp()) * SECOND_NS


_SCHEDULES: Final[Mapping[str, type[NoFees | RobinhoodFees]]] = MappingProxyType(
    {schedule.name: schedule for schedule in (NoFees, RobinhoodFees)}
)


def fee_schedule(name: str) -> FeeSchedule:
    """Return the fee schedule of a name: `none` or `robinhood`.

    Raises BadInput for another name.
    """
    if name not in _SCHEDULES:
        raise BadInput(f"The fee schedule {name!r} is not known: use one of {', '.join(_SCHEDULES)}.")
    return _SCHEDULES[name]()
