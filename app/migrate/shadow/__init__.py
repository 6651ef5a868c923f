"""Shadows: databases without rows, on which pending migrations run before the live database."""
