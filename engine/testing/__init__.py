"""The kit for tests, ours and those of users: scripted parts that stand in for the outside world."""
