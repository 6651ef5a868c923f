import os

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine

DB = PostgresEngine({"dsn": os.environ["ADOPTION_URL"]})
APP_REGISTRY = AppRegistry(apps=["shop.piccolo_app"])
