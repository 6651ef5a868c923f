"""Airflow: years of Alembic revisions, run one after another."""

from __future__ import annotations

import os
import sys
import tempfile

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = sys.argv[1].replace(
            "postgresql://", "postgresql+psycopg2://", 1
        )
        from airflow.utils.db import upgradedb

        upgradedb(use_migration_files=True)
