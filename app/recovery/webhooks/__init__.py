"""Webhooks: events written once in PostgreSQL, and told to each receiver until it answers."""
