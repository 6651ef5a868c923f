"""Captures: drops that can be undone, in one transaction or online."""
