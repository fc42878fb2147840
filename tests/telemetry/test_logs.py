from __future__ import annotations

import io
import json
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog

from engine.core.errors import BadInput
from engine.core.messages import (
    FeedInterrupted,
    InputsRefused,
    OperatorCommand,
    Pause,
    Resume,
    Step,
    TimeAdvanced,
)
from engine.core.risk.limits import BreakerLimits, Limits
from engine.core.values import (
    SECOND_NS,
    InstrumentId,
    instrument_from_symbol,
)
from engine.telemetry.logs import Secret, StepLogger, configure_logging, event_time, mask_value
from engine.telemetry.masking import MASK, forget_masked_values, is_secret_name, masked, masked_text
from engine.testing.scenario import OPEN_TS_NS, SPY, Scenario, enter, leave

_CANARY = "canary-7Gx!'q/91"
_NOW_NS = 1_700_000_000_123_456_789
_INSTRUMENTS = {SPY: instrument_from_symbol("SPY", 1)}


@pytest.fixture(autouse=True)
def clean_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    forget_masked_values()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if type(handler).__name__ == "_LibraryHandler"]:
        root.removeHandler(handler)


def _configured(level: str = "debug") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level=level, stream=stream, now_ns=lambda: _NOW_NS)
    return stream


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


# --- format ---------------------------------------------------------------------------------------------------------


def test_a_stream_that_is_no_terminal_gets_one_json_object_per_line() -> None:
    stream = _configured()
    structlog.get_logger().info("order_created", price=Decimal("1.10"), note="two\nlines", when=float("inf"))
    (line,) = _lines(stream)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line["timestamp"] == "2023-11-14T22:13:20.123Z"
    assert line["price"] == "1.10"
    assert line["note"] == "two\nlines"


def test_a_terminal_gets_colours_and_no_json() -> None:
    reader, writer = os.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal, os.fdopen(reader, "rb", buffering=0) as screen:
        configure_logging(stream=terminal, now_ns=lambda: _NOW_NS)
        structlog.get_logger().info("order_created", symbol="SPY", password=_CANARY)
        terminal.flush()
        shown = screen.read(4_096).decode()
    assert "\x1b[" in shown
    assert "order_created" in shown
    assert "SPY" in shown
    assert not shown.lstrip().startswith("{")
    assert _CANARY not in shown


def test_a_format_can_be_forced_into_a_pipe() -> None:
    stream = io.StringIO()
    configure_logging(format="console", stream=stream)
    structlog.get_logger().info("hello")
    assert "\x1b[" in stream.getvalue()


@pytest.mark.parametrize("wrong", [{"format": "xml"}, {"level": "loud"}])
def test_an_unknown_format_or_level_is_refused_in_one_sentence(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"^The log (format|level) '\w+' is unknown: choose .+\.$"):
        configure_logging(stream=io.StringIO(), **wrong)


def test_the_level_holds_lines_back() -> None:
    stream = _configured("warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in _lines(stream)] == ["loud"]


def test_records_of_libraries_come_out_the_same_way_and_masked() -> None:
    stream = _configured()
    mask_value(_CANARY)
    configure_logging(level="debug", stream=stream, now_ns=lambda: _NOW_NS)
    logging.getLogger("some_package").warning("cannot sign in with %s", _CANARY)
    logging.getLogger("some_package").info("nobody wants to read this")
    (line,) = _lines(stream)
    assert line["logger"] == "some_package"
    assert line["event"] == f"cannot sign in with {MASK}"


def test_logs_go_to_standard_error_of_a_real_process(tmp_path: Path) -> None:
    program = (
        "from engine.telemetry.logs import configure_logging, Secret\n"
        "import structlog\n"
        "configure_logging()\n"
        f"secret = Secret({_CANARY!r})\n"
        "try:\n"
        "    raise RuntimeError(f'refused {secret.reveal()}')\n"
        "except RuntimeError:\n"
        "    structlog.get_logger().exception('failed', holder=secret)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True
    )
    line = json.loads(done.stderr)
    assert done.stdout == ""
    assert line["event"] == "failed"
    assert line["holder"] == MASK
    assert "RuntimeError: refused ***" in line["exception"]
    assert _CANARY not in done.stderr


# --- secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "userPassword",
        "db_passwd",
        "access_token",
        "refreshToken",
        "refresh",
        "client_secret",
        "api_key",
        "apiKey",
        "API-KEY",
        "x-api-key",
        "Authorization",
        "mfa",
        "mfa_code",
        "totp",
        "pin",
        "Set-Cookie",
        "private_key",
        "signature",
        "credentials",
    ],
)
def test_secret_names_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["symbol", "order_id", "client_order_id", "spinning", "reason", "price", "strategy_name", "limit", "key"]
)
def test_plain_names_are_left_alone(name: str) -> None:
    assert not is_secret_name(name)


