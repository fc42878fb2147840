"""Venues: what takes orders. Each obeys `engine.ports.Venue`; a simulated one also `SimulatedVenue`."""
