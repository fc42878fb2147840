"""Deterministic simulation: an account lived at a mean venue in virtual time, with faults that one seed decides."""
