"""`ratchet bars build` with filters, and `ratchet bars diff`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

TAPE = """symbol,ts,price,size,exchange,conditions
A,2018-01-02T14:30:01Z,10.0,100,N,
A,2018-01-02T14:30:02Z,12.0,5,Q,I
A,2018-01-02T14:30:10Z,10.1,100,Q,F
A,2018-01-02T14:31:05Z,11.0,7,D,4 B
A,2018-01-02T20:59:01Z,10.2,100,Q,@
A,2018-01-02T21:00:30Z,10.5,900,N,6
"""


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "tape.csv"
    path.write_text(TAPE, encoding="utf-8")
    return path


def test_a_filter_and_the_listing_exchange_decide_the_bars(ratchet: Run, tape: Path, tmp_path: Path) -> None:
    out = tmp_path / "bars.csv"
    built = ratchet("bars", "build", tape, "--filter", "sip", "--listing-exchange", "A=N", "-o", out, "--json")
    assert built.json["bars"] == 2
    assert built.json["revised"] == 2
    lines = [line.replace('"', "").split(",") for line in out.read_text(encoding="utf-8").splitlines()]
    assert lines[0][-1] == "revision"
    assert lines[1][:7] == ["A", "2018-01-02T14:30:00Z", "10", "10.1", "10", "10.1", "212"]
    assert lines[2][:7] == ["A", "2018-01-02T20:59:00Z", "10.2", "10.5", "10.2", "10.5", "1000"]
    assert [line[-1] for line in lines[1:]] == ["1", "1"]
    naive = ratchet("bars", "build", "--ticks", tape, "--out", out, "--json").json
    assert (naive["bars"], naive["revised"]) == (4, 0)
    session = ratchet("bars", "build", tape, "--session", "regular", "-o", out, "--json").json
    assert session["bars"] == 3


def test_conditions_that_nobody_knows_are_named_with_their_row(ratchet: Run, tape: Path, tmp_path: Path) -> None:
    tape.write_text(TAPE.replace("D,4 B", "D,4 ?"), encoding="utf-8")
    built = ratchet("bars", "build", tape, "--filter", "sip", "-o", tmp_path / "bars.csv")
    assert built.code == 2
    assert "has conditions '4 ?' in row 4, which the filter sip does not know on 2018-01-02" in built.err
    assert not (tmp_path / "bars.csv").exists()


def test_odd_lots_before_their_day_are_unknown(ratchet: Run, tape: Path, tmp_path: Path) -> None:
    tape.write_text(TAPE.replace("2018-01-02", "2013-12-06"), encoding="utf-8")
    built = ratchet("bars", "build", tape, "--filter", "sip", "-o", tmp_path / "bars.csv")
    assert built.code == 2
    assert "conditions 'I' in row 2" in built.err


def test_repeated_and_missing_sequences_are_named_with_their_rows(ratchet: Run, tmp_path: Path) -> None:
    tape = tmp_path / "tape.csv"
    numbers = (1, 2, 2, 5, 6)
    rows = [f"BTC-USD,2025-01-02T14:30:0{place}Z,10,1,{number}" for place, number in enumerate(numbers)]
    tape.write_text("\n".join(["symbol,ts,price,size,sequence", *rows]) + "\n", encoding="utf-8")
    built = ratchet("bars", "build", tape, "-o", tmp_path / "bars.csv", "--json").json
    assert built["refused"] == {"duplicate": 1}
    assert built["notes"] == [
        "The sequence 2 of BTC-USD in row 3 is that of row 2 already: the row was refused as a duplicate.",
        (
            "The sequences 3 to 4 of BTC-USD are missing before row 4: "
            "minutes between that were not final by then are marked incomplete."
        ),
    ]
    header, bar = (tmp_path / "bars.csv").read_text(encoding="utf-8").replace('"', "").splitlines()
    assert (header.split(",")[-1], bar.split(",")[-1]) == ("complete", "false")
    assert "row 3" in ratchet("bars", "build", tape, "-o", tmp_path / "bars.csv").out


def test_corrections_and_cancels_in_a_file(ratchet: Run, tmp_path: Path) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_text(
        "symbol,ts,price,size,sequence,corrects\n"
        "BTC-USD,2025-01-02T14:30:01Z,10,1,1,\n"
        "BTC-USD,2025-01-02T14:30:02Z,99,1,2,\n"
        "BTC-USD,2025-01-02T14:30:03Z,11,1,3,\n"
        "BTC-USD,2025-01-02T14:35:00Z,12,2,,2\n"
        "BTC-USD,2025-01-02T14:36:00Z,11,0,,3\n",
        encoding="utf-8",
    )
    out = tmp_path / "bars.csv"
    assert ratchet("bars", "build", tape, "-o", out, "--json").json["revised"] == 1
    bar = out.read_text(encoding="utf-8").splitlines()[1].replace('"', "").split(",")
    assert bar[2:7] == ["10", "12", "10", "12", "3"]
    assert bar[-1] == "2"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--listing-exchange", "B=N"), "The listing exchange of B was named, but the file holds A"),
        (
            ("--listing-exchange", "A"),
            "The listing exchange of 'A' is not of the form SYMBOL=CODE: write for example --listing-exchange IBM=N,",
        ),
        (("--listing-exchange", "A=N,A=P"), "The listing exchange of A is given twice: give it once."),
        (("--listing-exchange", "A="), "The listing exchange of A is empty: write for example A=N."),
        (("--filter", "tape"), "'tape'"),
        (("--ticks", "x.csv"), "2 sources were named"),
    ],
)
def test_bad_options_have_their_sentences(
    ratchet: Run, tape: Path, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    built = ratchet("bars", "build", tape, *options, "-o", tmp_path / "bars.csv")
    assert built.code == 2
    assert sentence in built.err


def test_quotes_of_one_side_a_row(ratchet: Run, tmp_path: Path) -> None:
    quotes = tmp_path / "quotes.csv"
    quotes.write_text(
        "symbol,ts,side,price,size,suspicious\n"
        "A,2018-01-02T14:30:01Z,A,10.2,1,false\n"
        "A,2018-01-02T14:30:02Z,B,10.0,1,false\n"
        "A,2018-01-02T14:30:03Z,A,99.0,1,true\n"
        "A,2018-01-02T14:32:00Z,A,10.4,1,false\n",
        encoding="utf-8",
    )
    out = tmp_path / "bars.csv"
    built = ratchet("bars", "build", quotes, "--filter", "lean", "-o", out, "--json").json
    assert (built["bars"], built["refused"]) == (2, {"suspicious": 1})
    header, first, second = (line.split(",") for line in out.read_text(encoding="utf-8").replace('"', "").splitlines())
    asks = [header.index(f"ask_{name}") for name in ("open", "high", "low", "close")]
    assert [first[place] for place in asks] == ["10.2"] * 4
    assert [second[place] for place in asks] == ["10.2", "10.4", "10.2", "10.4"]
    quotes.write_text(quotes.read_text(encoding="utf-8").replace(",B,", ",C,"), encoding="utf-8")
    refused = ratchet("bars", "build", quotes, "--filter", "lean", "-o", out)
    assert "has side 'C' in row 2, which is neither B nor A" in refused.err


BARS = """symbol,ts,open,high,low,close,volume,revision
A,2025-01-02T14:30:00Z,1,2,1,2,10,0
A,2025-01-02T14:30:00Z,1,2,1,3,11,1
A,2025-01-02T14:31:00Z,2,2,2,2,10,0
B,2025-01-02T14:30:00Z,5,5,5,5,1,0
"""


def test_equal_bars_are_equal_at_their_last_revision(ratchet: Run, tmp_path: Path) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    left.write_text(BARS, encoding="utf-8")
    right.write_text(
        "symbol,ts,open,high,low,close,volume\n"
        "B,2025-01-02T14:30:00Z,5,5,5,5,1\n"
        "A,2025-01-02T14:30:00Z,1.0,2,1,3,11\n"
        "A,2025-01-02T14:31:00Z,2,2,2,2,10\n",
        encoding="utf-8",
    )
    found = ratchet("bars", "diff", left, right)
    assert (found.code, found.out) == (0, "3 of 3 bars in both are equal in 5 fields.\n")


def test_differences_are_named_with_their_rows(ratchet: Run, tmp_path: Path) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    left.write_text(BARS, encoding="utf-8")
    right.write_text(BARS.replace(",3,11,1", ",3,12,1").replace("B,2025", "C,2025"), encoding="utf-8")
    shown = ratchet("bars", "diff", left, right)
    assert shown.code == 1
    assert "1 of 2 bars in both are equal in 5 fields." in shown.out
    assert "Only A has 1 bars, only B 1." in shown.out
    assert "Different: volume 1." in shown.out
    found = ratchet("bars", "diff", left, right, "--json")
    assert found.code == 1
    assert found.json["fields"]["volume"] == 1
    assert found.json["first"][0] == {
        "symbol": "A",
        "ts": "2025-01-02T14:30:00Z",
        "field": "volume",
        "a": 11,
        "b": 12,
        "row_a": 2,
        "row_b": 2,
    }
    assert len(ratchet("bars", "diff", left, right, "--json", "--limit", "1").json["first"]) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("symbol,ts\nA,2025-01-02T14:30:00Z\n", "shares no field with"),
        ("symbol,open\nA,1\n", "has no column ts"),
        (BARS.replace(",11,1", ",11,0"), "in row 1 and again in row 2: drop one of them"),
    ],
)
def test_files_that_cannot_be_compared_are_refused(ratchet: Run, tmp_path: Path, text: str, sentence: str) -> None:
    left, right = tmp_path / "left.csv", tmp_path / "right.csv"
    left.write_text(text, encoding="utf-8")
    right.write_text(BARS, encoding="utf-8")
    refused = ratchet("bars", "diff", left, right)
    assert refused.code == 2
    assert sentence in refused.err
    assert "does not exist" in ratchet("bars", "diff", tmp_path / "none.csv", right).err
