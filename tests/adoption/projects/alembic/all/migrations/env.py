"""Run the migrations over the driver that the address names, with or without asyncio."""

import asyncio
import os

from alembic import context
from models import Base
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ["ADOPTION_URL"]


def migrate(connection):
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


async def migrate_async():
    engine = create_async_engine(URL)
    async with engine.begin() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


if "asyncpg" in URL:
    asyncio.run(migrate_async())
else:
    with create_engine(URL).begin() as connection:
        migrate(connection)
