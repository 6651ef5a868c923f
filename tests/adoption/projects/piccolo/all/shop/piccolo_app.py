from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

HERE = Path(__file__).parent
APP_CONFIG = AppConfig(
    app_name="shop",
    migrations_folder_path=str(HERE / "piccolo_migrations"),
    table_classes=table_finder(["shop.tables"]),
    migration_dependencies=[],
)
