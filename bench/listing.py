"""The list at 1,000 and at 100,000 artifacts: medians of pages and API, and their ratio.

Run with `python -m bench.listing`. Each artifact is a table that is really parked; all but the
first are copies of it made in SQL, since 100,000 captures would take an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time

import asyncpg
import httpx

from tests import clusters
from tests.conftest import install_zanith
from tests.studios import run_studio

BAR = 1.3
ADDRESSES = {
    "list page": "/studio",
    "list page, second": "/studio?after={next}",
    "list page, by size": "/studio?sort=size",
    "list page, one table": "/studio?table=public.t77",
    "list page, searched": "/studio?search=t77",
    "list page, damaged": "/studio?health=damaged",
    "API list": "/api/artifacts",
    "API list, by name": "/api/artifacts?sort=name&direction=up",
    "metrics": "/metrics",
}
# Barred are the list and the API's; what reads all rows is printed beside them.
BARRED = {"list page", "list page, second", "API list"}
COPY = """
DO $do$ DECLARE a zanith._zanith_migration_artifacts; new_id text; parked text; was text; n int; BEGIN
    SELECT * INTO a FROM zanith._zanith_migration_artifacts ORDER BY capture_order LIMIT 1;
    was := a.id;
    FOR n IN {first}..{last} LOOP
        new_id := substr(md5(n::text), 1, 12);
        parked := '_zanith_dropped_t' || n || '_' || new_id;
        EXECUTE format('CREATE TABLE _zanith_shadow.%I (id int, note text)', parked);
        EXECUTE format('CREATE TRIGGER _zanith_refuse_statement BEFORE INSERT OR UPDATE OR DELETE OR '
            'TRUNCATE ON _zanith_shadow.%I EXECUTE FUNCTION zanith.refuse_write()', parked);
        EXECUTE format('COMMENT ON TABLE _zanith_shadow.%I IS %L', parked, 'zanith artifact ' || new_id);
        INSERT INTO zanith._zanith_migration_artifacts (id, migration_id, artifact_type, source_schema,
            source_table, physical_schema, physical_table, row_count, checksum, checksum_query,
            checksum_settings, sealed_at, definition, recovery_sql, created_by, captured_with, expires_at)
        VALUES (new_id, 'm' || n % 50, a.artifact_type, 'public', 't' || n, '_zanith_shadow', parked,
            a.row_count, a.checksum, a.checksum_query, a.checksum_settings, a.sealed_at,
            replace(replace(a.definition::text, was, new_id), '"t1"', '"t' || n || '"')::jsonb,
            replace(a.recovery_sql, was, new_id), 'bench', a.captured_with, now() + n * interval '1 minute');
    END LOOP;
END $do$
"""


async def fill(url: str, first: int, last: int) -> None:
    """Park tables number `first` to `last`."""
    connection = await asyncpg.connect(url)
    try:
        for start in range(first, last + 1, 2_000):
            stop = min(start + 1_999, last)
            await connection.execute(
                COPY.replace("{first}", str(start)).replace("{last}", str(stop))
            )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


def time_requests(client: httpx.Client, rounds: int) -> dict[str, list[float]]:
    """Return seconds a request by what it asks for."""
    after = client.get("/api/artifacts").raise_for_status().json()["next"]
    taken: dict[str, list[float]] = {name: [] for name in ADDRESSES}
    for number in range(rounds + 1):
        for name, address in ADDRESSES.items():
            started = time.perf_counter()
            client.get(address.replace("{next}", after)).raise_for_status()
            if number:  # the first warms up
                taken[name].append(time.perf_counter() - started)
    return taken


def main() -> int:
    """Print a line for each address; the exit status is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.listing", description=__doc__)
    parser.add_argument("--few", type=int, default=1_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--version", type=int, default=max(clusters.find_versions()))
    options = parser.parse_args()
    directory = clusters.create_run_directory()
    reaper = clusters.start_reaper(directory)
    taken: dict[int, dict[str, list[float]]] = {}
    try:
        server = clusters.obtain_server(directory, options.version)
        server.psql("postgres", "CREATE DATABASE bench")
        url = f"postgresql://postgres@127.0.0.1:{server.port}/bench"
        install_zanith(url)
        server.psql(
            "bench",
            "CREATE TABLE public.t1 (id int PRIMARY KEY, note text); INSERT INTO t1 VALUES (1, 'x');"
            "SELECT zanith.archive_table('t1')",
        )
        made = 1
        for size in (options.few, options.many):
            started = time.monotonic()
            asyncio.run(fill(url, made + 1, size))
            made = size
            print(f"{size:,} artifacts after {time.monotonic() - started:.0f} s", file=sys.stderr)
            with run_studio(url) as studio, studio.client() as client:
                client.timeout = httpx.Timeout(300)
                taken[size] = time_requests(client, options.rounds)
    finally:
        reaper.communicate(timeout=120)
    return report(taken[options.few], taken[options.many], options)


def report(
    few: dict[str, list[float]], many: dict[str, list[float]], options: argparse.Namespace
) -> int:
    """Print what was measured, in milliseconds."""
    print(f"{'':24}{options.few:>12,}{options.many:>12,}{'ratio':>8}{'bar':>6}  spread of the many")
    missed = 0
    for name in ADDRESSES:
        one, other = (1000 * statistics.median(found[name]) for found in (few, many))
        ratio, barred = other / one, name in BARRED
        missed += barred and ratio > BAR
        verdict = ("met" if ratio <= BAR else "MISSED") if barred else ""
        low, high = (1000 * edge(many[name]) for edge in (min, max))
        bar = f"{BAR}" if barred else "–"
        print(
            f"{name:24}{one:>9.1f} ms{other:>9.1f} ms{ratio:>8.2f}{bar:>6}  {low:.0f}–{high:.0f} ms {verdict}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
