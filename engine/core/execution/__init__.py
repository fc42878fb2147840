"""The execution stage: orders, brackets, and how both move."""
