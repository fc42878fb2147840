"""The application: settings, wiring, the loop and its jobs."""
