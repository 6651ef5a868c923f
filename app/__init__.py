"""Zanith: destructive schema changes in PostgreSQL that can be taken back."""
