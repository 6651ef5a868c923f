"""Artifacts as rows: one, the list of them, and those that were purged."""
