"""A report as one HTML page that needs no network: numbers, figures, bars, style and script are all in it."""

from __future__ import annotations

import json
from decimal import Decimal
from html import escape
from importlib.resources import files
from typing import Any, Final

from engine.research.report import Numbers
from engine.research.report_candles import Windows
from engine.research.report_catalogue import Unit
from engine.research.report_figures import Chart, charts

_ASSETS: Final = files("engine.research").joinpath("report_assets")
#: Nothing may be fetched, whatever the page holds.
_POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_CARDS: Final = (
    ("final_equity", "Final equity"),
    ("net_pnl", "Net profit"),
    ("total_return", "Return"),
    ("max_drawdown", "Maximum drawdown"),
    ("sharpe", "Sharpe ratio"),
    ("trades", "Trades"),
    ("win_rate", "Win rate"),
    ("profit_factor", "Profit factor"),
    ("fees", "Fees"),
)
_NOT_DEFINED: Final = "not defined"


def report_page(numbers: Numbers, windows: Windows) -> str:
    """Return the page of a report's numbers and of the bars around its trades."""
    drawn = charts(numbers)
    title = _title(numbers)
    body = "\n".join(
        (
            _header(numbers, title),
            _section("Equity and drawdown", _chart(drawn["equity"], heading=False)),
            _candles(numbers, windows),
            _distributions(drawn),
            _section("Exposure", _chart(drawn["exposure"], heading=False)),
            _costs(numbers, drawn),
            _statistics(numbers),
        )
    )
    data = {
        "numbers": numbers,
        "figures": {chart.key: chart.figure for chart in drawn.values()},
        "windows": windows.windows,
    }
    blocks = "\n".join(
        f'<script type="application/json" id="{name}">{_json(value)}</script>' for name, value in data.items()
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n"
        f"{body}\n{blocks}\n<script>{_plotly()}</script>\n<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return _ASSETS.joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    # Read as a file: importing plotly costs more than the rest of the page.
    script = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return script.replace("</script", "<\\/script")


def _json(value: object) -> str:
    # No text of it can end the element that holds it.
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


# --- values for people ----------------------------------------------------------------------------------------------


def shown(value: float | str | None, unit: str) -> str:
    """Return a statistic as people read it."""
    if value is None:
        return _NOT_DEFINED
    if isinstance(value, str):
        return value[:16].replace("T", " ")
    if unit == Unit.FRACTION:
        return f"{value:.2%}" if abs(value) >= 0.01 or not value else f"{value:.4%}"
    if unit == Unit.DAYS:
        return _span(value)
    if unit == Unit.COUNT:
        return f"{value:,.0f}"
    # A zero has no sign to a reader.
    rounded = f"{round(value, 2) + 0.0:,.2f}"
    return f"{rounded} bps" if unit == Unit.BASIS_POINTS else rounded


def _money(text: str) -> str:
    return f"{Decimal(text):,.2f}"


def _span(days: float) -> str:
    if days >= 2:
        return f"{days:,.1f} days"
    minutes = days * 1440
    return f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes:.1f} minutes"


# --- parts of the page ----------------------------------------------------------------------------------------------


def _title(numbers: Numbers) -> str:
    run = numbers["run"]
    strategy = run["strategy"].rpartition(":")[2] or run["strategy"]
    return f"{strategy} on {', '.join(run['symbols'])}: {run['account']}, run {run['run']}"


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _chart(chart: Chart, *, heading: bool = True) -> str:
    title = f"<h3>{escape(chart.title)}</h3>" if heading else ""
    return (
        f'<figure>{title}<div class="chart" id="chart-{chart.key}" role="img" '
        f'aria-label="{escape(chart.title + ". " + chart.caption)}"></div>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def _header(numbers: Numbers, title: str) -> str:
    run, found = numbers["run"], numbers["statistics"]
    cards = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(shown(found[key]['value'], found[key]['unit']))}</dd></div>"
        for key, name in _CARDS
    )
    rows = {
        "Strategy": run["strategy"],
        "Rule": run["rule"] or "not told",
        "Parameters": _pairs(run["parameters"]),
        "Settings": _pairs(run["settings"]),
        "Exit style": run["exit_style"],
        "Run": f"{run['run']} of account {run['account']}, {run['kind']}, {run['status']}, begun {run['started']}",
        "Data fingerprint": run["data_fingerprint"],
        "Risk file, SHA-256": run["risk_hash"],
        "Journal hash": run["journal_hash"],
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows.items())
    notes = "".join(f"<p>{escape(note)}</p>" for note in numbers["notes"])
    begun, ended = found["start"]["value"][:10], found["end"]["value"][:10]
    return (
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="muted">{begun} to {ended}, {numbers["totals"]["bars"]:,} bars; '
        f"times of {escape(run['time_zone'])}</p>\n"
        f'<dl class="cards">{cards}</dl>\n'
        + (f'<div class="notes" role="note">{notes}</div>\n' if notes else "")
        + f'<details><summary>What was run</summary><dl class="run">{listed}</dl></details>\n'
        "<noscript><p>Charts need JavaScript; every number is in the tables.</p></noscript>\n</header>"
    )


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or "none"


