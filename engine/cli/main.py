"""`ratchet`: the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.exit(guarded(arguments))


def guarded(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; whatever goes wrong becomes one sentence on standard error."""
    try:
        # Imported here, so that Ctrl-C in the first tenth of a second ends in a sentence too.
        from engine.cli.commands import perform

        return perform(arguments)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the last place: it must not end in a traceback
        from engine.cli.output import fail

        return int(fail(error))
