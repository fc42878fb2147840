"""What a venue's listings of an account hold, and what comparing them with the books makes true."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engine.core.messages.quick import quick_init
from engine.core.values import ClientOrderId, ExecutionId, InstrumentId, OrderType, Side


class ListedStatus(StrEnum):
    """Name how a venue says that an order stands; every broker's own words are put into these by its adapter."""

    WORKING = "working"
    AWAITING_APPROVAL = "awaiting_approval"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    #: A word that the adapter does not know: it proves that the order is there, and nothing else.
    UNREADABLE = "unreadable"


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedExecution:
    """Hold one execution of a listed order."""

    execution_id: ExecutionId
    price: Decimal
    quantity: Decimal
    #: Fees of this execution, in account currency, at or above zero.
    fee: Decimal
    venue_ts_ns: int


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedOrder:
    """Hold one order as a venue lists it."""

    venue_order_id: str
    #: None where the venue does not echo it, or the order was not placed by a program.
    client_order_id: ClientOrderId | None
    #: None for an instrument that this run does not know.
    instrument_id: InstrumentId | None
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    filled_quantity: Decimal
    status: ListedStatus
    limit_price: Decimal | None
    stop_price: Decimal | None
    #: When the venue took it, ns UTC by its clock.
    created_ts_ns: int
    executions: tuple[ListedExecution, ...] = ()


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPosition:
    """Hold what a venue says is held of an instrument, in shares or coins; an instrument that is not listed is flat."""

    #: None for an instrument that this run does not know.
    instrument_id: InstrumentId | None
    symbol: str
    quantity: Decimal


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalOrderSeen:
    """Say that the venue lists an order of the account that is not ours, or lists it otherwise than before."""

    venue_order_id: str
    instrument_id: InstrumentId | None
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    filled_quantity: Decimal
    status: ListedStatus
    limit_price: Decimal | None
    stop_price: Decimal | None
    created_ts_ns: int
    ts_ns: int


class ComparisonVerdict(StrEnum):
    """Name what a comparison of a position with the venue's came to."""

    #: They differ; entries wait until a later listing agrees or the difference lasts.
    DRIFT = "drift"
    #: They agree again.
    EQUAL = "equal"
    #: The difference has lasted: the books take it over under the owner EXTERNAL, and the instrument halts.
    ADOPTED = "adopted"


@quick_init
@dataclass(frozen=True, slots=True, kw_only=True)
class PositionCompared:
    """Say that the books and the venue began to differ in an instrument, agree again, or were made to agree."""

    instrument_id: InstrumentId
    symbol: str
    #: Held by all strategies together, and by the venue's word.
    booked: Decimal
    listed: Decimal
    verdict: ComparisonVerdict
    ts_ns: int