_PLACES: list[dict[str, Any]] = [
    {"password": _CANARY},
    {"request": {"headers": [{"Authorization": f"Bearer {_CANARY}"}]}},
    {"mfa": 123456},
    {"refresh_token": ["a", _CANARY]},
    {"note": f"password={_CANARY} and more"},
    {"note": f'{{"api_key": "{_CANARY}"}}'},
    {"note": f"Authorization: Bearer {_CANARY}"},
    {"holder": Secret(_CANARY)},
    {"holders": (Secret(_CANARY), {"deep": Secret(_CANARY)})},
]


@pytest.mark.parametrize("fields", _PLACES)
def test_a_canary_never_reaches_the_log(fields: dict[str, Any]) -> None:
    forget_masked_values()
    stream = _configured()
    structlog.get_logger().info("signing_in", **fields)
    shown = stream.getvalue()
    assert MASK in shown
    assert "canary" not in shown
    assert "123456" not in shown
    assert len(_lines(stream)) == 1


@pytest.mark.parametrize("disguise", ["{0}", "at https://x.y/?q={1}", "{2}", "{3}"])
def test_a_registered_value_is_masked_in_every_spelling(disguise: str) -> None:
    from base64 import b64encode
    from urllib.parse import quote

    mask_value(_CANARY)
    spelled = disguise.format(
        _CANARY, quote(_CANARY, safe=""), b64encode(_CANARY.encode()).decode(), repr({"anything": _CANARY})
    )
    stream = _configured()
    structlog.get_logger().info(f"event {spelled}", text=spelled, raw=spelled.encode(), **{"k" + spelled: 1})
    assert "canary" not in stream.getvalue()
    assert spelled not in stream.getvalue()


def test_a_registered_number_is_masked_as_a_number_too() -> None:
    mask_value("482915")
    assert masked({"code": 482915, "other": 482916}) == {"code": MASK, "other": 482916}


def test_a_bound_context_is_masked_too() -> None:
    stream = _configured()
    structlog.get_logger().bind(token=_CANARY).info("hello")
    assert _lines(stream)[0]["token"] == MASK


def test_a_value_too_short_to_mask_is_refused() -> None:
    with pytest.raises(BadInput, match="3 characters"):
        mask_value("abc")


def test_a_secret_shows_only_a_mask_and_reveals_itself_on_request() -> None:
    secret = Secret(_CANARY)
    assert secret.reveal() == _CANARY
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        str([secret]),
        str({"a": secret}),
    ]
    assert not [text for text in shown if _CANARY in text]
    assert secret == Secret(_CANARY)
    assert secret != Secret(_CANARY + "x")
    assert secret != _CANARY
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize("text", ["stop at 187.21", "a basic idea", "the token ring", "secretary", "12:30 UTC"])
def test_plain_sentences_are_left_alone(text: str) -> None:
    assert masked_text(text) == text


# --- steps ----------------------------------------------------------------------------------------------------------


def _logged(scenario: Scenario, stream: io.StringIO, **options: Any) -> list[dict[str, Any]]:
    # The same events again, through a fresh pipeline, with somebody watching.
    again = Scenario(scenario.strategy._script, limits=scenario.pipeline._settings.limits)
    watch = StepLogger(_INSTRUMENTS, **options)
    for event in scenario.events[1:]:
        watch(event, again.give(event))
    return _lines(stream)


def _round_trip() -> Scenario:
    scenario = Scenario({1: enter()})
    scenario.bar(0)
    scenario.bar(1)
    (entry,) = scenario.submitted()
    scenario.ack(entry)
    scenario.fill(entry, "100.00", execution="e-1")
    stop, target = scenario.submitted()[1:]
    scenario.ack(stop)
    scenario.ack(target)
    scenario.fill(stop, "98.50", execution="e-2")
    scenario.cancel(target)
    return scenario


def test_a_round_trip_reads_as_a_story_with_its_ids() -> None:
    scenario = _round_trip()
    lines = _logged(scenario, _configured("info"))
    story = [line["event"] for line in lines]
    assert story[:4] == ["signal_emitted", "decision_approved", "bracket_opened", "order_created"]
    assert story.count("trade_booked") == 2
    assert "bar_closed" not in story
    closing = [line for line in lines if line["event"] == "bracket_moved" and line["to_state"] == "CLOSED"]
    assert [line["exit_reason"] for line in closing][:1] == ["stop"]
    assert {line["strategy_name"] for line in lines} == {"scripted"}
    assert {line["symbol"] for line in lines} == {"SPY"}
    moved = next(line for line in lines if line["event"] == "order_moved")
    entry = scenario.submitted()[0]
    assert moved["order_id"] == 1
    assert moved["client_order_id"] == entry.client_order_id
    assert moved["bracket_id"] == 1
    assert (moved["from_state"], moved["to_state"]) == ("NEW", "ACK")
    trade = next(line for line in lines if line["event"] == "trade_booked")
    assert trade["client_order_id"] == entry.client_order_id
    assert trade["price"] == "100.00"
    order = list(trade)
    ids = [
        "event_time",
        "strategy_name",
        "instrument",
        "symbol",
        "order_id",
        "bracket_id",
        "client_order_id",
        "step_id",
    ]
    assert order[3 : 3 + len(ids)] == ids


