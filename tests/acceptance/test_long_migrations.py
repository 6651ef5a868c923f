"""The studio answers others while it reads and plans long files of migrations."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.studios import run_studio

pytestmark = pytest.mark.newest

ROWS = "".join(f"INSERT INTO t VALUES ({n}, 'x{n}');\n" for n in range(1_500))
PATHS = ("/studio/pending", "/studio/pending?id=0002_rows", "/api/pending")


@pytest.mark.parametrize("path", PATHS)
def test_health_answers_while_a_long_file_is_planned(database, tmp_path, path):
    database.psql("CREATE TABLE t (i int, v text)")
    (tmp_path / "0002_rows.sql").write_text(ROWS)
    with (
        run_studio(database.url, migrations=tmp_path) as studio,
        studio.client() as asking,
        studio.client() as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.get("/healthz")
        page = pool.submit(asking.get, path, timeout=120)
        waits = []
        while not page.done():
            began = time.monotonic()
            assert other.get("/healthz", timeout=60).status_code == 200
            waits.append(time.monotonic() - began)
            time.sleep(0.02)
        assert page.result().status_code == 200, page.result().text
        assert max(waits) < 5  # it was a minute; the machine of a test is busy
