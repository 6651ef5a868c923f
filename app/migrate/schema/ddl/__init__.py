"""The difference of two snapshots as SQL, in an order that PostgreSQL accepts."""