def _candles(numbers: Numbers, windows: Windows) -> str:
    if not windows.windows:
        return _section("Trades on candles", "<p>No trade was completed, so there is nothing to mark.</p>")
    options = "".join(
        f"<option{' selected' if window is windows.windows[-1] else ''}>{escape(_option(numbers, window))}</option>"
        for window in windows.windows
    )
    left_out = (
        f'<p class="muted">Candles of {windows.left_out:,} earlier windows are left out, so that the page stays small; '
        "their trades count in every number.</p>"
        if windows.left_out
        else ""
    )
    heads = ("Entry", "Exit"), ("Quantity", "Entry", "Stop", "Target", "Exit")
    columns = (
        '<th scope="col" class="number">Trade</th>'
        + "".join(f'<th scope="col">{name}</th>' for name in heads[0])
        + "".join(f'<th scope="col" class="number">{name}</th>' for name in heads[1])
        + '<th scope="col">Reason</th>'
        + "".join(f'<th scope="col" class="number">{name}</th>' for name in ("Profit", "R", "MAE", "MFE"))
    )
    return _section(
        "Trades on candles",
        f'<div class="picker"><label for="window">Window<select id="window">{options}</select></label>'
        '<button type="button" id="earlier">Earlier</button><button type="button" id="later">Later</button></div>\n'
        f"{left_out}"
        '<figure><div class="chart" id="candles" role="img" aria-label="Candles with entries, stops, targets '
        'and exits; the table below holds the same trades."></div>\n'
        "<figcaption>Triangles are entries, crosses exits; dotted lines first stops, dashed lines targets. Hollow "
        "candles rose, filled ones fell.</figcaption></figure>\n"
        '<div class="scroll" tabindex="0"><table><caption>Trades of this window</caption>'
        f"<thead><tr>{columns}</tr></thead>"
        '<tbody id="chosen-trades"></tbody></table></div>',
    )


def _option(numbers: Numbers, window: dict[str, Any]) -> str:
    results = [float(numbers["trades"]["pnl"][position]) for position in window["trades"]]
    trades = f"{len(results)} trade{'' if len(results) == 1 else 's'}"
    return f"{window['name']} {window['symbol']}: {trades}, {sum(results):+,.2f}"


def _distributions(drawn: dict[str, Chart]) -> str:
    keys = ("distribution_r_multiple", "distribution_pnl", "by_hour", "by_weekday", "by_exit_reason", "excursions")
    found = "".join(_chart(drawn[key]) for key in keys if key in drawn)
    return _section(
        "How trades ended", f'<div class="pair">{found}</div>' if found else "<p>No trade was completed.</p>"
    )


def _costs(numbers: Numbers, drawn: dict[str, Chart]) -> str:
    if "costs" not in drawn:
        return _section("Costs", "<p>Nothing was traded, so nothing was paid.</p>")
    rows = "".join(
        f'<tr><th scope="row">{escape(each["leg"])}</th><td class="number">{each["fills"]:,}</td>'
        f'<td class="number">{_money(each["traded_value"])}</td><td class="number">{_money(each["fees"])}</td>'
        f'<td class="number">{shown(each["slippage"], Unit.MONEY)}</td>'
        f'<td class="number">{shown(each["slippage_bps"], Unit.BASIS_POINTS)}</td></tr>'
        for each in numbers["costs"]
    )
    heads = "".join(
        f'<th scope="col" class="number">{name}</th>' for name in ("Fills", "Value", "Fees", "Slippage", "Rate")
    )
    table = (
        '<div class="scroll" tabindex="0"><table><caption>Costs by leg, in account currency</caption>'
        f'<thead><tr><th scope="col">Leg</th>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return _section("Costs", _chart(drawn["costs"], heading=False) + table)


def _statistics(numbers: Numbers) -> str:
    parts: list[str] = []
    group = ""
    for key, each in numbers["statistics"].items():
        if each["group"] != group:
            group = each["group"]
            parts.append(
                ("</tbody></table>" if parts else "")
                + f'<table class="statistics"><caption>{escape(group)}</caption><thead><tr>'
                '<th scope="col">Statistic</th><th scope="col" class="number">Value</th><th scope="col">Definition</th>'
                "</tr></thead><tbody>"
            )
        exact, text = escape(json.dumps(each["value"])), escape(shown(each["value"], each["unit"]))
        parts.append(
            f'<tr><th scope="row">{escape(each["title"])}</th>'
            f'<td class="number" data-key="{key}" data-value="{exact}">{text}</td>'
            f'<td class="definition">{escape(each["definition"])}</td></tr>'
        )
    return _section("Statistics", "\n".join(parts) + "</tbody></table>")
