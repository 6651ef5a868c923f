"""DBOS: workflows kept in a schema of its own, with functions that enqueue and listen."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import sqlalchemy
    from dbos._migration import ensure_dbos_schema, run_dbos_migrations

    address = sys.argv[1].replace("postgresql://", "postgresql+psycopg://", 1)
    engine = sqlalchemy.create_engine(address)
    ensure_dbos_schema(engine, "dbos")
    run_dbos_migrations(engine, "dbos", use_listen_notify=True)
