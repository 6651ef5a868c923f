"""A small shop to drop things in, with names that nobody would want to quote by hand."""

ORDERS = """
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    legacy_code text NOT NULL DEFAULT 'none',
    note text,
    total numeric(10, 2)
);
INSERT INTO orders (legacy_code, note, total)
SELECT 'L-' || n, CASE WHEN n % 3 = 0 THEN 'note, "quoted"' END, n * 1.5
FROM generate_series(1, 50) n;
CREATE TABLE carts (id integer PRIMARY KEY, content jsonb);
INSERT INTO carts SELECT n, jsonb_build_object('n', n) FROM generate_series(1, 20) n;
"""

HOSTILE = [
    'We"ird',
    "a.b.c",
    "two words",
    "🚀 naïve",
    "x" * 63,
    "é" * 31,
    "[bold]markup[/bold]",
    "esc\x1b[31mred",
    "new\nline",
    "semi'; DROP TABLE orders; --",
]


def quoted(name: str) -> str:
    """Return the name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
