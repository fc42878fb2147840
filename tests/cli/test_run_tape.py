"""`ratchet run` over a tape: the bars that it journals are those that `ratchet bars build` writes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.store.check import check_database
from engine.store.connection import open_reader

Run = Callable[..., Any]

SIP = """symbol,ts,price,size,exchange,conditions,suspicious
A,2018-01-02T14:30:01Z,10.0,100,N,,false
A,2018-01-02T14:30:02Z,12.0,5,Q,I,false
A,2018-01-02T14:30:03Z,99.0,500,Q,@,true
B,2018-01-02T14:30:05Z,20.0,300,P,O,false
A,2018-01-02T14:30:10Z,10.1,100,Q,F,false
A,2018-01-02T14:31:05Z,11.0,7,D,4 B,false
B,2018-01-02T14:31:07Z,20.2,10,P,@,false
A,2018-01-02T20:59:01Z,10.2,100,Q,@,false
A,2018-01-02T20:58:30Z,10.3,40,Q,@,false
B,2018-01-02T20:59:40Z,20.4,10,N,@,false
A,2018-01-02T21:00:30Z,10.5,900,N,6,false
B,2018-01-02T21:00:31Z,20.1,800,P,6,false
"""
LEAN = """symbol,ts,price,size,exchange,conditions,suspicious
A,2018-01-02T14:30:01Z,10.0,100,N,1,0
A,2018-01-02T14:30:02Z,12.0,5,Q,32,0
A,2018-01-02T14:30:03Z,99.0,5,Q,1,1
A,2018-01-02T14:31:02Z,10.4,5,Q,32,0
A,2018-01-02T14:32:02Z,10.2,50,Q,1,0
A,2018-01-02T14:31:30Z,10.1,50,Q,1,0
A,2018-01-02T20:59:02Z,10.3,50,Q,1,0
A,2018-01-02T21:00:30Z,10.6,900,N,128,0
"""
CORRECTED = """symbol,ts,price,size,sequence,corrects
SPY,2024-03-26T13:30:00Z,500.00,100,1,
SPY,2024-03-26T13:30:10Z,510.10,100,2,
SPY,2024-03-26T13:30:20Z,500.20,100,3,
SPY,2024-03-26T13:31:20Z,500.20,100,4,
SPY,2024-03-26T13:32:05Z,500.40,100,5,
SPY,2024-03-26T13:33:20Z,510.1,0,,2
SPY,2024-03-26T13:33:30Z,500.4,0,,5
SPY,2024-03-26T13:34:20Z,500.25,200,,3
SPY,2024-03-26T13:34:21Z,500.25,200,,77
"""
LOST = """symbol,ts,price,size,sequence,corrects
SPY,2024-03-26T13:30:00Z,500.00,100,1,
SPY,2024-03-26T13:30:20Z,500.20,100,2,
SPY,2024-03-26T13:31:20Z,500.20,100,5,
SPY,2024-03-26T13:33:20Z,500.30,100,6,
"""
COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "tick_count", "revision", "complete")


def built(ratchet: Run, tape: Path, *options: str) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """Return the bars that `bars build` writes, and what it refused."""
    out = tape.with_name("built.csv")
    report = ratchet("bars", "build", "--ticks", tape, *options, "-o", out, "--json").json
    with out.open(encoding="utf-8") as lines:
        bars = list(csv.DictReader(lines))
    usual = {"revision": "0", "complete": "true"}
    truth = {"false": "0", "true": "1"}
    values = [{**usual, **row} for row in bars]
    found = [
        (row["symbol"], row["ts"], *(float(truth.get(row[name], row[name])) for name in COLUMNS)) for row in values
    ]
    return sorted(found), report["refused"]


def journaled(database: Path) -> list[tuple[Any, ...]]:
    """Return the last revisions of a run, without the bars of which every print was canceled."""
    columns = ", ".join(f"CAST({name} AS REAL)" for name in COLUMNS)
    query = (
        f"SELECT symbol, strftime('%Y-%m-%dT%H:%M:%SZ', start_ts_ns / 1000000000, 'unixepoch'), {columns}, "
        "max(revision) FROM bars JOIN instruments USING (account_id, instrument_id) "
        "GROUP BY instrument_id, start_ts_ns"
    )
    with closing(open_reader(database)) as connection:
        return sorted(tuple(row)[:-1] for row in connection.execute(query).fetchall() if row[-4])


def refused(database: Path) -> dict[str, int]:
    with closing(open_reader(database)) as connection:
        return dict(connection.execute("SELECT reason, sum(count) FROM refused_inputs GROUP BY 1").fetchall())


@pytest.mark.parametrize(
    ("text", "options", "bars"),
    [
        (SIP, ("--filter", "sip", "--listing-exchange", "A=N,B=P"), 6),
        (SIP, ("--filter", "sip"), 8),
        (SIP, (), 9),
        (LEAN, ("--filter", "lean", "--listing-exchange", "A=N"), 4),
        (CORRECTED, (), 2),
        (LOST, (), 3),
        (LOST + "SPY,2024-03-26T13:34:20Z,500.25,200,,6\n", (), 3),
    ],
    ids=["sip", "sip without auctions", "none", "lean", "corrections", "lost", "lost and corrected"],
)
def test_a_run_makes_the_bars_of_the_file(
    ratchet: Run, tmp_path: Path, text: str, options: tuple[str, ...], bars: int
) -> None:
    tape, database = tmp_path / "tape.csv", tmp_path / "r.sqlite"
    tape.write_text(text, encoding="utf-8")
    expected, reasons = built(ratchet, tape, *options)
    ran = ratchet("run", "--ticks", tape, *options, "--db", database)
    assert (ran.code, ran.err) == (0, "")
    assert journaled(database) == expected
    assert len(expected) == bars
    assert refused(database) == {name: count for name, count in reasons.items() if name != "suspicious"}
    assert check_database(database).is_sound
    replayed = ratchet("db", "replay", "--db", database)
    assert (replayed.code, replayed.err) == (0, "")
    again = ratchet("run", "--ticks", tape, *options, "--db", database)
    assert "Recovered" in again.out
    assert journaled(database) == expected


def test_quotes_of_one_side_open_where_they_stood(ratchet: Run, tmp_path: Path) -> None:
    quotes, out, database = tmp_path / "quotes.csv", tmp_path / "built.csv", tmp_path / "r.sqlite"
    quotes.write_text(
        "symbol,ts,side,price,size,suspicious\n"
        "A,2018-01-02T14:30:01Z,A,10.2,1,false\n"
        "A,2018-01-02T14:30:02Z,B,10.0,1,false\n"
        "A,2018-01-02T14:30:03Z,A,99.0,1,true\n"
        "A,2018-01-02T14:32:00Z,A,10.4,1,false\n",
        encoding="utf-8",
    )
    assert ratchet("bars", "build", quotes, "--filter", "lean", "-o", out).code == 0
    ran = ratchet("run", "--quotes", quotes, "--filter", "lean", "--db", database)
    assert (ran.code, ran.err) == (0, "")
    with out.open(encoding="utf-8") as lines:
        expected = [tuple(float(row[name]) for name in ("open", "close", "ask_open")) for row in csv.DictReader(lines)]
    with closing(open_reader(database)) as connection:
        query = "SELECT open, close, ask_open FROM bars ORDER BY start_ts_ns"
        assert [tuple(row) for row in connection.execute(query)] == expected
    assert len(expected) == 2
    assert expected[1][2] == 10.2
    assert ratchet("db", "replay", "--db", database).code == 0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "trade filter"),
        (("--filter", "lean"), "trade filter"),
        (("--filter", "sip", "--listing-exchange", "A=Q"), "listing exchanges"),
    ],
)
def test_a_run_goes_on_with_its_own_filter_only(
    ratchet: Run, tmp_path: Path, options: tuple[str, ...], what: str
) -> None:
    tape, database = tmp_path / "tape.csv", tmp_path / "r.sqlite"
    # Without the marked row the data are the same, whatever the filter.
    tape.write_text(
        "".join(line for line in SIP.splitlines(keepends=True) if not line.endswith("true\n")), encoding="utf-8"
    )
    begun = ratchet("run", "--ticks", tape, "--filter", "sip", "--listing-exchange", "A=N", "--db", database)
    assert begun.code == 0
    refusal = ratchet("run", "--ticks", tape, *options, "--db", database)
    assert refusal.code == 2
    assert f"holds a run with other {what}: go on with the same, or name another file with --db." in refusal.err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--filter", "sip"), "The option --filter sip is for a tape: name one by --ticks or --quotes"),
        (("--bars", "b.csv", "--filter", "lean"), "The option --filter lean is for a tape"),
        (("--listing-exchange", "A=N"), "The option --listing-exchange A=N is for a tape"),
        (("--ticks", "tape.csv", "--filter", "tape"), "'tape'"),
        (
            ("--ticks", "tape.csv", "--filter", "sip", "--listing-exchange", "A"),
            "The listing exchange of 'A' is not of",
        ),
        (
            ("--ticks", "tape.csv", "--filter", "sip", "--listing-exchange", "C=N"),
            "The listing exchange of C was named, but the file holds A, B: correct --listing-exchange.",
        ),
    ],
)
def test_wrong_tape_options_have_their_sentences(
    ratchet: Run, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "tape.csv").write_text(SIP, encoding="utf-8")
    refusal = ratchet("run", *options, "--db", tmp_path / "r.sqlite")
    assert refusal.code == 2
    assert sentence in refusal.err
    assert not (tmp_path / "r.sqlite").exists()


def test_the_minute_in_which_prints_were_lost_is_incomplete_where_it_can_be_revised(
    ratchet: Run, tmp_path: Path
) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_text(LOST, encoding="utf-8")
    plain, _ = built(ratchet, tape)
    assert [(row[-2], row[-1]) for row in plain] == [(0, 1), (0, 0), (0, 1)]
    tape.write_text(LOST + "SPY,2024-03-26T13:34:20Z,500.25,200,,6\n", encoding="utf-8")
    revised, _ = built(ratchet, tape)
    assert [(row[-2], row[-1]) for row in revised] == [(1, 0), (0, 0), (1, 1)]
    told = ratchet("bars", "build", "--ticks", tape, "-o", tmp_path / "b.csv", "--json").json["notes"]
    assert told == ["The sequences 3 to 4 of SPY are missing before row 3: the minutes between are marked incomplete."]


def test_a_new_symbol_is_listed_by_its_first_one(ratchet: Run, tmp_path: Path) -> None:
    tape, actions, database = tmp_path / "tape.csv", tmp_path / "actions.csv", tmp_path / "r.sqlite"
    rows = sorted(SIP.replace("\nA,2018-01-02T2", "\nN,2018-01-03T2").splitlines()[1:], key=lambda row: row[2:])
    tape.write_text("\n".join([SIP.splitlines()[0], *rows]) + "\n", encoding="utf-8")
    actions.write_text("date,symbol,kind,new_symbol\n2018-01-03,A,symbol,N\n", encoding="utf-8")
    options = ("--ticks", tape, "--filter", "sip", "--corporate-actions", actions, "--db", database)
    refusal = ratchet("run", *options, "--listing-exchange", "N=N")
    assert (refusal.code, database.exists()) == (2, False)
    assert "The listing exchange of N was named, but the file holds A, B: correct --listing-exchange." in refusal.err
    ran = ratchet("run", *options, "--listing-exchange", "A=N")
    assert (ran.code, ran.err) == (0, "")
    # The closing auction of the new symbol closes the last minute.
    assert [bar[5] for bar in journaled(database) if bar[1] == "2018-01-03T20:59:00Z"] == [10.5]
    assert ratchet("db", "replay", "--db", database).code == 0
