"""The tools: how each is installed, what it runs, and which tables it keeps for itself.

A project lies in `projects/NAME`: the files in `all`, and those that each stage adds or replaces in
`1`, `2`, … Stage 1 creates tables, the later ones drop some. A tool that reads SQL files has the
text of `projects/sql` instead, in a file of the name and form that `sql` gives.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROJECTS = HERE / "projects"
NODE_MODULES = HERE / "node_modules"
PYTHON_TOOLS = ROOT / ".venv-adoption" / "bin"

VERSION = "from importlib.metadata import version; import sys; print(version(sys.argv[1]))"


class NotInstalled(Exception):
    """A tool is not on this machine; the message says how to install it."""


@dataclass(frozen=True)
class Tool:
    """One tool, with what it runs in each stage."""

    name: str
    source: str  # python, node, debian or postgresql: where its package comes from
    package: str
    project: str
    then: tuple[str, ...]  # the commands of each stage
    first: tuple[str, ...] = ()  # those of stage 1, where they are others
    look: str = ""  # a command that shows how the tool sees the database
    books: tuple[str, ...] = ()  # its own tables
    scheme: str = "postgresql"  # of ADOPTION_URL
    sql: tuple[str, str] = ("", "")  # a file name and its text, with {n} and {sql}
    also: tuple[str, ...] = ()  # further packages of the same source
    last: int = 0  # the last stage, where there are more
    recreates: bool = False  # it creates again what it dropped
    needs: str = ""  # a program that must be on PATH
    environment: dict[str, str] = field(default_factory=dict)

    def commands(self, stage: int) -> tuple[str, ...]:
        return self.first if stage == 1 and self.first else self.then

    @property
    def stages(self) -> list[int]:
        """Return the numbers of the stages that the project has."""
        if self.sql[0]:
            numbers = sorted(int(path.stem) for path in (PROJECTS / "sql").glob("*.sql"))
            return numbers[: self.last or None]
        found = (PROJECTS / self.project).iterdir()
        return sorted(int(path.name) for path in found if path.name.isdigit())

    def add_stage(self, stage: int, directory: Path) -> None:
        """Add the files of a stage to the working copy of a project."""
        for part in ("all", str(stage)) if stage == 1 else (str(stage),):
            source = PROJECTS / self.project / part
            if source.is_dir():
                shutil.copytree(source, directory, dirs_exist_ok=True)
        name, text = self.sql
        if name:
            file = directory / name.format(n=stage)
            file.parent.mkdir(parents=True, exist_ok=True)
            sql = (PROJECTS / "sql" / f"{stage}.sql").read_text("utf-8")
            file.write_text(text.format(n=stage, sql=sql), "utf-8")

    def version(self) -> str:
        """Return the installed version; raise NotInstalled with what installs it."""
        if self.needs and not shutil.which(self.needs):
            raise NotInstalled(f"it needs {self.needs} on PATH")
        if self.source == "python":
            return self._python_version()
        if self.source == "node":
            return self._node_version()
        return self._debian_version() if self.source == "debian" else ""

    def _python_version(self) -> str:
        python = PYTHON_TOOLS / "python"
        if not python.exists():
            raise NotInstalled("make adoption installs it into .venv-adoption")
        ended = subprocess.run(
            [python, "-c", VERSION, self.package], capture_output=True, text=True, check=False
        )
        if ended.returncode:
            raise NotInstalled("make adoption installs it into .venv-adoption")
        return ended.stdout.strip()

    def _node_version(self) -> str:
        about = NODE_MODULES / self.package / "package.json"
        if not about.exists():
            raise NotInstalled("make adoption installs it into tests/adoption/node_modules")
        return str(json.loads(about.read_text("utf-8"))["version"])

    def _debian_version(self) -> str:
        packages = (self.package, *self.also)
        versions = [_debian_version(package) for package in packages]
        if not all(versions):
            raise NotInstalled(f"apt-get install {' '.join(packages)}")
        return versions[0].rpartition(":")[2].partition("-")[0].partition("+")[0]


def _debian_version(package: str) -> str:
    """Return the version of an installed package of Debian, or nothing."""
    query = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    try:
        ended = subprocess.run(query, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotInstalled("it is taken from Debian's packages only") from None
    return "" if ended.returncode else ended.stdout


ALEMBIC = Tool(
    "Alembic (psycopg)",
    *("python", "alembic", "alembic"),
    then=(
        "alembic revision --autogenerate --rev-id stage{n} --message stage",
        "alembic upgrade head",
    ),
    look="alembic check",
    books=("alembic_version",),
    scheme="postgresql+psycopg",
)
TOOLS = [
    Tool(
        "psql -1 -f",
        *("postgresql", "psql", "psql"),
        then=("psql --no-psqlrc --set ON_ERROR_STOP=1 -1 -f stage.sql",),
        sql=("stage.sql", "{sql}"),
    ),
    Tool(
        "pg_restore --clean",
        *("postgresql", "pg_restore", "psql"),
        first=("psql --no-psqlrc --set ON_ERROR_STOP=1 -1 -f stage.sql",),
        then=(
            "pg_dump --table public.* --format custom --file shop.dump",
            "pg_restore --clean --if-exists --single-transaction --dbname {name} shop.dump",
        ),
        last=2,
        recreates=True,
        sql=("stage.sql", "{sql}"),
    ),
    ALEMBIC,
    replace(ALEMBIC, name="Alembic (asyncpg)", scheme="postgresql+asyncpg"),
    Tool(
        "SQLAlchemy drop_all",
        *("python", "sqlalchemy", "sqlalchemy"),
        first=("python stage.py create",),
        then=("python stage.py drop",),
        scheme="postgresql+psycopg",
    ),
    Tool(
        "Django",
        *("python", "django", "django"),
        then=("django-admin makemigrations shop", "django-admin migrate"),
        look="django-admin inspectdb",
        books=("django_migrations",),
        environment={"DJANGO_SETTINGS_MODULE": "settings"},
    ),
    Tool(
        "yoyo",
        *("python", "yoyo-migrations", "yoyo"),
        then=("yoyo apply --batch --no-config-file --database {url} migrations",),
        look="yoyo list --batch --no-config-file --database {url} migrations",
        books=("_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock"),
        scheme="postgresql+psycopg",
        sql=("migrations/{n}.sql", "{sql}"),
    ),
    Tool("peewee", *("python", "peewee", "peewee"), then=("python stage.py",)),
    Tool(
        "aerich",
        *("python", "aerich", "aerich"),
        first=("aerich init --tortoise-orm settings.ORM", "aerich init-db"),
        then=("aerich migrate --name stage", "aerich upgrade"),
        look="aerich heads",
        books=("aerich",),
        scheme="asyncpg",
    ),
    Tool(
        "piccolo",
        *("python", "piccolo", "piccolo"),
        then=("piccolo migrations new shop --auto", "piccolo migrations forwards shop"),
        look="piccolo migrations check",
        books=("migration",),
        environment={"PICCOLO_CONF": "piccolo_conf"},
    ),
    Tool(
        "Rails ActiveRecord",
        *("debian", "ruby-activerecord", "activerecord"),
        also=("ruby-pg",),
        then=("ruby migrate.rb",),
        look="ruby schema.rb",
        books=("schema_migrations", "ar_internal_metadata"),
    ),
    Tool(
        "Sequel",
        *("debian", "ruby-sequel", "sequel"),
        also=("ruby-pg",),
        then=("ruby migrate.rb",),
        books=("schema_info",),
    ),
    Tool(
        "sqitch",
        *("debian", "sqitch", "sqitch"),
        also=("libdbd-pg-perl",),
        first=(
            "sqitch init shop --engine pg --target {db}",
            "sqitch add stage1 --note stage",
            "sqitch deploy",
        ),
        then=("sqitch add stage{n} --note stage", "sqitch deploy"),
        look="sqitch status --no-show-changes",
        books=("changes", "events", "projects", "releases"),
        sql=("deploy/stage{n}.sql", "BEGIN;\n{sql}COMMIT;\n"),
        environment={"SQITCH_FULLNAME": "A", "SQITCH_EMAIL": "a@example.org"},
    ),
    Tool(
        "Knex",
        *("node", "knex", "knex"),
        then=("knex migrate:latest",),
        look="knex migrate:status",
        books=("knex_migrations", "knex_migrations_lock"),
    ),
    Tool(
        "Sequelize with umzug",
        *("node", "umzug", "sequelize"),
        then=("node migrate.js",),
        books=("SequelizeMeta",),
    ),
    Tool(
        "TypeORM",
        *("node", "typeorm", "typeorm"),
        then=(
            "typeorm migration:generate --outputJs --dataSource source.js migrations/stage{n}",
            "typeorm migration:run --dataSource source.js",
        ),
        look="typeorm schema:log --dataSource source.js",
        books=("migrations",),
    ),
    Tool(
        "node-pg-migrate",
        *("node", "node-pg-migrate", "node-pg-migrate"),
        then=("node-pg-migrate up",),
        books=("pgmigrations",),
    ),
    Tool(
        "drizzle-kit migrate",
        *("node", "drizzle-kit", "drizzle"),
        then=("drizzle-kit generate", "drizzle-kit migrate"),
        look="drizzle-kit push --verbose --strict",
        books=("__drizzle_migrations",),
    ),
    Tool(
        "drizzle-kit push",
        *("node", "drizzle-kit", "drizzle"),
        then=("drizzle-kit push --force",),
    ),
    Tool(
        "Prisma",
        *("node", "prisma", "prisma"),
        then=("prisma migrate deploy",),
        look="prisma migrate status",
        books=("_prisma_migrations",),
        sql=("prisma/migrations/{n}_stage/migration.sql", "{sql}"),
        environment={"PRISMA_CLIENT_ENGINE_TYPE": "client"},
    ),
    Tool(
        "dbmate",
        *("node", "@dbmate/linux-x64", "dbmate"),
        then=("node_modules/@dbmate/linux-x64/bin/dbmate --no-dump-schema up",),
        look="node_modules/@dbmate/linux-x64/bin/dbmate status",
        books=("schema_migrations",),
        sql=("db/migrations/{n}_stage.sql", "-- migrate:up\n{sql}\n-- migrate:down\n"),
    ),
    Tool(
        "postgrator",
        *("node", "postgrator", "postgrator"),
        then=("node migrate.mjs",),
        books=("schemaversion",),
        sql=("migrations/{n}.do.stage.sql", "{sql}"),
    ),
    Tool(
        "graphile-migrate",
        *("node", "graphile-migrate", "graphile-migrate"),
        then=("graphile-migrate commit --message stage", "graphile-migrate migrate"),
        look="graphile-migrate status",
        books=("migrations", "current"),
        sql=("migrations/current.sql", "{sql}"),
        environment={"SHADOW_DATABASE_URL": "{url}_shadow", "ROOT_DATABASE_URL": "{root}"},
    ),
    Tool(
        "Liquibase",
        *("node", "liquibase", "liquibase"),
        needs="java",
        then=(
            "node_modules/liquibase/dist/liquibase/liquibase --url {jdbc} --username {role}"
            " --changelog-file changelog.xml update",
        ),
        books=("databasechangelog", "databasechangeloglock"),
        sql=("changes/{n}.sql", "--liquibase formatted sql\n--changeset zanith:{n}\n{sql}"),
    ),
]
