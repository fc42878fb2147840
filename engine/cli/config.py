"""`ratchet config`: look at settings."""

from __future__ import annotations

import typer

from engine.cli.options import JsonOption, RiskOption

app = typer.Typer(no_args_is_help=True, help="Look at settings.")


@app.callback()
def group() -> None:
    """Keep `config check` a subcommand while it is the only one."""


@app.command()
def check(risk: RiskOption = None, as_json: JsonOption = False) -> None:
    """Check a risk file and show what it means."""
    from dataclasses import asdict

    from engine.app.settings import load_risk
    from engine.cli.output import emit_json

    settings = load_risk(risk)
    shown = {"limits": asdict(settings.limits), "deadlines": asdict(settings.deadlines)}
    if as_json:
        emit_json({"path": str(settings.path), "sha256": settings.sha256, **_plain(shown)})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{settings.path} is valid", title_justify="left")
    table.add_column("Setting")
    table.add_column("Value", justify="right")
    for section in shown.values():
        for name, value in section.items():
            table.add_row(*_row(name, value))
    console = Console()
    console.print(table)
    console.print(f"SHA-256 {settings.sha256}", highlight=False, soft_wrap=True)


def _plain(shown: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {
        section: {name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()}
        for section, values in shown.items()
    }


def _row(name: str, value: object) -> tuple[str, str]:
    if isinstance(value, frozenset):
        return name, ", ".join(sorted(value)) or ("every symbol" if name == "allowed_symbols" else "none")
    if isinstance(value, bool):
        return name, "yes" if value else "no"
    if name.endswith("_ns") and isinstance(value, int):
        return name.removesuffix("_ns"), f"{value // 1_000_000_000:,} s"
    return name, f"{value:,}" if isinstance(value, int) else str(value)
