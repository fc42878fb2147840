"""The bar stage: prints and quotes become minutes, and what comes late their revisions."""

from engine.core.bars.builder import GRACE_NS, BarBuilder, PrintSource
from engine.core.bars.days import TradingDay, trading_day
from engine.core.bars.filters import FILTERS, NO_FILTER, TapeRules, TradeFilter, trade_filter
from engine.core.bars.minutes import PRICE_LIMIT, PRICE_UNITS, SIZE_LIMIT, middle_of
from engine.core.bars.refusals import Refusal
from engine.core.bars.roles import CLOSING, EVERYTHING, HIGH_LOW, IGNORED, LAST, OPENING, PRICED, VOLUME, Place
from engine.core.bars.sip import SIP_CONDITIONS, SipCondition
from engine.core.bars.tape import sets_last

__all__ = [
    "CLOSING",
    "EVERYTHING",
    "FILTERS",
    "GRACE_NS",
    "HIGH_LOW",
    "IGNORED",
    "LAST",
    "NO_FILTER",
    "OPENING",
    "PRICED",
    "PRICE_LIMIT",
    "PRICE_UNITS",
    "SIP_CONDITIONS",
    "SIZE_LIMIT",
    "VOLUME",
    "BarBuilder",
    "Place",
    "PrintSource",
    "Refusal",
    "SipCondition",
    "TapeRules",
    "TradeFilter",
    "TradingDay",
    "middle_of",
    "sets_last",
    "trade_filter",
    "trading_day",
]
