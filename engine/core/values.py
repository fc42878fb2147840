"""Words that all stages share: identifiers, exact numbers, instruments and exchange sessions.

Money, order prices and quantities are `Decimal`; market data and indicators are `float`. They meet in
three places only, all in this module: `Instrument.price` and `Instrument.quantity` (for orders) and `exact`
(for prints, fills and marks). `cash` states the one unit of the ledger, 10^-8.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from enum import StrEnum
from typing import Final, NewType, Protocol

from engine.core.errors import BadInput

AccountId = NewType("AccountId", int)
StrategyId = NewType("StrategyId", str)
InstrumentId = NewType("InstrumentId", int)
ClientOrderId = NewType("ClientOrderId", str)
ExecutionId = NewType("ExecutionId", str)

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS

PRICE_DECIMALS: Final = 10
QUANTITY_DECIMALS: Final = 8
CASH_DECIMALS: Final = 8
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

_INT64_MAX: Final = 2**63 - 1
_CENT: Final = Decimal("0.01")
_CASH_UNIT: Final = Decimal(1).scaleb(-CASH_DECIMALS)
# Wide enough for a product of two 64-bit columns, so that no multiplication rounds silently.
_WIDE: Final = Context(prec=60)


class Side(StrEnum):
    """Name the side of an order or a fill."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """Name what makes an order fill."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    """Name how long an order works: for its session, or until it is canceled."""

    DAY = "day"
    GOOD_TILL_CANCELED = "gtc"


class Leg(StrEnum):
    """Name the part of a bracket that an order plays."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    EXIT = "exit"


class SessionKind(StrEnum):
    """Name the part of the exchange day in which a bar starts."""

    REGULAR = "regular"
    EXTENDED = "extended"


class AssetClass(StrEnum):
    """Name the kind of an instrument."""

    EQUITY = "equity"
    CRYPTO = "crypto"


class AccountKind(StrEnum):
    """Name what an account may buy with: settled money only, or proceeds that have not settled too."""

    CASH = "cash"
    MARGIN = "margin"


class LotMethod(StrEnum):
    """Name which lots a sale takes first; `specific` takes those that were chosen, then the oldest."""

    FIFO = "fifo"
    LIFO = "lifo"
    HIFO = "hifo"
    SPECIFIC = "specific"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTerms:
    """Hold how an account is kept."""

    kind: AccountKind = AccountKind.MARGIN
    lots: LotMethod = LotMethod.FIFO


class Direction(StrEnum):
    """Name a way to round a price to a tick."""

    UP = "up"
    DOWN = "down"
    NEAREST = "nearest"


_ROUNDING: Final = {
    Direction.UP: ROUND_CEILING,
    Direction.DOWN: ROUND_FLOOR,
    Direction.NEAREST: ROUND_HALF_EVEN,
}

#: In which direction an order price goes to the tick. A limit never becomes more aggressive than was asked;
#: the legs of a bracket keep their distance as nearly as the tick allows.
PRICE_DIRECTIONS: Final[dict[tuple[Leg, Side, OrderType], Direction]] = {
    (Leg.ENTRY, Side.BUY, OrderType.LIMIT): Direction.DOWN,
    (Leg.ENTRY, Side.BUY, OrderType.STOP): Direction.UP,
    (Leg.ENTRY, Side.BUY, OrderType.STOP_LIMIT): Direction.DOWN,
    (Leg.STOP, Side.SELL, OrderType.STOP): Direction.NEAREST,
    (Leg.STOP, Side.SELL, OrderType.STOP_LIMIT): Direction.NEAREST,
    (Leg.TARGET, Side.SELL, OrderType.LIMIT): Direction.NEAREST,
    (Leg.EXIT, Side.SELL, OrderType.LIMIT): Direction.UP,
}


def exact(value: float) -> Decimal:
    """Return the decimal that a float prints as, for prints, fills and marks.

    Raises BadInput when the value is not finite or does not fit a column of ten decimals.
    """
    number = Decimal(repr(value))
    if not number.is_finite():
        raise BadInput(f"The price {value!r} is not a finite number: correct or drop the row.")
    scaled_integer(number, decimals=PRICE_DECIMALS)
    return number


