"""Research: checks, sweeps and reports over many bars at once."""
