from __future__ import annotations

from decimal import Decimal

import pytest

from engine.cli.live_values import Trail
from engine.cli.tables import exact_money, money, percent, price, quantity, sparkline, volume
from engine.core.values import instrument_from_symbol


@pytest.mark.parametrize(
    ("amount", "plain", "signed", "exact"),
    [
        ("0", "0.00", "0.00", "0.00"),
        ("-0.001", "0.00", "0.00", "-0.001"),
        ("1234567.895", "1,234,567.90", "+1,234,567.90", "+1,234,567.895"),
        ("-98765.4321", "-98,765.43", "-98,765.43", "-98,765.4321"),
        ("100000.00000000", "100,000.00", "+100,000.00", "+100,000.00"),
        ("1E+5", "100,000.00", "+100,000.00", "+100,000.00"),
        ("1E-8", "0.00", "0.00", "+0.00000001"),
    ],
)
def test_money(amount: str, plain: str, signed: str, exact: str) -> None:
    assert money(Decimal(amount)) == plain
    assert money(Decimal(amount), signed=True) == signed
    assert exact_money(Decimal(amount), signed=True) == exact


def test_other_figures() -> None:
    share, coin = instrument_from_symbol("SPY", 1), instrument_from_symbol("BTC-USD", 2)
    assert quantity(Decimal("1200.00000000")) == "1,200"
    assert quantity(Decimal("0.01000000")) == "0.01"
    assert [price(value, share) for value in (187.2, 0.0123)] == ["187.20", "0.0123"]
    assert [price(value, coin) for value in (97_123.456, 1.5, 0.00001234)] == ["97,123.46", "1.5000", "0.00001234"]
    assert [volume(value) for value in (12_345.0, 1.25e6, 345_678.0, 0.04211, 0.0)] == [
        "12,345",
        "1.25M",
        "346k",
        "0.0421",
        "0",
    ]
    assert percent(Decimal("0.003156"), signed=True) == "+0.32 %"


def test_sparklines_end_with_now_and_never_exceed_their_width() -> None:
    assert sparkline([], 8) == ""
    assert sparkline([5.0], 8) == "▁"
    assert sparkline([3.0, 3.0, 3.0], 8) == "▁▁▁"
    rising = sparkline([float(value) for value in range(100)], 8)
    assert len(rising) == 8
    assert rising[-1] == "█"
    assert list(rising) == sorted(rising)


def test_a_trail_keeps_few_points_and_the_last_one() -> None:
    trail = Trail()
    for value in range(10_000):
        trail.add(float(value))
        assert trail.values[-1] == float(value)
    assert 100 <= len(trail.values) <= 256
    assert trail.values == sorted(trail.values)
