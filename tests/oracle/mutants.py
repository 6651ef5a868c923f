"""Faults put into the captures and restores on purpose: an oracle that misses one is not good enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.clusters import Server
from tests.oracle.features import PLAIN
from tests.oracle.forms import FORMS
from tests.oracle.generate import Case
from tests.oracle.journeys import Journey, Step
from tests.oracle.judges import literal
from tests.oracle.rare import ALL


@dataclass(frozen=True)
class Mutant:
    """One text of one installed function, replaced; and a case or a journey that must then go wrong."""

    function: str
    was: str
    becomes: str
    case: Case | Journey


def case(strategy: str, *features: str, form: str = "int", **options) -> Case:
    """Return a plain case with features by name."""
    return Case(
        strategy,
        PLAIN,
        next(f for f in FORMS if f.name == form),
        tuple(next(f for f in ALL if f.name == name) for name in features),
        **options,
    )


def parking(what: str) -> Step:
    """Return the step that soft-drops a column."""
    return Step("capture", what, False, 0, False)


MUTANTS = {
    "an owner's functions find nothing": Mutant(
        "_owner_path",
        "ARRAY['pg_catalog'] || zanith._owner_schemas(d, choices)",
        "ARRAY['pg_catalog']",
        case("archive_column", "path in check"),
    ),
    "a soft-dropped column keeps its default": Mutant(
        "_render_soft_drop_column",
        "p.part #>> '{column,default}' IS NOT NULL",
        "false",
        case("soft_drop_column", form="default"),
    ),
    "what a foreign key does on delete is lost": Mutant(
        "_foreign_key_clause",
        "key ->> 'on_delete' <> 'NO ACTION'",
        "false",
        case("archive_column", "foreign key"),
    ),
    "a comment is lost": Mutant(
        "_render_comment", "comment IS NULL", "true", case("archive_column", "comments")
    ),
    "a unique index is left on a parked column": Mutant(
        "_render_soft_drop_column",
        "WHERE NOT (i.item ->> 'plain')::boolean",
        "WHERE false",
        case("soft_drop_column", "unique index"),
    ),
    "grants on a parked column stay": Mutant(
        "_render_revokes",
        "WHERE g.item ->> 'grantee' IS DISTINCT FROM owner",
        "WHERE false",
        case("soft_drop_column", "column grants"),
    ),
    "a sequence starts anew": Mutant(
        "_render_position",
        "sequence ->> 'last_value'",
        "'1'",
        case("archive_column", form="identity always"),
    ),
    "INITIALLY DEFERRED is lost": Mutant(
        "_foreign_key_clause",
        "(key ->> 'deferred')::boolean",
        "false",
        case("soft_drop_column", "foreign key deferred"),
    ),
    "ENABLE ALWAYS becomes ENABLE": Mutant(
        "_update_side_effects",
        "'ENABLE ALWAYS'",
        "'ENABLE'",
        case("archive_column", "trigger always"),
    ),
    "a constraint that was NOT VALID is validated": Mutant(
        "_render_constraint",
        "AND (con ->> 'validated')::boolean",
        "",
        case("archive_column", "check not valid"),
    ),
    "foreign keys from other tables stay": Mutant(
        "_render_move_table",
        "|| zanith._render_constraints_off(d -> 'references')",
        "",
        case("archive_table", "referenced by key"),
    ),
    "names of indexes are not freed": Mutant(
        "_render_park_member",
        "|| zanith._render_renames(m -> 'renames', NULL)",
        "",
        case("soft_drop_table", "index"),
    ),
    "a view comes back without its grants": Mutant(
        "_render_view",
        "zanith._render_relation_grants_anew(view -> 'grants', 'TABLE', q.name, view ->> 'owner')",
        "'[]'::jsonb",
        case("archive_column", "view"),
    ),
}

# Faults that one capture and its restore do not show.
MUTANTS_ON_THE_WAY = {
    "an index of two columns returns with the first": Mutant(
        "_render_renames_back",
        "THEN n.steps\n            ELSE '[]' END) s",
        "THEN n.steps\n            ELSE n.steps END) s",
        Journey(
            case("soft_drop_column", "index of two"),
            (parking("c"), parking("b"), Step("restore", "", False, 1, False)),
        ),
    ),
    "a purge leaves the column": Mutant(
        "_render_purge",
        "ALTER TABLE %s DROP COLUMN %I",
        "COMMENT ON COLUMN %s.%I IS NULL",
        Journey(case("soft_drop_column"), (parking("c"), Step("purge", "", False, 0, False))),
    ),
}


class NotThere(Exception):
    """A mutant's text is not in the function any more: the mutant proves nothing."""


@contextmanager
def mutated(server: Server, template: str, name: str, mutant: Mutant) -> Iterator[str]:
    """Lend a template database in which the function has the fault."""
    server.create_database(name, template)
    try:
        found = server.psql(
            name,
            "SELECT pg_get_functiondef(p.oid) FROM pg_proc p "
            f"WHERE p.pronamespace = 'zanith'::regnamespace AND p.proname = {literal(mutant.function)}",
        )
        if mutant.was not in found:
            raise NotThere(f"zanith.{mutant.function} has no {mutant.was!r}")
        server.psql(name, found.replace(mutant.was, mutant.becomes))
        yield name
    finally:
        server.psql("postgres", f"DROP DATABASE {name} WITH (FORCE)")
