"""The numbers of a report against the rows that they come from."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.app.modes import RunSpec, backtest
from engine.app.results import performance
from engine.core.errors import BadInput
from engine.feeds.replay import ReplayFeed
from engine.feeds.synthetic import synthetic_bars
from engine.research import report_history
from engine.research.local_time import find_zone, local_minutes
from engine.research.report import Numbers, report_numbers
from engine.research.report_candles import pack_windows
from engine.research.report_figures import charts
from engine.research.report_history import History
from engine.research.report_page import report_page
from engine.store.connection import open_reader, open_writer, sqlite
from engine.store.histories import find_run

Spec = Callable[..., RunSpec]
Reader = Callable[[Path], History]


def value(numbers: Numbers, key: str) -> Any:
    return numbers["statistics"][key]["value"]


# --- numbers --------------------------------------------------------------------------------------------------------


def test_the_totals_are_those_of_the_books(reader: sqlite.Connection, numbers: Numbers) -> None:
    found = performance(reader, 1)
    totals = numbers["totals"]
    assert Decimal(totals["net_pnl"]) == found.net_pnl
    assert Decimal(totals["final_equity"]) == found.final_equity == 100_000 + found.net_pnl
    assert Decimal(totals["fees"]) == found.fees > 0
    assert (totals["bars"], totals["fills"]) == (found.bars, found.fills)
    assert totals["trades"] == len(found.round_trips) > 20
    assert value(numbers, "max_drawdown") == pytest.approx(-float(found.max_drawdown), rel=1e-12)
    assert value(numbers, "net_pnl") == float(found.net_pnl)


def test_the_trades_are_the_round_trips(reader: sqlite.Connection, numbers: Numbers) -> None:
    trades = numbers["trades"]
    (count, pnl) = reader.execute("SELECT count(*), sum(pnl_e8) FROM v_round_trips").fetchone()
    assert {len(column) for column in trades.values()} == {count}
    assert sum(map(Decimal, trades["pnl"])) * 10**8 == pnl
    for at in range(count):
        stop, entry, target = trades["stop_price"][at], trades["entry_price"][at], trades["target_price"][at]
        assert stop < entry < target
        risk = (entry - stop) * trades["quantity"][at]
        assert trades["r_multiple"][at] == pytest.approx(float(trades["pnl"][at]) / risk, abs=1e-6)
        assert trades["adverse_excursion"][at] <= 0 <= trades["favourable_excursion"][at]
        reached = trades["exit_price"][at] / entry - 1
        assert trades["adverse_excursion"][at] - 1e-8 <= reached <= trades["favourable_excursion"][at] + 1e-8


def test_excursions_are_met_by_the_bars_before_the_exit(reader: sqlite.Connection, numbers: Numbers) -> None:
    trades, compared = numbers["trades"], 0
    for at, bracket in enumerate(trades["bracket"]):
        row = reader.execute(
            "SELECT min(b.low), max(b.high) FROM bars AS b JOIN v_round_trips AS t USING (account_id, instrument_id) "
            "WHERE t.bracket_id = ? AND b.start_ts_ns >= t.entry_ts_ns AND b.start_ts_ns < t.exit_ts_ns",
            (bracket,),
        ).fetchone()
        if row[0] is None:
            continue
        lowest, highest = min(row[0], trades["exit_price"][at]), max(row[1], trades["exit_price"][at])
        entry = trades["entry_price"][at]
        assert trades["adverse_excursion"][at] == pytest.approx(min(lowest / entry - 1, 0), abs=1e-8)
        assert trades["favourable_excursion"][at] == pytest.approx(max(highest / entry - 1, 0), abs=1e-8)
        compared += 1
    assert compared > 10


def test_groups_and_distributions_hold_every_trade_once(numbers: Numbers) -> None:
    count, net = numbers["totals"]["trades"], sum(map(Decimal, numbers["trades"]["pnl"]))
    for section in ("by_hour", "by_weekday", "by_exit_reason", "by_symbol"):
        assert sum(each["trades"] for each in numbers[section]) == count, section
        assert sum(Decimal(each["pnl"]) for each in numbers[section]) == net, section
    assert {each["hour"] for each in numbers["by_hour"]} <= set(range(9, 16))
    for name in ("r_multiple", "pnl"):
        assert sum(numbers["distribution"][name]["counts"]) == count
    assert sum(numbers["sessions"]["trades"]) == count


def test_hours_and_weekdays_are_those_of_the_exchange(numbers: Numbers) -> None:
    trades = numbers["trades"]
    hours = [int(text[11:13]) for text in trades["entry"]]
    assert {each["hour"]: each["trades"] for each in numbers["by_hour"]} == {
        hour: hours.count(hour) for hour in sorted(set(hours))
    }
    assert {text[19:] for text in trades["entry"]} <= {"-04:00", "-05:00"}
    assert [each["weekday"] for each in numbers["by_weekday"]] == [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
    ]


def test_costs_are_those_of_the_views(reader: sqlite.Connection, numbers: Numbers) -> None:
    slippage, value_ = reader.execute("SELECT sum(slippage), sum(price * quantity) FROM v_slippage").fetchone()
    assert value(numbers, "slippage") == pytest.approx(slippage)
    assert value(numbers, "slippage_bps") == pytest.approx(slippage / value_ * 10_000)
    entries = next(each for each in numbers["costs"] if each["leg"] == "entry")
    # Two basis points, and what goes to the next tick.
    assert 1.9 < entries["slippage_bps"] < 4
    assert sum(Decimal(each["fees"]) for each in numbers["costs"]) == Decimal(numbers["totals"]["fees"])


def test_session_returns_chain_to_the_total(history: History, numbers: Numbers) -> None:
    assert len(history.sessions) == 15
    assert numbers["sessions"]["date"] == [session.date for session in history.sessions]
    chained = np.prod(1 + np.array(numbers["sessions"]["return"])) - 1
    assert chained == pytest.approx(value(numbers, "total_return"), rel=1e-9)
    assert numbers["sessions"]["equity"][-1] == pytest.approx(float(numbers["totals"]["final_equity"]))
    assert value(numbers, "sessions") == 15


def test_a_session_ends_with_the_last_mark_before_its_close(reader: sqlite.Connection, history: History) -> None:
    for session, equity in zip(history.sessions, report_numbers(history)["sessions"]["equity"], strict=True):
        (mark,) = reader.execute(
            "SELECT portfolio_value FROM equity_curve WHERE ts_ns <= ? ORDER BY step_id DESC LIMIT 1",
            (session.close_ts_ns,),
        ).fetchone() or (100_000,)
        assert equity == pytest.approx(mark)


def test_exposure_counts_bars_and_marks(reader: sqlite.Connection, history: History, numbers: Numbers) -> None:
    (held,) = reader.execute(
        "SELECT count(DISTINCT b.start_ts_ns) FROM bars AS b JOIN v_round_trips AS t "
        "ON b.start_ts_ns >= t.entry_ts_ns AND b.start_ts_ns <= t.exit_ts_ns"
    ).fetchone()
    assert value(numbers, "exposure_time") == held / (15 * 390)
    assert np.mean(numbers["sessions"]["time_held"]) == pytest.approx(held / (15 * 390), abs=1e-6)
    assert max(numbers["sessions"]["exposure_highest"]) == pytest.approx(
        float(np.max(history.marks.exposure)), abs=1e-6
    )


def test_buy_and_hold_is_the_mean_of_the_symbols(reader: sqlite.Connection, numbers: Numbers) -> None:
    closes: dict[int, list[float]] = {}
    for instrument in (1, 2):
        rows = reader.execute(
            "SELECT open, close FROM bars WHERE instrument_id = ? ORDER BY start_ts_ns", (instrument,)
        ).fetchall()
        closes[instrument] = [rows[0][0], *(rows[390 * day + 389][1] for day in range(15))]
    returns = [np.diff(column) / np.array(column[:-1]) for column in closes.values()]
    expected = np.mean(returns, axis=0)
    np.testing.assert_allclose(numbers["sessions"]["benchmark_return"], expected)
    assert value(numbers, "benchmark_return") == pytest.approx(np.prod(1 + expected) - 1)


def test_a_deposit_is_no_profit_and_a_withdrawal_no_loss() -> None:
    hundred, unit = 100 * 10**8, 10**8
    flows = [(10, hundred), (30, 50 * unit), (50, -20 * unit), (99, unit)]
    curve = [(20, hundred, 110 * unit), (30, hundred, 160 * unit), (40, hundred, 176 * unit), (60, hundred, 156 * unit)]
    marks = report_history._marks(flows, curve)
    np.testing.assert_allclose(marks.growth, [100, 110, 110, 121, 121])
    np.testing.assert_allclose(marks.equity, [100, 110, 160, 176, 156])
    np.testing.assert_allclose(marks.exposure, [0, 10 / 110, 60 / 160, 76 / 176, 56 / 156])


def test_a_market_that_never_closes_counts_days_of_utc(spec_of: Spec, history_of: Reader, tmp_path: Path) -> None:
    spec = spec_of(ReplayFeed([synthetic_bars(5, sessions=3, symbol="BTC-USD")]))
    backtest(spec, tmp_path / "coin.sqlite", wall_ts_ns=1)
    found = report_numbers(history_of(tmp_path / "coin.sqlite"))
    assert found["run"]["time_zone"] == "UTC"
    assert found["run"]["sessions_per_year"] == 365
    assert value(found, "start").endswith("+00:00")


def test_local_minutes_follow_the_clocks() -> None:
    # 14:30 UTC on the Friday before and the Monday after the clocks of New York changed in 2024.
    friday, monday = 1_709_908_200 * 10**9, 1_710_167_400 * 10**9
    found = local_minutes(np.array([friday, monday]), find_zone("America/New_York")) % 1440
    assert found.tolist() == [9 * 60 + 30, 10 * 60 + 30]
    assert (local_minutes(np.array([friday]), find_zone("UTC")) % 1440).tolist() == [14 * 60 + 30]


# --- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_number_name_or_as_the_latest(spec_of: Spec, tmp_path: Path) -> None:
    database = tmp_path / "two.sqlite"
    for seed in (3, 4):
        backtest(spec_of(ReplayFeed([synthetic_bars(seed, sessions=1)])), database, wall_ts_ns=seed, append=seed > 3)
    connection = open_reader(database)
    try:
        assert find_run(connection, "1").account == find_run(connection, "backtest-1").account == "backtest-1"
        assert find_run(connection, "latest") == find_run(connection, "2") == find_run(connection, "backtest-2")
        assert find_run(connection, "1").journal_hash != find_run(connection, "2").journal_hash
        for unknown in ("3", "backtest-9", "9" * 40):
            with pytest.raises(BadInput, match=r"newest runs are 2 \(backtest-2\), 1 \(backtest-1\)"):
                find_run(connection, unknown)
    finally:
        connection.close()


def test_an_account_without_bars_has_nothing_to_report(spec_of: Spec, history_of: Reader, tmp_path: Path) -> None:
    database = tmp_path / "bare.sqlite"
    backtest(spec_of(ReplayFeed([synthetic_bars(3, sessions=1)])), database, wall_ts_ns=1)
    connection = open_writer(database)
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("DELETE FROM bars")
    connection.close()
    with pytest.raises(BadInput, match=r"The run 1 \(backtest-1\) has no bar yet"):
        history_of(database)


def test_a_run_without_trades_says_so(idle: History) -> None:
    found = report_numbers(idle)
    assert found["totals"]["trades"] == found["totals"]["fills"] == 0
    assert found["notes"][0] == "No trade was completed: statistics of trades are not defined."
    assert value(found, "win_rate") is None
    assert value(found, "total_return") == value(found, "max_drawdown") == 0
    page = report_page(found, pack_windows(idle, found["trades"]))
    assert "No trade was completed" in page
    assert set(charts(found)) == {"equity", "exposure"}
    json.dumps(found, allow_nan=False)
