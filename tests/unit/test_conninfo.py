"""Connection strings, read as libpq reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.recovery.core.errors import WrongUsage
from app.recovery.db.conninfo import is_name, is_url, parameters, to_url
from app.recovery.db.service_file import resolve


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("shop", {"dbname": "shop"}),
        ("host=db port=5433 dbname=shop", {"host": "db", "port": "5433", "dbname": "shop"}),
        ("host = db\tuser='ana b'", {"host": "db", "user": "ana b"}),
        (r"password='a\'b\\c' dbname=x\ y", {"password": r"a'b\c", "dbname": "x y"}),
        ("password='' host=db", {"host": "db"}),
        ("dbname='a=b'", {"dbname": "a=b"}),
        ("postgresql://ana:p%40ss@db:5433/shop", {
            "user": "ana", "password": "p@ss", "host": "db", "port": "5433", "dbname": "shop"}),
        ("postgres:///shop?host=/tmp/pg&database=other", {"dbname": "other", "host": "/tmp/pg"}),
        ("postgresql://a,b:1/x", {"host": "a,b", "port": ",1", "dbname": "x"}),
        ("postgresql://%2Ftmp%2Fpg/x", {"host": "/tmp/pg", "dbname": "x"}),
        ("postgresql://[::1]:1/x", {"host": "[::1]", "port": "1", "dbname": "x"}),
    ],
)  # fmt: skip
def test_what_a_string_says(text, says):
    assert parameters(text) == says


@pytest.mark.parametrize("text", ["host=db x", "host='db", "host=a'b'", "=x", "password=se cret"])
def test_what_cannot_be_read_is_told_without_its_values(text):
    with pytest.raises(WrongUsage, match="cannot be read") as found:
        parameters(text)
    assert "cret" not in f"{found.value.message} {found.value.detail} {found.value.hint}"


@given(st.dictionaries(st.sampled_from(["user", "password", "dbname", "application_name"]),
                       st.text(min_size=1).filter(str.isprintable), min_size=1))  # fmt: skip
def test_keywords_and_values_survive_the_way_through_a_url(found):
    def quoted(value: str) -> str:
        return "'" + value.replace("\\", r"\\").replace("'", r"\'") + "'"

    text = " ".join(f"{key}={quoted(value)}" for key, value in found.items())
    assert parameters(text) == found
    assert parameters(to_url(found)) == found


def test_a_value_that_looks_like_a_url_is_a_value():
    assert parameters("user='://' password=a://b") == {"user": "://", "password": "a://b"}
    with pytest.raises(WrongUsage, match="URL cannot be read"):
        parameters("mysql://host/shop?x=1")


def test_kinds_of_strings():
    assert is_url("postgres://x")
    assert is_name("shop")
    assert not is_name("host=x")
    assert not is_url("host=postgres://x")


def test_only_what_can_be_kept_is_passed_on(monkeypatch):
    for name in ("PGSERVICE", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)
    assert resolve(None) is None
    assert resolve("postgresql://ana@db/x") == "postgresql://ana@db/x"
    assert resolve("postgresql://db/x?connect_timeout=3") == "postgresql://?host=db&dbname=x"
    assert resolve("host=db connect_timeout=3") == "postgresql://?host=db"
    assert resolve("host=db hostaddr=10.0.0.7") == "postgresql://?host=10.0.0.7"
    assert resolve("host=::1 port=1") == "postgresql://?host=%5B%3A%3A1%5D&port=1"
    with pytest.raises(WrongUsage, match="require_auth"):
        resolve("host=db require_auth=scram-sha-256")
    monkeypatch.setenv("PGHOSTADDR", "10.0.0.8")
    assert resolve("postgresql:///x") == "postgresql://?dbname=x&host=10.0.0.8"
    assert resolve("host=db") == "postgresql://?host=db"
    assert resolve("postgresql:///x", environment=False) == "postgresql:///x"