def test_times_are_those_of_the_events_and_steps_are_counted() -> None:
    lines = _logged(_round_trip(), _configured("debug"), first_step_id=40)
    bars = [line for line in lines if line["event"] == "bar_closed"]
    assert [line["step_id"] for line in bars] == [40, 41]
    assert bars[0]["event_time"] == event_time(OPEN_TS_NS) == "2024-03-26T13:30:00.000Z"
    assert bars[0]["timestamp"] == event_time(_NOW_NS)
    assert event_time(1_999_999_999) == "1970-01-01T00:00:01.999Z"


def test_a_refusal_names_the_check_and_its_numbers() -> None:
    scenario = Scenario({1: enter()}, limits=Limits(max_order_quantity=Decimal(1)))
    scenario.bar(0)
    scenario.bar(1)
    lines = _logged(scenario, _configured("warning"))
    (refused,) = [line for line in lines if line["event"] == "decision_refused"]
    assert refused["level"] == "warning"
    assert refused["reason"] == "order_quantity"
    assert refused["check_number"] == 7
    assert refused["limit"] == "1"


def _operator(kind: type[OperatorCommand], scenario: Scenario) -> OperatorCommand:
    return kind(venue_ts_ns=scenario.now_ts_ns, received_ts_ns=scenario.now_ts_ns, reason="lunch", requested_by="ann")


def test_trading_states_gaps_and_refused_inputs_are_logged() -> None:
    scenario = Scenario({})
    scenario.bar(0)
    scenario.give(_operator(Pause, scenario))  # type: ignore[arg-type]
    scenario.give(_operator(Resume, scenario))  # type: ignore[arg-type]
    now = scenario.now_ts_ns
    scenario.give(
        FeedInterrupted(
            venue_ts_ns=now,
            received_ts_ns=now,
            instrument_id=SPY,
            from_ts_ns=now - SECOND_NS,
            until_ts_ns=now,
            reason="x",
        )
    )
    stream = _configured("info")
    lines = _logged(scenario, stream)
    states = [line for line in lines if line["event"] == "trading_state_changed"]
    assert [(line["level"], line["to_state"]) for line in states] == [("warning", "REDUCING"), ("info", "ACTIVE")]
    assert states[0]["reason"] == "lunch"
    (gap,) = [line for line in lines if line["event"] == "gap_marked"]
    assert gap["symbol"] == "SPY"
    refused = InputsRefused(instrument_id=InstrumentId(7), reason="crossed", count=3, ts_ns=now)
    StepLogger(_INSTRUMENTS)(TimeAdvanced(venue_ts_ns=now, received_ts_ns=now), Step((refused,), ()))
    last = _lines(stream)[-1]
    assert (last["event"], last["instrument"], last["count"]) == ("inputs_refused", 7, 3)
    assert "symbol" not in last


def test_a_breaker_that_trips_is_critical_and_its_reset_is_not() -> None:
    limits = Limits(breakers=BreakerLimits(drawdown=Decimal("0.001")))
    scenario = Scenario({0: enter()}, limits=limits)
    scenario.bar(0)
    scenario.fill(scenario.submitted()[0], "100.00")
    scenario.bar(1, close=90.0)
    scenario.give(_operator(Resume, scenario))  # type: ignore[arg-type]
    lines = _logged(scenario, _configured("info"))
    (tripped,) = [line for line in lines if line["event"] == "breaker_tripped"]
    assert (tripped["level"], tripped["breaker"], tripped["limit"]) == ("critical", "drawdown", "0.001")
    assert tripped["reason"] == "drawdown: 0.01 reached 0.001"
    (armed,) = [line for line in lines if line["event"] == "breaker_armed"]
    assert (armed["level"], armed["source"]) == ("info", "operator:ann")


def test_what_the_level_holds_back_is_not_even_put_together() -> None:
    stream = _configured("error")
    watch = StepLogger(_INSTRUMENTS)
    scenario = Scenario({1: enter(), 3: leave()})
    for minute in range(3):
        watch(scenario.events[0], scenario.bar(minute))
    assert stream.getvalue() == ""
    assert watch._level == logging.ERROR


def test_a_restart_repeats_steps_in_silence_and_knows_their_orders() -> None:
    scenario = _round_trip()
    again = Scenario({1: enter()})
    stream = _configured("info")
    watch = StepLogger(_INSTRUMENTS)
    for event in scenario.events[1:4]:
        watch.remember(event, again.give(event))
    assert stream.getvalue() == ""
    watch(scenario.events[4], again.give(scenario.events[4]))
    line = _lines(stream)[0]
    assert line["event"] == "order_moved"
    assert line["strategy_name"] == "scripted"
    assert line["step_id"] == 4


def test_a_library_may_speak_after_its_log_file_was_closed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.log"
    with path.open("w", encoding="utf-8") as stream:
        configure_logging(stream=stream)
        logging.getLogger("some_package").warning("first")
    logging.getLogger("some_package").warning("second")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["first"]
    assert capsys.readouterr().err == ""
