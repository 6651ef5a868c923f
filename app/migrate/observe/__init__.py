"""What PostgreSQL does for a statement: its locks, its work on rows, and the objects it changes."""
