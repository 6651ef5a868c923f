"""Migrations of any tool, read with PostgreSQL's own parser."""
