"""Columns: what ADD COLUMN and ALTER COLUMN … TYPE do, from their definition."""

from __future__ import annotations

import re
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.review.operations import More
from app.migrate.review.world import World, key, messages_in, parts_of, type_text, words
from app.migrate.risk import Lock, Mode, Reason
from app.recovery.core.names import quote

SERIALS = frozenset({"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"})
# PostgreSQL's own functions in defaults that are not volatile: ADD COLUMN calls them once.
_STEADY_TEXT = """
    now transaction_timestamp statement_timestamp current_setting current_database current_schema
    timezone date_trunc make_interval make_date to_char to_timestamp to_date lower upper md5 length
    coalesce concat format replace substring left right jsonb_build_object jsonb_build_array
    json_build_object json_build_array to_jsonb to_json array_fill int4range int8range numrange
    tsrange tstzrange daterange
"""
STEADY = frozenset(_STEADY_TEXT.split())
# Types that are no domains: of PostgreSQL, and of extensions that many use.
_KNOWN_TEXT = """
    smallint integer int bigint real double_precision numeric decimal money boolean char varchar
    text bytea date time timetz timestamp timestamptz interval uuid json jsonb xml inet cidr macaddr
    macaddr8 bit varbit point line lseg box path polygon circle tsvector tsquery oid regclass
    regproc regtype name int4range int8range numrange tsrange tstzrange daterange int4multirange
    int8multirange nummultirange tsmultirange tstzmultirange datemultirange jsonpath pg_lsn xid8
    int2 int4 int8 float4 float8 bool bpchar serial bigserial smallserial serial2 serial4 serial8
    citext hstore ltree geometry geography vector halfvec
"""
KNOWN = frozenset(_KNOWN_TEXT.split())


def describe_new_column(world: World, column: Any) -> More:
    """Return what ADD COLUMN does besides its short lock."""
    more = More()
    kinds = {constraint.contype: constraint for constraint in _constraints(column)}
    default = _default(kinds)
    _judge_values(world, column, kinds, default, more)
    computed = _is_computed(column, kinds)
    required = pg.CONSTR_NOTNULL in kinds or pg.CONSTR_PRIMARY in kinds
    if required and default is None and not computed:
        more.reasons.add(Reason.REQUIRED_COLUMN)
        more.hint = (
            "add the column without NOT NULL, or with a constant DEFAULT; fill it, then make it"
            " NOT NULL"
        )
    if required and computed:
        more.reasons.add(Reason.NOT_NULL)
    # PostgreSQL checks a foreign key where DEFAULT is written, even DEFAULT NULL
    filled = pg.CONSTR_DEFAULT in kinds or computed
    for kind, constraint in kinds.items():
        _judge_constraint(kind, constraint, more, filled=filled)
    return more


def _constraints(column: Any) -> list[Any]:
    return [node.constraint for node in column.constraints]


def _default(kinds: dict[int, Any]) -> Any | None:
    """Return the expression of DEFAULT; None is no default, and DEFAULT NULL is none either."""
    constraint = kinds.get(pg.CONSTR_DEFAULT)
    if constraint is None:
        return None
    inner = constraint.raw_expr
    while inner.WhichOneof("node") == "type_cast":
        inner = inner.type_cast.arg
    is_null = inner.WhichOneof("node") == "a_const" and inner.a_const.isnull
    return None if is_null else constraint.raw_expr


def _is_computed(column: Any, kinds: dict[int, Any]) -> bool:
    serial = words(column.type_name.names)[-1] in SERIALS
    return serial or pg.CONSTR_IDENTITY in kinds or pg.CONSTR_GENERATED in kinds


def _judge_values(
    world: World, column: Any, kinds: dict[int, Any], default: Any | None, more: More
) -> None:
    generated = kinds.get(pg.CONSTR_GENERATED)
    if generated is not None and generated.generated_kind == "v":
        return
    if generated is not None:
        _rewrite(more, "a stored generated column is computed for each row")
    elif _is_computed(column, kinds):
        _rewrite(more, "each row gets its own number")
    elif default is not None and is_volatile(world, default):
        _rewrite(more, "the default may differ in each row")
    elif is_maybe_domain(world, column.type_name):
        name = type_text(column.type_name)
        more.rewrites = True
        more.reasons.add(Reason.CHECK)
        more.notes.append(f"if {name} is a domain with constraints, PostgreSQL rewrites the table")


