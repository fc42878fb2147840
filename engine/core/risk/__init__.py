"""The risk stage: the one place that approves orders."""
