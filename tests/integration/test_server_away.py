"""The server goes away under the studio, and comes back: it says so, and mends by itself."""

from __future__ import annotations

from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.conftest import create_database, install_zanith
from tests.studios import capture_orders, run_studio, wait_until

pytestmark = pytest.mark.newest


def test_a_restart_of_the_server_is_told_and_got_over(disposable_server):
    with contextmanager(create_database)(disposable_server, "template0") as database:
        install_zanith(database.url)
        artifacts = capture_orders(database)
        with run_studio(database.tcp_url) as studio, studio.client() as client:
            assert client.get("/studio").status_code == 200
            database.psql("CHECKPOINT")  # these servers do not wait for the disk
            disposable_server.stop("immediate")
            wait_until(lambda: client.get("/readyz").status_code == 503)
            answer = client.get("/api/artifacts")
            assert answer.status_code == 503
            assert "cannot connect to PostgreSQL at 127.0.0.1" in answer.json()["error"]["message"]
            assert "The database does not answer" in client.get("/studio").text
            assert client.get("/healthz").status_code == 200
            disposable_server.start()
            wait_until(lambda: client.get("/readyz").status_code == 200)
            assert client.get(f"/studio/artifacts/{artifacts['column']}").status_code == 200
            with client.stream("GET", "/api/events") as events:
                seen = ""
                database.psql("SELECT zanith.soft_drop_column('public.orders', 'total')")
                with suppress(httpx.ReadTimeout):
                    for line in events.iter_lines():
                        seen += line
                        if "artifact" in line:
                            break
            assert "changed" in seen