def _rewrite(more: More, why: str) -> None:
    more.rewrites = True
    more.reasons.add(Reason.BACKFILL)
    more.notes.append(why)
    more.hint = "add the column without it, fill it in batches, then set the default"


def is_volatile(world: World, expression: Any) -> bool:
    """Whether an expression may give another value for each row; unknown functions may."""
    calls = list(messages_in(expression, pg.FuncCall))
    known = STEADY | world.steady
    return any(words(call.funcname)[-1] not in known for call in calls)


def is_maybe_domain(world: World, type_name: Any) -> bool:
    """Whether the type may be a domain, as far as the text says."""
    parts = words(type_name.names)
    if type_name.array_bounds or parts[0] == "pg_catalog":
        return False
    return parts[-1] not in KNOWN and key(parts) not in world.types


def _judge_constraint(kind: int, constraint: Any, more: More, *, filled: bool) -> None:
    if kind == pg.CONSTR_CHECK:
        more.reasons.add(Reason.CHECK)
        more.scans = True
    elif kind in {pg.CONSTR_UNIQUE, pg.CONSTR_PRIMARY}:
        more.reasons.add(Reason.UNIQUE)
        more.scans = True
    elif kind == pg.CONSTR_FOREIGN:
        referenced = quote(parts_of(constraint.pktable))
        more.locks.append(Lock(Mode.SHARE_ROW_EXCLUSIVE, referenced))
        if filled:
            more.reasons.add(Reason.FOREIGN_KEY)
            more.scans = True


# ------------------------------------------------------------------------------------ ALTER … TYPE

_TYPE = re.compile(r"(?P<name>[^(\[]+)(?:\((?P<numbers>[\d,]+)\))?(?P<array>(\[\])*)")
_ORDER = ("smallint", "integer", "bigint", "numeric")
_PRECISE = frozenset({"timestamp", "timestamptz", "time", "timetz", "varbit", "varchar"})
_TEXTS = frozenset({"varchar", "text"})


def describe_type_change(old: str | None, new: str, *, using: bool) -> tuple[bool, bool]:
    """Return whether it rewrites the table, and whether values may be lost or not fit.

    `old` is None if it is not known.
    """
    if using:
        return True, True
    if old is None:
        return True, new != "text"
    one, other = _read(old), _read(new)
    if old == new or _only_relabels(one, other):
        return False, False
    return True, not _is_wider(one, other)


def _read(text: str) -> tuple[str, tuple[int, ...]]:
    match = _TYPE.fullmatch(text)
    if match is None or match["array"]:
        return text, ()
    name = "numeric" if match["name"] == "decimal" else match["name"]
    return name, tuple(int(number) for number in (match["numbers"] or "").split(",") if number)


def _only_relabels(old: tuple[str, tuple[int, ...]], new: tuple[str, tuple[int, ...]]) -> bool:
    """Whether PostgreSQL keeps the rows as they are."""
    (one, before), (other, after) = old, new
    if one in _TEXTS and other in _TEXTS:
        return not after or (one == "varchar" and bool(before) and before <= after)
    if (one, other) == ("cidr", "inet"):
        return True
    if one != other or one not in {*_PRECISE, "numeric"}:
        return False
    if one == "numeric":
        return not after or (
            len(before) == len(after) == 2 and before[1] == after[1] and before[0] <= after[0]
        )
    return not after or (bool(before) and before <= after)


def _is_wider(old: tuple[str, tuple[int, ...]], new: tuple[str, tuple[int, ...]]) -> bool:
    (one, _), (other, after) = old, new
    if other == "text":
        return True
    if one in _ORDER[:3] and other in _ORDER and not after:
        return _ORDER.index(other) >= _ORDER.index(one)
    return (one, other) in {("real", "double precision"), ("json", "jsonb"), ("date", "timestamp")}