def scaled_integer(number: Decimal, *, decimals: int) -> int:
    """Return `number` x 10^decimals as the integer of a table column.

    Raises BadInput when the number has more decimals than the column or exceeds 64 bits.
    """
    scaled = number.scaleb(decimals, _WIDE)
    integer = int(scaled)
    if integer != scaled or abs(integer) > _INT64_MAX:
        raise BadInput(f"The number {number} does not fit {decimals} decimals in 64 bits: round or rescale it.")
    return integer


def from_scaled(integer: int, *, decimals: int) -> Decimal:
    """Return the decimal that a table column of `decimals` decimals stands for."""
    return Decimal(integer).scaleb(-decimals, _WIDE)


def cash(amount: Decimal) -> Decimal:
    """Return an amount of money in the ledger's unit, 10^-8, half to even (crypto products are finer)."""
    return amount.quantize(_CASH_UNIT, ROUND_HALF_EVEN, _WIDE)


def cents(amount: Decimal) -> Decimal:
    """Return an amount of money to the cent, halves up: what a broker pays and takes."""
    return amount.quantize(_CENT, ROUND_HALF_UP, _WIDE)


def part_of(amount: Decimal, quantity: Decimal, whole: Decimal) -> Decimal:
    """Return `amount` x `quantity` / `whole` in the ledger's unit, half to even."""
    return cash(_WIDE.divide(_WIDE.multiply(amount, quantity), whole))


def notional(price: Decimal, quantity: Decimal) -> Decimal:
    """Return price x quantity in the ledger's unit."""
    return cash(_WIDE.multiply(price, quantity))


def worst_price(reference_price: Decimal, limit_price: Decimal | None) -> Decimal:
    """Return the price to reckon a buy at: the last one known, or its limit where that is higher; NaN if neither is."""
    if limit_price is None:
        return reference_price
    if not (reference_price.is_finite() and limit_price.is_finite()):
        return Decimal("NaN")
    return max(reference_price, limit_price)


