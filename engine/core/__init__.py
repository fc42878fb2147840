"""The law: pure decisions. No I/O, clock, randomness, SQL, logging or async in this room."""
