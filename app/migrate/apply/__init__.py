"""Migrations applied to a database, reverted, adopted from other tools, and their history."""