def _to_multiple(number: Decimal, unit: Decimal, rounding: str) -> Decimal:
    units = _WIDE.divide(number, unit).to_integral_value(rounding)
    return _WIDE.multiply(units, unit).quantize(unit, context=_WIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """Describe what can be traded; a symbol is an attribute, the id is the identity."""

    instrument_id: InstrumentId
    symbol: str
    asset_class: AssetClass
    #: Name of the exchange calendar, `XNYS` or `24/7`.
    calendar: str
    #: Smallest step of a quantity, in shares or coins.
    lot: Decimal
    #: Ascending (from price, tick in price units): the tick of a price is the last row at or below it.
    ticks: tuple[tuple[Decimal, Decimal], ...]

    def tick(self, price: Decimal) -> Decimal:
        """Return the tick that applies at a price (SEC rule 612 for shares: finer below one dollar)."""
        chosen = self.ticks[0][1]
        for from_price, tick in self.ticks:
            if price >= from_price:
                chosen = tick
        return chosen

    def price(self, value: float | Decimal, direction: Direction) -> Decimal:
        """Return an order price: `value` to the tick in a stated direction.

        Raises BadInput when the value is not finite or not above zero after rounding.
        """
        number = _finite(value, "price")
        rounded = _to_multiple(number, self.tick(number), _ROUNDING[direction])
        if rounded <= 0:
            raise BadInput(f"The order price {value} of {self.symbol} is not above zero at its tick: move it up.")
        return rounded

    def quantity(self, value: float | Decimal) -> Decimal:
        """Return an order quantity: `value` down to the lot, never below zero."""
        number = _finite(value, "quantity")
        return max(ZERO, _to_multiple(number, self.lot, ROUND_FLOOR))


def _finite(value: float | Decimal, what: str) -> Decimal:
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        raise BadInput(f"The order {what} {value} is not a finite number: check the strategy's distances.")
    return number


_EQUITY_TICKS: Final = ((ZERO, Decimal("0.0001")), (Decimal(1), Decimal("0.01")))
_CRYPTO_TICKS: Final = ((ZERO, Decimal("0.00000001")),)


def instrument_from_symbol(symbol: str, instrument_id: int, *, calendar: str | None = None) -> Instrument:
    """Return the instrument that a symbol in a file stands for: `BASE-QUOTE` is crypto, else a share at XNYS.

    A calendar that is named decides instead: `24/7` means crypto (lot 10^-8), any exchange means shares (lot 1).

    Raises BadInput for an empty symbol or one with spaces.
    """
    if not symbol or any(character.isspace() for character in symbol):
        raise BadInput(f"The symbol {symbol!r} is empty or holds a space: name it as the exchange does.")
    is_crypto = calendar == "24/7" if calendar else "-" in symbol.strip("-")
    return Instrument(
        instrument_id=InstrumentId(instrument_id),
        symbol=symbol,
        asset_class=AssetClass.CRYPTO if is_crypto else AssetClass.EQUITY,
        calendar=calendar or ("24/7" if is_crypto else "XNYS"),
        lot=Decimal("0.00000001") if is_crypto else Decimal(1),
        ticks=_CRYPTO_TICKS if is_crypto else _EQUITY_TICKS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Describe one exchange session: its date in exchange time and its bounds in ns UTC, `[open, close)`."""

    date: str
    open_ts_ns: int
    close_ts_ns: int
    #: True for a market that never closes: one UTC day, without rules about its open or close.
    always_open: bool = False


class Sessions(Protocol):
    """Tell which session holds a moment; implemented by frozen tables."""

    @property
    def name(self) -> str:
        """Return the calendar's name."""

    def session_at(self, ts_ns: int) -> Session | None:
        """Return the session that holds the moment, or None between sessions."""

    def session_from(self, ts_ns: int) -> Session:
        """Return the session that holds the moment, or the next one."""


class SessionTable:
    """Hold the sessions of one exchange as ascending opens and closes, ns UTC."""

    __slots__ = ("_closes", "_dates", "_last", "_opens", "name")

    def __init__(self, name: str, *, dates: tuple[str, ...], opens: tuple[int, ...], closes: tuple[int, ...]) -> None:
        self.name = name
        self._dates = dates
        self._opens = opens
        self._closes = closes
        # Who asks, asks mostly about the same day.
        self._last: Session | None = None

    def __len__(self) -> int:
        """Return how many sessions the table holds."""
        return len(self._opens)

    def __getitem__(self, index: int) -> Session:
        """Return the session at a position."""
        return Session(date=self._dates[index], open_ts_ns=self._opens[index], close_ts_ns=self._closes[index])

    def session_at(self, ts_ns: int) -> Session | None:
        """Return the session that holds the moment, or None between sessions."""
        session = self.session_from(ts_ns)
        return session if session.open_ts_ns <= ts_ns else None

    def session_from(self, ts_ns: int) -> Session:
        """Return the session that holds the moment, or the next one.

        Raises BadInput outside the years of the table, which must never read as "closed".
        """
        last = self._last
        if last is not None and last.open_ts_ns <= ts_ns < last.close_ts_ns:
            return last
        index = bisect_right(self._closes, ts_ns)
        if index >= len(self._closes) or ts_ns < self._opens[0] - 7 * DAY_NS:
            raise BadInput(
                f"The moment {ts_ns} ns UTC is outside the calendar {self.name}, which holds "
                f"{self._dates[0]} to {self._dates[-1]}: check the data's clock or extend the calendar."
            )
        self._last = self[index]
        return self._last


class AlwaysOpen:
    """Tell the sessions of a market that never closes: UTC days."""

    __slots__ = ()

    name = "24/7"

    def session_at(self, ts_ns: int) -> Session:
        """Return the UTC day that holds the moment."""
        return self.session_from(ts_ns)

    def session_from(self, ts_ns: int) -> Session:
        """Return the UTC day that holds the moment."""
        start = ts_ns - ts_ns % DAY_NS
        return Session(date=_utc_date(start), open_ts_ns=start, close_ts_ns=start + DAY_NS, always_open=True)


def _utc_date(start_ts_ns: int) -> str:
    # The civil date from days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    days = start_ts_ns // DAY_NS + 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    return f"{year:04d}-{month:02d}-{day:02d}"
