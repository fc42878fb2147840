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
    """Check a risk file and show every setting by its key in the file, defaults included."""
    from engine.app.settings import load_risk
    from engine.cli.output import emit_json

    settings = load_risk(risk)
    if as_json:
        emit_json({"path": str(settings.path), "sha256": settings.sha256, "settings": dict(settings.keys)})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{settings.path} is valid", title_justify="left")
    table.add_column("Setting")
    table.add_column("Value", justify="right")
    for key, value in settings.keys:
        table.add_row(key, _text(key, value))
    console = Console()
    console.print(table)
    console.print(f"SHA-256 {settings.sha256}", highlight=False, soft_wrap=True)


# As the file would say it.
def _text(key: str, value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or ("every symbol" if key == "instruments.allowed" else "none")
    if isinstance(value, dict):
        return (
            "\n".join(
                f"{name}: {', '.join(sorted(part['symbols']))} up to {part['max_fraction']}"
                for name, part in value.items()
            )
            or "none"
        )
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)
