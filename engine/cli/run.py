"""`ratchet run`: paper trading, over the built-in market or your own data."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.options import (
    ActionsOption,
    CalendarOption,
    ExitsOption,
    FilterName,
    FilterOption,
    LatencyOption,
    ListingsOption,
    NewDatabaseOption,
    ParametersOption,
    RiskOption,
    SymbolsOption,
    amount,
    count,
    database_path,
    exit_style,
    latency_ns,
    listing_exchanges,
    pairs,
    refuse_overwriting,
)

if TYPE_CHECKING:
    from engine.app.modes import RunSpec
    from engine.app.trading import TradingAccount
    from engine.core.bars import PrintSource
    from engine.core.values import Session
    from engine.ports import Feed

#: Market seconds per second where nothing else is said: a session of the built-in market in 39 seconds.
_SHOWN_SPEED = 600.0
_DEFAULT_SEED = "9"


SpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed", metavar="NUMBER", help="Market seconds per second; 0: as fast as possible. Default: 600, files 0."
    ),
]
SeedOption = Annotated[
    str | None, typer.Option("--seed", metavar="NUMBER", help="Seed of the built-in market. Default: 9.")
]


class Market(StrEnum):
    """Name what the built-in market sends."""

    BARS = "bars"
    #: Ticks and quotes, from which the engine builds its bars.
    TICKS = "ticks"


def run(
    *,
    bars: Annotated[Path | None, typer.Option("--bars", help="Replay minute bars.")] = None,
    ticks: Annotated[Path | None, typer.Option("--ticks", help="Replay tape prints (with --quotes: both).")] = None,
    quotes: Annotated[Path | None, typer.Option("--quotes", help="Replay quotes.")] = None,
    filter_name: FilterOption = FilterName.NONE,
    listing_exchange: ListingsOption = None,
    symbols: SymbolsOption = None,
    calendar: CalendarOption = None,
    corporate_actions: ActionsOption = None,
    strategy: Annotated[str, typer.Option("--strategy", help="Who trades.")] = "s1_vwap_ema",
    parameters: ParametersOption = None,
    cash: Annotated[str, typer.Option("--cash", metavar="AMOUNT", help="Opening balance of a new account.")] = "100000",
    fees: Annotated[str, typer.Option("--fees", help="none, robinhood, or a file of dated rows.")] = "none",
    slippage_bps: Annotated[
        str, typer.Option("--slippage-bps", metavar="NUMBER", help="Adverse, on market and stop fills.")
    ] = "0",
    latency_ms: LatencyOption = "0",
    exits: ExitsOption = None,
    risk: RiskOption = None,
    database: NewDatabaseOption = None,
    speed: SpeedOption = None,
    until: Annotated[str | None, typer.Option("--until", help="Stop at this market time, ISO 8601 in UTC.")] = None,
    forever: Annotated[bool, typer.Option("--forever", help="Go on from session to session.")] = False,
    market: Annotated[
        Market | None, typer.Option("--market", help="What the built-in market sends. Default: bars.")
    ] = None,
    seed: SeedOption = None,
    log_file: Annotated[Path | None, typer.Option("--log-file", help="Append JSON log lines to this file.")] = None,
    log: Annotated[bool, typer.Option("--log", help="Log to standard error instead of the live view.")] = False,
) -> None:
    """Trade on paper, with a live view; a killed run goes on after the last input that it journaled.

    Without a file the built-in market is traded: the first session warms the strategy up, the next one is shown.
    Every further start shows one more session of the same account. Ctrl-C or SIGTERM stops in order: working entries
    are canceled, stops stay; the end of the data, or of --until, cancels nothing.
    """
    from engine.app.modes import RunSpec
    from engine.app.settings import load_risk
    from engine.app.strategy_loader import load_strategy
    from engine.feeds.corporate import with_actions

    files = {"--bars": bars, "--ticks": ticks, "--quotes": quotes}
    is_built_in = not any(files.values())
    listings = _listings(files, filter_name, listing_exchange)
    _refuse_for_files(files, {"--seed": seed, "--market": market, "--forever": forever or None})
    inputs = {**files, "--risk": risk or Path("risk.yaml"), "--db": database_path(database)}
    refuse_overwriting(log_file, "--log-file", inputs)
    feed, prints_from = (
        _built_in(symbols, calendar, market=market or Market.BARS, seed=count(seed or _DEFAULT_SEED, "--seed"))
        if is_built_in
        else _replay(files, symbols=symbols, calendar=calendar, filter_name=filter_name)
    )
    spec = RunSpec(
        strategy=load_strategy(strategy, pairs(parameters)),
        feed=with_actions(feed, corporate_actions),
        risk=load_risk(risk),
        cash=amount(cash, "--cash", above_zero=True),
        fees=fees,
        slippage_bps=amount(slippage_bps, "--slippage-bps"),
        prints_from=prints_from,
        latency_ns=latency_ns(latency_ms),
        exit_style=exit_style(exits),
        trade_filter=filter_name.value,
        listing_exchanges=listings,
    )
    _trade(
        spec,
        database_path(database),
        speed=_speed(speed, is_built_in=is_built_in),
        until_ts_ns=None if until is None else moment(until),
        one_session=is_built_in and not forever and until is None,
        log_file=log_file,
        is_logged=log,
    )


def _refuse_for_files(files: dict[str, Path | None], options: dict[str, object]) -> None:
    from engine.core.errors import BadInput

    file = next((name for name, path in files.items() if path is not None), None)
    said = next((name for name, value in options.items() if value is not None), None)
    if file is not None and said is not None:
        raise BadInput(f"The option {said} is for the built-in market, but {file} names a file: leave one of them out.")


def _listings(files: dict[str, Path | None], filter_name: FilterName, listing_exchange: str | None) -> dict[str, str]:
    from engine.core.errors import BadInput

    said = f"--filter {filter_name}" if filter_name is not FilterName.NONE else None
    said = said or (None if listing_exchange is None else f"--listing-exchange {listing_exchange}")
    if said is not None and files["--ticks"] is None and files["--quotes"] is None:
        raise BadInput(f"The option {said} is for a tape: name one by --ticks or --quotes, or leave the option out.")
    return listing_exchanges(listing_exchange)


def _built_in(
    symbols: list[str] | None, calendar: str | None, *, market: Market, seed: int
) -> tuple[Feed, PrintSource]:
    from engine.core.bars import PrintSource
    from engine.core.errors import BadInput
    from engine.feeds.synthetic import DEFAULT_SYMBOLS, SyntheticFeed, SyntheticMode

    if calendar is not None:
        raise BadInput(f"The option --calendar {calendar} is for a file: name one by --bars, --ticks or --quotes.")
    mode = SyntheticMode(market.value)
    return SyntheticFeed(seed=seed, sessions=None, symbols=symbols or DEFAULT_SYMBOLS, mode=mode), PrintSource.TICKS


def _replay(
    files: dict[str, Path | None],
    *,
    symbols: list[str] | None,
    calendar: str | None,
    filter_name: FilterName,
) -> tuple[Feed, PrintSource]:
    from engine.core.bars import PrintSource
    from engine.core.errors import BadInput
    from engine.feeds.replay import ReplayFeed

    bars, ticks, quotes = files["--bars"], files["--ticks"], files["--quotes"]
    if bars is not None and (ticks is not None or quotes is not None):
        raise BadInput("Both bars and ticks or quotes were named, but bars are replayed alone: name one kind.")
    if bars is not None:
        return ReplayFeed.bars(bars, symbols=symbols, calendar=calendar), PrintSource.TICKS
    # As `ratchet bars build` reads them.
    options: Any = {"symbols": symbols, "calendar": calendar, "drops_suspicious": filter_name is not FilterName.NONE}
    if ticks is not None and quotes is not None:
        feed = ReplayFeed.ticks_and_quotes(ticks, quotes, **options)
    elif ticks is not None:
        feed = ReplayFeed.ticks(ticks, **options)
    else:
        assert quotes is not None
        feed = ReplayFeed.quotes(quotes, **options)
    return feed, PrintSource.QUOTES if ticks is None else PrintSource.TICKS


def _speed(wanted: str | None, *, is_built_in: bool) -> float | None:
    if wanted is None:
        return _SHOWN_SPEED if is_built_in else None
    return float(amount(wanted, "--speed")) or None


def moment(text: str) -> int:
    """Return an ISO 8601 time, in UTC where it names no zone, in ns UTC; raises BadInput for what is none."""
    from datetime import UTC, datetime, timedelta

    from engine.core.errors import BadInput

    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"The time {text!r} is not ISO 8601: write for example 2025-01-03T18:00Z.") from error
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    # Counted in whole microseconds: a float of seconds has not enough digits.
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000


def _trade(
    spec: RunSpec,
    database: Path,
    *,
    speed: float | None,
    until_ts_ns: int | None,
    one_session: bool,
    log_file: Path | None,
    is_logged: bool,
) -> None:
    from engine.app.clock import SystemClock
    from engine.app.pacing import Pacer, stopping_on_signals
    from engine.app.strategy_loader import blaming
    from engine.app.trading import TradingAccount
    from engine.cli.watching import watching
    from engine.feeds.bar_files import check_listings

    # Of the instruments as they are traded: a new symbol of the corporate actions is none of its own.
    check_listings(spec.listing_exchanges, [each.symbol for each in spec.feed.instruments])
    clock = SystemClock()
    with (
        blaming(spec.strategy),
        watching(spec, database, speed=speed, log_file=log_file, is_logged=is_logged) as watch,
        TradingAccount(spec, database, clock, observer=watch.observe, on_recovered=watch.recover) as account,
    ):
        warm_up_ts_ns, until = _schedule(spec, account, until_ts_ns, one_session=one_session)
        pacer = Pacer(clock, speed=speed, full_speed_until_ts_ns=warm_up_ts_ns)
        watch.start(account)
        with stopping_on_signals(pacer):
            has_ended = account.run(until_ts_ns=until, pace=pacer)
        account.finish(is_complete=has_ended or not pacer.is_stopped)
        watch.finish(account, was_stopped=pacer.is_stopped, has_ended=has_ended)


def _schedule(
    spec: RunSpec, account: TradingAccount, until_ts_ns: int | None, *, one_session: bool
) -> tuple[int, int | None]:
    from engine.core.values import MINUTE_NS

    # The built-in market: the first session at full speed, then one session is shown; a killed one is finished.
    schedule: tuple[Session, ...] = getattr(spec.feed, "schedule", ())
    if not schedule:
        return 0, until_ts_ns
    now_ts_ns = account.pipeline.now_ts_ns
    shown = next((each for each in schedule[1:] if each.close_ts_ns > now_ts_ns), schedule[-1])
    # The last bar of ticks is final only a grace after the close; without it the session would never be over.
    return shown.open_ts_ns, shown.close_ts_ns + MINUTE_NS if one_session else until_ts_ns
