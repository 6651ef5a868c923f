"""Procrastinate: enums, composite types, functions over rows, and triggers that call them."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import procrastinate

    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=sys.argv[1]))
    with app.open():
        app.schema_manager.apply_schema()
