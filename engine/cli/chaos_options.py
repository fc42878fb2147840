"""The options of `ratchet chaos`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

#: How many scenarios a run without a number has.
SEEDS: Final = 200

StrategyArgument = Annotated[
    str, typer.Argument(help="For example s1_vwap_ema, or my_module:MyStrategy; by default the kit's own.")
]
SeedsOption = Annotated[
    str | None, typer.Option("--seeds", metavar="N", help=f"Live so many scenarios. Default: {SEEDS}.")
]
MinutesOption = Annotated[
    str | None, typer.Option("--minutes", metavar="M", help="Live as many as begin in so many minutes.")
]
SeedOption = Annotated[str, typer.Option("--seed", metavar="S", help="The first seed.")]
FaultsOption = Annotated[
    str | None,
    typer.Option("--faults", metavar="KIND,...", help="Only these faults (docs/chaos.md). Default: all."),
]
FullOption = Annotated[bool, typer.Option("--full", help="Whole sessions and a night, not 45 minutes each.")]
LayerOption = Annotated[
    str,
    typer.Option("--layer", metavar="L", help="1: the engine alone; 2: with its runner on asyncio, in virtual time."),
]
StyleOption = Annotated[
    str | None,
    typer.Option("--exits", metavar="STYLE", help="both_legs or rest_stop. Default: each seed draws one."),
]
RiskFileOption = Annotated[
    Path | None,
    typer.Option("--risk", help="The risk file, or a shipped one by name. Default: ./risk.yaml, else default."),
]
JobsOption = Annotated[
    str | None, typer.Option("--jobs", metavar="J", help="Processes. Default: as many as there are processors.")
]
ExplainOption = Annotated[
    str | None, typer.Option("--explain", metavar="SEED", help="Live one scenario and tell its story.")
]
ReplayOption = Annotated[
    Path | None, typer.Option("--replay", metavar="FILE", help="Live a kept schedule again and tell its story.")
]
KeepOption = Annotated[
    Path | None, typer.Option("--keep", metavar="DIR", help="Keep the schedule and database of violations here.")
]
KillsOption = Annotated[
    str | None, typer.Option("--kills", metavar="N", help="Kill real processes of ratchet run so often instead.")
]
PowerOption = Annotated[
    str | None, typer.Option("--power", metavar="IMAGES", help="Cut the power under so many writes instead.")
]
