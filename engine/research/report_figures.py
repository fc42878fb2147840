"""The charts of a report as plotly figures without data: each array is a reference into the report's numbers.

A text `@equity.moment` stands for that array of the numbers, `@by_hour[].pnl` for one name of every object of a list,
and `var(--gain)` for a colour of the page: numbers are written once, and charts follow the reader's light or dark
scheme. The page's script puts both in place; `resolve` does the former here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from engine.research.report import Numbers

_GAIN, _LOSS, _LINE, _MUTED = "var(--gain)", "var(--loss)", "var(--line)", "var(--muted)"
_HEIGHT: Final = 320
_LEGEND: Final = {"orientation": "h", "y": 1.12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Hold one chart: where it stands, what it is called, what it tells those who cannot see it."""

    key: str
    title: str
    caption: str
    figure: dict[str, Any]


def charts(numbers: Numbers) -> dict[str, Chart]:
    """Return the charts of a report by their keys; those of trades only where there are any."""
    found = [_equity(), _exposure()]
    if numbers["totals"]["trades"]:
        found += [
            _distribution(numbers, "r_multiple", "Results in R", "R multiple", ""),
            _distribution(numbers, "pnl", "Results in money", "Profit after fees", ",.2f"),
            _excursions(),
            _grouped(numbers, "by_hour", "hour", "By hour of entry"),
            _grouped(numbers, "by_weekday", "weekday", "By weekday of entry"),
            _grouped(numbers, "by_exit_reason", "exit_reason", "By exit reason"),
        ]
    if numbers["costs"]:
        found.append(_costs())
    return {chart.key: chart for chart in found}


def resolve(value: Any, numbers: Numbers) -> Any:  # noqa: ANN401 - any JSON value
    """Return a figure with its references replaced by the numbers that they name."""
    if isinstance(value, dict):
        return {name: resolve(each, numbers) for name, each in value.items()}
    if isinstance(value, list):
        return [resolve(each, numbers) for each in value]
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    path, _, column = value[1:].partition("[].")
    found: Any = numbers
    for name in path.split("."):
        found = found[name]
    return [each[column] for each in found] if column else found


def _layout(*, height: int = _HEIGHT, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of plotly's layout
    return {
        "height": height,
        "margin": {"l": 60, "r": 16, "t": 16, "b": 48},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "var(--text)", "size": 12},
        "hoverlabel": {"font": {"size": 12}},
        "showlegend": False,
        **more,
    }


