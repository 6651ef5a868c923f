"""The words of the hard cases: names and values that a page must show as they are, and the SQL."""

from __future__ import annotations

# Each is the name of a table, of its column, and part of a migration's id and reason.
NAMES = {
    "quotes": """it's a "quoted" `name`""",
    "dots": "a.b . c..d",
    "emoji": "🧨 orders 💥 été 👩‍🚀",
    "longest": "customer_lifetime_value_by_region_and_channel_before_the_merger",
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "rtl": "\u202eשלום \u200bعربى\u200d",
    "newline": "first line\nsecond line\tand a tab",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "path": "../..?a=b&c=d#e%2F%00+",
    "spaces": "  spaces   all  around  ",
    "attribute": "' onmouseover='alert(1)' x='",
}
assert all(len(name.encode()) <= 63 for name in NAMES.values())

LONG_ID = "20240229_" + "and_then_some_more_of_it_" * 7
LONG_REASON = (
    "kept until the audit of the year is over, as the tax adviser asked, see the ticket; " * 4
)

VALUES = (
    '"><img src=x onerror=alert(1)><script>alert(2)</script>',
    "x" * 10_000,
    "one line\nanother line\r\nand\ta tab",
    "bell \x07, escape \x1b[31mred\x1b[0m, delete \x7f",
    "\u202eright to left\u202c zero\u200bwidth e\u0301",
    '{"json": "in text"}',
    "",
    "  ",
    "NULL",
    "javascript:alert(1)",
)

OBJECTS = """
CREATE FUNCTION public.middling() RETURNS integer LANGUAGE sql AS 'SELECT 3';
CREATE TABLE public.orders (
    id integer PRIMARY KEY, legacy_code text NOT NULL DEFAULT 'none', phone text, fax text,
    rating integer NOT NULL DEFAULT public.middling());
INSERT INTO public.orders SELECT n, 'DE-' || n, '+49 30 ' || n, '+49 31 ' || n
FROM generate_series(1, 300) n;
CREATE TABLE public.purged (id integer PRIMARY KEY, note text);
INSERT INTO public.purged VALUES (1, 'gone');
CREATE TABLE public.missing (id integer PRIMARY KEY);
CREATE TABLE public.moved (id integer PRIMARY KEY);
CREATE TABLE public.expired (id integer PRIMARY KEY, token text UNIQUE);
INSERT INTO public.expired SELECT n, md5(n::text) FROM generate_series(1, 2000) n;
CREATE TABLE public.unsealed (id integer PRIMARY KEY);
CREATE TABLE public.taken (id integer PRIMARY KEY, code text CHECK (code <> ''));
INSERT INTO public.taken VALUES (1, 'old');
CREATE TABLE public.visits (id integer PRIMARY KEY, code text NOT NULL UNIQUE, page text);
INSERT INTO public.visits SELECT n, 'V-' || n, '/p/' || n % 9 FROM generate_series(1, 120) n;
CREATE TABLE public.twice (id integer PRIMARY KEY, code text);
INSERT INTO public.twice SELECT n, 'T-' || n FROM generate_series(1, 9) n;
CREATE VIEW public.codes AS SELECT id, code FROM public.visits;
CREATE TABLE public.carts (id integer PRIMARY KEY, note text);
INSERT INTO public.carts SELECT n, 'note ' || n FROM generate_series(1, 50) n;
CREATE TABLE public.base (id integer PRIMARY KEY, amount numeric(10, 2));
INSERT INTO public.base SELECT n, n * 1.5 FROM generate_series(1, 80) n;
CREATE VIEW public.base_1 AS SELECT id, amount FROM public.base;
CREATE VIEW public.base_2 AS SELECT id, amount * 2 AS twice FROM public.base_1;
CREATE MATERIALIZED VIEW public.base_3 AS SELECT sum(twice) AS total FROM public.base_2;
CREATE TABLE public.published (id integer PRIMARY KEY, v text);
INSERT INTO public.published VALUES (1, 'a'), (2, NULL);
CREATE PUBLICATION feed FOR TABLE public.published;
CREATE TABLE public.prices (id integer PRIMARY KEY, price numeric(10, 2) NOT NULL);
INSERT INTO public.prices SELECT n, n * 0.99 FROM generate_series(1, 60) n;
CREATE TABLE public.empty (id integer PRIMARY KEY, v text);
CREATE TABLE public.parts (id integer, at date) PARTITION BY RANGE (at);
CREATE TABLE public.parts_2023 PARTITION OF public.parts
FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE public.parts_rest PARTITION OF public.parts DEFAULT;
INSERT INTO public.parts SELECT n, date '2023-06-01' + n FROM generate_series(1, 400) n;
"""

# After the captures: names taken, rows that came and went, what a definition needs gone.
SINCE = """
CREATE TABLE public.taken (id bigint, code uuid);
DROP FUNCTION public.middling();
DELETE FROM public.visits WHERE id % 10 = 0;
INSERT INTO public.visits SELECT n, '/new' FROM generate_series(1001, 1007) n;
ALTER TABLE public.twice DROP CONSTRAINT twice_pkey;
INSERT INTO public.twice SELECT id FROM public.twice WHERE id < 4;
ALTER TABLE public.prices ADD COLUMN currency text, ALTER COLUMN price TYPE numeric(12, 4);
"""
