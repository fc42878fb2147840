"""What an operator reads: logs now, metrics and alerts later. Fed by steps; nothing here decides anything."""
