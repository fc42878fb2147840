"""`python -m engine.cli` is `ratchet`."""

from engine.cli.main import main

main()
