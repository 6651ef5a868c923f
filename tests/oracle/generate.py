"""Cases: small schemas put together by chance, with what is captured of them, as Hypothesis draws."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tests.oracle.features import (
    CHILDREN,
    COLUMN,
    DECLARED,
    PARTS,
    PLAIN,
    STRATEGIES,
    TABLE,
    Feature,
)
from tests.oracle.forms import FORMS, MADE, ColumnForm
from tests.oracle.rare import ALL

KEEPING = ("soft_drop_column", "soft_drop_table", "archive_table")  # what depends may stay on it
STYLES = ("plain", "upper", "punctuated", "quoted", "emoji", "long", "escaped", "keyword")
KEYWORDS = {"t": "table", "c": "select", "a": "order", "b": "user", "id": "primary", "up": "from"}
REFERS = re.compile(r"REFERENCES \[(t|p1)\]")
BY_KEY = re.compile(r"REFERENCES \[(t|p1)\](?! ?\()")  # without naming columns
UNIQUE = re.compile(  # a key, which has all columns that the rows are parted by
    r"TABLE \[(t|p1)\][^;]*(UNIQUE|PRIMARY KEY|EXCLUDE)|UNIQUE INDEX \S+ ON (ONLY )?\[(t|p1)\]"
    r"|REFERENCES \[(t|p1)\]|ON CONFLICT"
)
NAME = r"\[([a-z]+[0-9]*#?)\]"
WORLD = f"""
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN EXECUTE format('INSERT INTO %I.log VALUES (1)', TG_TABLE_SCHEMA); RETURN NEW; END$$;
CREATE FUNCTION give(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
{MADE};
"""


def name_of(style: str, stem: str, number: str) -> str:
    """Return a name in a style; as different as stem and number are, and 63 bytes at most."""
    word = stem + number
    return {
        "plain": word,
        "upper": f"The {word.upper()} One",
        "punctuated": f"{word}.x, ({word})",
        "quoted": f"{word}\"'{word}",
        "emoji": f"🐘{word} ünï",
        "long": (word + "_" + "é" * 40).encode()[:63].decode(errors="ignore"),
        "escaped": f"{word}%s\\$${word}$",
        "keyword": KEYWORDS.get(word, word),
    }[style]


@dataclass(frozen=True)
class Case:
    """What is built, what is captured of it, and how."""

    strategy: str
    kind: str
    form: ColumnForm
    features: tuple[Feature, ...] = ()
    style: str = "plain"
    key: str = "primary"  # primary, index or none
    layout: str = "range"  # of a partitioned table
    target: str = "t"
    on_dependents: str = "cascade"
    sealed: bool = False
    traffic: bool = False

    @property
    def column(self) -> str | None:
        return self.quoted("c") if self.strategy in COLUMN else None

    @property
    def is_dropped(self) -> bool:
        """Whether DROP is what it is compared with: nothing is dropped where all that depends stays."""
        return self.strategy != "rebuild_table" and self.on_dependents != "keep"

    @property
    def re_adds(self) -> bool:
        """Whether a column is added anew at the restore, and stands last then."""
        generated = any("GENERATED ALWAYS AS (" in feature.sql for feature in self.features)
        return self.strategy == "archive_column" or (
            self.strategy == "soft_drop_column" and generated
        )

    @property
    def published(self) -> bool:
        return any(feature.published for feature in self.features)

    @property
    def words(self) -> list[str]:
        """What this case covers, for the coverage table."""
        return [
            *dict.fromkeys(feature.name for feature in self.features),
            f"column: {self.form.group or self.form.name}",
            f"table: {self.kind}" + (f" by {self.layout}" if self.kind == PARTS else ""),
            f"names: {self.style}",
            f"key: {self.key}",
            f"dependents: {self.on_dependents}",
            *(["target: a part of the tree"] if self.target != "t" else []),
            *(["sealed"] if self.sealed else []),
            *(["live traffic"] if self.traffic else []),
        ]

    def raw(self, stem: str, number: str = "") -> str:
        return name_of(self.style, stem, number)

    def quoted(self, stem: str, number: str = "") -> str:
        return '"' + self.raw(stem, number).replace('"', '""') + '"'

    def sql(self, schema: str) -> str:
        """Return the statements that build it; roles are still psql variables."""
        parts = [WORLD, self._named(self.form.before, "", schema), self._table(schema)]
        parts.append(self._named(self.form.after, "", schema))
        parts += [
            self._named(feature.sql, str(number), schema)
            for number, feature in enumerate(self.features)
        ]
        return ";\n".join(part.rstrip("; \n") for part in parts if part.strip("; \n"))

    def _named(self, sql: str, number: str, schema: str) -> str:
        def name(found: re.Match[str]) -> str:
            stem = found[1].rstrip("#")
            own = number if found[1].endswith("#") else ""
            # publications and schemas belong to the database
            shared = stem.startswith(("pub", "side"))
            return self.quoted(stem, own + (f" of {schema}" if shared else ""))

        # within a literal, as for nextval('…'), quotes are doubled
        sql = re.sub(
            r"'\[[a-z]+[0-9]?#?\](\.\[[a-z]+[0-9]?#?\])?'",
            lambda m: "'" + re.sub(NAME, name, m[0][1:-1]).replace("'", "''") + "'",
            sql,
        )
        return re.sub(NAME, name, sql)

    def _table(self, schema: str) -> str:
        key = {"primary": " PRIMARY KEY", "index": " NOT NULL", "none": ""}[self.key]
        partition = {
            "range": "RANGE ([id])",
            "list": "LIST ([id])",
            "hash": "HASH ([id])",
            "columns": "RANGE ([a], [id])",
            "expression": 'RANGE (([id] + 0), [b] COLLATE "C")',
        }
        columns = (
            f"[id] int{key}, [a] int NOT NULL DEFAULT 1, [b] text, [c] {self.form.sql}, [up] int"
        )
        sql = f"CREATE TABLE [t] ({columns})"
        if self.kind == PARTS:
            sql += f" PARTITION BY {partition[self.layout]};{PARTITIONS[self.layout]}"
        elif self.kind in {CHILDREN, DECLARED}:
            sql += (
                ";CREATE TABLE [p1] () INHERITS ([t]); CREATE TABLE [p2] () INHERITS ([t]);"
                "CREATE TABLE [p3] () INHERITS ([p1])"
            )
        if self.kind == DECLARED:  # what had no parent for a moment has its columns by itself
            sql += "".join(f";ALTER TABLE [{p}] NO INHERIT [t]" for p in ("p1", "p2"))
            sql += "".join(f";ALTER TABLE [{p}] INHERIT [t]" for p in ("p1", "p2"))
        if self.key == "index" and self.layout == "expression" and self.kind == PARTS:
            sql += ";CREATE INDEX [onlykey] ON [t] ([id])"  # PostgreSQL takes no unique one
        elif self.key == "index" and self.layout == "columns" and self.kind == PARTS:
            sql += ";CREATE UNIQUE INDEX [onlykey] ON [t] ([id], [a])"
        elif self.key == "index":
            sql += ";CREATE UNIQUE INDEX [onlykey] ON [t] ([id])"
        return self._named(sql + ";" + self._rows(), "", schema)

    def _rows(self) -> str:
        statements = []
        for n in range(1, 10):
            where = (
                "[t]" if self.kind not in {CHILDREN, DECLARED} else ("[t]", "[p1]", "[p3]")[n // 4]
            )
            given = [str(n), str(n % 3 + 1), f"'b{n}'"]
            columns = ["[id]", "[a]", "[b]"]
            if self.form.values:
                columns.append("[c]")
                given.append(self.form.values[(n - 1) % len(self.form.values)])
            statements.append(
                f"INSERT INTO {where} ({', '.join(columns)}) VALUES ({', '.join(given)})"
            )
        return ";".join(statements)

    def smaller(self) -> list[Case]:
        """Return cases with a little less in them, the boldest first."""
        found = [
            replace(self, features=self.features[:n] + self.features[n + 1 :])
            for n in range(len(self.features))
        ]
        if self.style != "plain":
            found.append(replace(self, style="plain"))
        if self.form != FORMS[0] and self.form.number:
            found.append(replace(self, form=FORMS[0]))
        if self.kind != PLAIN and all(PLAIN in f.kinds for f in self.features):
            found.append(replace(self, kind=PLAIN, target="t"))
        if self.sealed or self.traffic:
            found.append(replace(self, sealed=False, traffic=False))
        return found


PARTITIONS = {
    "range": "CREATE TABLE [p1] PARTITION OF [t] FOR VALUES FROM (MINVALUE) TO (4);"
    "CREATE TABLE [p2] (junk int, LIKE [t] INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING "
    "CONSTRAINTS); ALTER TABLE [p2] DROP junk;"
    "ALTER TABLE [t] ATTACH PARTITION [p2] FOR VALUES FROM (4) TO (8);"
    "CREATE TABLE [p3] PARTITION OF [t] FOR VALUES FROM (8) TO (MAXVALUE) PARTITION BY LIST ([id]);"
    "CREATE TABLE [p4] PARTITION OF [p3] FOR VALUES IN (8); CREATE TABLE [p5] PARTITION OF [p3] DEFAULT",
    "list": "CREATE TABLE [p1] PARTITION OF [t] FOR VALUES IN (1, 2, 3, 4);"
    "CREATE TABLE [p2] PARTITION OF [t] DEFAULT",
    "columns": "CREATE TABLE [p1] PARTITION OF [t] FOR VALUES FROM (MINVALUE, MINVALUE) TO (2, 3);"
    "CREATE TABLE [p2] PARTITION OF [t] FOR VALUES FROM (2, 3) TO (3, MAXVALUE);"
    "CREATE TABLE [p3] PARTITION OF [t] DEFAULT",
    "expression": "CREATE TABLE [p1] PARTITION OF [t] FOR VALUES FROM (MINVALUE, MINVALUE) TO (4, 'b');"
    "CREATE TABLE [p2] PARTITION OF [t] FOR VALUES FROM (4, 'b') TO (MAXVALUE, MAXVALUE)",
    "hash": "CREATE TABLE [p1] PARTITION OF [t] FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE [p2] PARTITION OF [t] FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
}


def fits(feature: Feature, strategy: str, kind: str, form: ColumnForm, version: int) -> bool:
    """Whether a feature can stand in such a table, and be captured so."""
    return (
        version >= feature.since
        and feature.stands_in(kind)
        and strategy in feature.strategies
        and (form.number or not feature.number)
    )


def _one_key(chosen: list[Feature], must: Feature | None) -> list[Feature]:
    """Return the features without what asks for a second primary key, or for one by that name."""
    keyed = must if must is not None and must.keyed else None
    if keyed is None and not (must is not None and REFERS.search(must.sql)):
        keyed = next((f for f in chosen if f.keyed), None)
    return [f for f in chosen if f is keyed or not (f.keyed or (keyed and BY_KEY.search(f.sql)))]


@st.composite
def cases(draw: st.DrawFn, version: int, strategy: str, wanted: str | None = None) -> Case:
    """Draw a case of a strategy; with `wanted`, one that has this feature or form of the column."""
    must = next((f for f in ALL if f.name == wanted), None)
    kinds = [k for k in (PLAIN, PARTS, CHILDREN) if must is None or must.stands_in(k)]
    forms = [f for f in FORMS if version >= f.since and strategy in f.strategies]
    if wanted and wanted.startswith("column: "):
        forms = [f for f in forms if f"column: {f.group or f.name}" == wanted]
    elif must is not None and must.number:
        forms = [f for f in forms if f.number]
    form = draw(st.sampled_from(forms))
    # a generated column is computed again: it needs no key, and its table may have children
    copied = strategy == "archive_column" and not form.name.startswith("generated")
    if copied:  # of a table with children only where each of them keeps the column
        kinds = [DECLARED if k == CHILDREN else k for k in kinds]
    fit = [k for k in kinds if (CHILDREN if k == DECLARED else k) in form.kinds]
    kind = draw(st.sampled_from(fit or kinds[:1]))
    able = [f for f in ALL if fits(f, strategy, kind, form, version)]
    chosen = draw(st.lists(st.sampled_from(able), max_size=6, unique=True)) if able else []
    if must is not None and must not in chosen:
        chosen.insert(draw(st.integers(0, len(chosen))), must)
    chosen = _one_key(chosen, must)
    layout = draw(st.sampled_from(sorted(PARTITIONS)))
    if any(UNIQUE.search(f.sql) for f in chosen) or (copied and layout == "expression"):
        layout = {"columns": "range", "expression": "list"}.get(layout, layout)
    if any(f.keyed for f in chosen) or (kind == PARTS and layout in {"columns", "expression"}):
        keys = ["index"]
    elif kind != PLAIN or copied:
        keys = ["primary", "primary", "index"]
    else:
        keys = ["primary", "index", "none"]
    needs_key = any(REFERS.search(f.sql) for f in chosen)
    traffic = (
        draw(st.booleans())
        and strategy in COLUMN
        and not any(f.still or f.published for f in chosen)
    )
    return Case(
        strategy=strategy,
        kind=kind,
        form=form,
        features=tuple(chosen),
        style=draw(st.sampled_from(STYLES)),
        key="primary" if needs_key and "primary" in keys else draw(st.sampled_from(keys)),
        layout=layout,
        target=draw(st.sampled_from(["t", "t", "p1", "p2"]))
        if strategy in TABLE and kind != PLAIN and not any(f.whole for f in chosen)
        else "t",
        on_dependents=draw(
            st.sampled_from(
                ["keep", "keep", "refuse"]
                if any(f.kept for f in chosen)
                else ["cascade"] * 6 + ["refuse", "keep" if strategy in KEEPING else "refuse"]
            )
        ),
        sealed=draw(st.booleans()),
        traffic=traffic,
    )


def coverable(version: int) -> list[tuple[str, str]]:
    """Return each feature or form of a column with each strategy that can meet it."""
    found = []
    for strategy in STRATEGIES:
        found += [
            (feature.name, strategy)
            for feature in ALL
            if version >= feature.since and strategy in feature.strategies
        ]
        found += [
            (f"column: {form.group or form.name}", strategy)
            for form in FORMS
            if version >= form.since and strategy in form.strategies
        ]
    return list(dict.fromkeys(found))
