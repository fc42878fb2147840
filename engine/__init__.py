"""Ratchet: market data in, orders out, and everything between a row in one SQLite file."""
