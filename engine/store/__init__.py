"""The store: one SQLite file that holds everything that became true, and the journal that says why."""