def _axis(title: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - keys of plotly's axis
    return {
        "title": {"text": title},
        "gridcolor": "var(--grid)",
        "zerolinecolor": _MUTED,
        "linecolor": "var(--grid)",
        "automargin": True,
        **more,
    }


def _equity() -> Chart:
    line = {"type": "scatter", "mode": "lines", "x": "@equity.moment"}
    equity = line | {
        "y": "@equity.equity",
        "name": "Equity",
        "line": {"color": _LINE, "width": 1.5, "shape": "hv"},
        "hovertemplate": "%{x}<br>%{y:,.2f}<extra></extra>",
    }
    drawdown = line | {
        "y": "@equity.drawdown",
        "name": "Drawdown",
        "yaxis": "y2",
        "fill": "tozeroy",
        "line": {"color": _LOSS, "width": 1, "shape": "hv"},
        "hovertemplate": "%{x}<br>%{y:.3%}<extra></extra>",
    }
    layout = _layout(
        height=460,
        xaxis=_axis(type="date", anchor="y2"),
        yaxis=_axis("Equity", domain=[0.36, 1], tickformat=",.0f"),
        yaxis2=_axis("Drawdown", domain=[0, 0.28], tickformat=".1%"),
    )
    return Chart(
        key="equity",
        title="Equity and drawdown",
        caption="Equity at bar closes (above), and how far it lies below its highest value so far (below). Of many "
        "marks the lowest, the highest and the last of each stretch are drawn. Drag to zoom, double-click to see all.",
        figure={"data": [equity, drawdown], "layout": layout},
    )


def _exposure() -> Chart:
    time = {
        "type": "bar",
        "name": "Time held",
        "x": "@sessions.date",
        "y": "@sessions.time_held",
        "marker": {"color": _LINE},
        "hovertemplate": "%{x}<br>held in %{y:.1%} of the bars<extra></extra>",
    }
    highest = {
        "type": "scatter",
        "mode": "markers",
        "name": "Highest share of equity",
        "x": "@sessions.date",
        "y": "@sessions.exposure_highest",
        "marker": {"color": _LOSS, "size": 5, "symbol": "diamond"},
        "hovertemplate": "%{x}<br>at most %{y:.1%} of equity<extra></extra>",
    }
    layout = _layout(
        showlegend=True,
        legend=_LEGEND,
        bargap=0.1,
        xaxis=_axis(type="date"),
        yaxis=_axis("Share", tickformat=".0%", rangemode="tozero"),
    )
    return Chart(
        key="exposure",
        title="Exposure over time",
        caption="Per session: in which share of the bars a position was held, and the highest market value held at a "
        "bar's close, as a share of equity.",
        figure={"data": [time, highest], "layout": layout},
    )


def _distribution(numbers: Numbers, name: str, title: str, axis: str, tickformat: str) -> Chart:
    edges = numbers["distribution"][name]["edges"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    bars = {
        "type": "bar",
        "x": middles,
        "y": f"@distribution.{name}.counts",
        "width": [high - low for low, high in pairwise(edges)],
        "marker": {
            "color": [_GAIN if middle > 0 else _LOSS for middle in middles],
            "line": {"color": "var(--page)", "width": 1},
        },
        "customdata": [list(pair) for pair in pairwise(edges)],
        "hovertemplate": "%{customdata[0]:.2f} to %{customdata[1]:.2f}<br>%{y} trades<extra></extra>",
    }
    layout = _layout(bargap=0, xaxis=_axis(axis, tickformat=tickformat), yaxis=_axis("Trades"))
    return Chart(
        key=f"distribution_{name}",
        title=title,
        caption=f"{axis}: how many trades ended so.",
        figure={"data": [bars], "layout": layout},
    )


def _excursions() -> Chart:
    shared = {"type": "scatter", "mode": "markers", "y": "@trades.return"}
    adverse = shared | {
        "name": "Adverse",
        "x": "@trades.adverse_excursion",
        "marker": {"color": _LOSS, "size": 5, "opacity": 0.6, "symbol": "circle"},
        "hovertemplate": "went %{x:.3%} against<br>ended at %{y:.3%}<extra></extra>",
    }
    favourable = shared | {
        "name": "Favourable",
        "x": "@trades.favourable_excursion",
        "marker": {"color": _GAIN, "size": 5, "opacity": 0.6, "symbol": "diamond"},
        "hovertemplate": "went %{x:.3%} in favour<br>ended at %{y:.3%}<extra></extra>",
    }
    layout = _layout(
        showlegend=True,
        legend=_LEGEND,
        xaxis=_axis("Furthest move while held", tickformat=".2%"),
        yaxis=_axis("Result, of entry value", tickformat=".2%"),
    )
    return Chart(
        key="excursions",
        title="Excursions",
        caption="Each trade twice: how far price went against it (MAE) and in its favour (MFE), and how it ended.",
        figure={"data": [adverse, favourable], "layout": layout},
    )


def _grouped(numbers: Numbers, section: str, name: str, title: str) -> Chart:
    groups = numbers[section]
    bars = {
        "type": "bar",
        "x": [f"{each[name]:02d}h" for each in groups] if name == "hour" else f"@{section}[].{name}",
        "y": f"@{section}[].pnl",
        "marker": {"color": [_LOSS if each["pnl"].startswith("-") else _GAIN for each in groups]},
        "customdata": [
            [each["trades"], each["win_rate"], "?" if each["expectancy_r"] is None else f"{each['expectancy_r']:+.2f}"]
            for each in groups
        ],
        "hovertemplate": "%{x}: %{y:,.2f}<br>%{customdata[0]} trades, %{customdata[1]:.0%} won, "
        "%{customdata[2]} R each<extra></extra>",
    }
    layout = _layout(xaxis=_axis(type="category"), yaxis=_axis("Profit after fees", tickformat=",.0f"))
    return Chart(
        key=section,
        title=title,
        caption=f"Sum of profits after fees, {title[0].lower() + title[1:]}, in the exchange's time."
        if name in {"hour", "weekday"}
        else "Sum of profits after fees, by why the position was left.",
        figure={"data": [bars], "layout": layout},
    )


def _costs() -> Chart:
    shared = {"type": "bar", "x": "@costs[].leg"}
    fees = shared | {
        "name": "Fees",
        "y": "@costs[].fees",
        "marker": {"color": _LINE},
        "hovertemplate": "%{x}: %{y:,.2f} in fees<extra></extra>",
    }
    slippage = shared | {
        "name": "Slippage",
        "y": "@costs[].slippage",
        "marker": {"color": _LOSS},
        "customdata": "@costs[].slippage_bps",
        "hovertemplate": "%{x}: %{y:,.2f}, %{customdata:.2f} bps<extra></extra>",
    }
    layout = _layout(
        showlegend=True,
        legend=_LEGEND,
        barmode="group",
        xaxis=_axis(type="category"),
        yaxis=_axis("Account currency", tickformat=",.0f"),
    )
    return Chart(
        key="costs",
        title="Costs by leg",
        caption="Fees, and slippage against the price that each order was meant to have; below zero it was better.",
        figure={"data": [fees, slippage], "layout": layout},
    )
