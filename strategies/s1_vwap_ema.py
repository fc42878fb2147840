"""S1, a trend scalper: buys where a fast average crosses a slow one above the session's VWAP. Long only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.indicators import ATR, EMA, Indicator, SessionVWAP
from engine.strategy import Condition, Number, Parameters, RuleBar, RuleStrategy, crosses_above, parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class S1Parameters(Parameters):
    """Hold the lengths, distances and times of S1."""

    #: In bars; averages and range run on across sessions.
    fast_period: int = parameter(9, least=1, most=1_000)
    slow_period: int = parameter(21, least=2, most=1_000)
    atr_period: int = parameter(14, least=1, most=1_000)
    #: In average true ranges of the signal bar.
    stop_atr: float = parameter(1.5, above=0, most=100)
    target_atr: float = parameter(3.0, above=0, most=100)
    #: Entries are signalled by bars that close in this part of the session, both ends included.
    minutes_after_open: int = parameter(15, least=0, most=1_440)
    minutes_before_close: int = parameter(30, least=0, most=1_440)
    #: The exit is signalled from the bar on that closes this long before the session does.
    exit_minutes_before_close: int = parameter(5, least=0, most=1_440)

    def check(self) -> None:
        """Refuse averages in the wrong order."""
        if self.fast_period >= self.slow_period:
            self.refuse("fast_period", f"give less than slow_period, which is {self.slow_period}")


class S1VwapEma(RuleStrategy[S1Parameters]):
    """Enter on a cross of averages above VWAP; leave by stop, by target or before the close."""

    parameters_type = S1Parameters
    entry_reason = "fast average crossed above the slow one, above VWAP"
    exit_reason = "time"

    def indicators(self) -> Mapping[str, Indicator]:
        """Name the averages, the range and the price that the rule reads."""
        return {
            "fast": EMA(period=self.parameters.fast_period),
            "slow": EMA(period=self.parameters.slow_period),
            "atr": ATR(period=self.parameters.atr_period),
            "session_vwap": SessionVWAP(),
        }

    def entry(self, bar: RuleBar) -> Condition:
        """Buy on a cross above VWAP, inside the window, but never in the first session: it warms up."""
        return (
            crosses_above(bar.fast, bar.slow)
            & (bar.close > bar.session_vwap)
            & (bar.session_number >= 1)
            & (bar.seconds_from_open >= 60 * self.parameters.minutes_after_open)
            & (bar.seconds_to_close >= 60 * self.parameters.minutes_before_close)
        )

    def exit(self, bar: RuleBar) -> Condition:
        """Leave before the close."""
        return bar.seconds_to_close <= 60 * self.parameters.exit_minutes_before_close

    def stop_distance(self, bar: RuleBar) -> Number:
        """Stop at a multiple of the average true range."""
        return self.parameters.stop_atr * bar.atr

    def target_distance(self, bar: RuleBar) -> Number:
        """Take profit at a multiple of the average true range."""
        return self.parameters.target_atr * bar.atr
