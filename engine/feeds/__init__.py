"""Feeds: sources of market events. Import the module that is needed; each brings numpy with it."""
