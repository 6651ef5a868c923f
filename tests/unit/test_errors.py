"""What the server and the system say, as our errors."""

import asyncio
import errno

import asyncpg
import pytest

from app.recovery.core.errors import (
    Cancelled,
    Failed,
    Locked,
    NotFound,
    NotPermitted,
    Refused,
    WrongUsage,
    ZanithError,
)
from app.recovery.core.translate import translate


def test_the_docstring_is_the_default_message():
    assert Locked().message == "Somebody else is at work on it."


def test_as_dict():
    error = Refused("no", detail="d", hint="h", sqlstate="2BP01")
    assert error.as_dict() == {
        "code": "refused",
        "message": "no",
        "detail": "d",
        "hint": "h",
        "sqlstate": "2BP01",
    }


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("42501", NotPermitted),
        ("28P01", NotPermitted),
        ("55P03", Locked),
        ("40P01", Locked),
        ("42P01", NotFound),
        ("42703", NotFound),
        ("3F000", NotFound),
        ("3D000", NotFound),
        ("22023", WrongUsage),
        ("2BP01", Refused),
        ("0A000", Refused),
        ("55000", Refused),
        ("23505", Refused),
        ("25006", Refused),
        ("57014", Cancelled),
        ("57P01", Failed),
        ("53100", Failed),
        ("XX000", Failed),
    ],
)
def test_states_of_the_server(state, kind):
    exc = asyncpg.PostgresError.new({"C": state, "M": "said", "D": "more", "H": "do that"})
    error = translate(exc)
    assert type(error) is kind
    assert (error.message, error.detail, error.hint) == ("said", "more", "do that")
    assert error.sqlstate == state


@pytest.mark.parametrize(
    ("exc", "kind", "hint"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
            Failed,
            "the server is running",
        ),
        (TimeoutError(), Failed, "the server is running"),
        (asyncpg.InterfaceError("x"), Failed, "the server is running"),
        (asyncpg.AdminShutdownError("x"), Failed, "the server is running"),
        (OSError(errno.ENOSPC, "No space left"), Failed, "free space"),
        (PermissionError(errno.EACCES, "denied", "/nope"), Failed, "/nope"),
        (asyncio.CancelledError(), Cancelled, ""),
        (ValueError("secret"), Failed, "report"),
    ],
)
def test_other_trouble(exc, kind, hint):
    error = translate(exc)
    assert type(error) is kind
    assert hint in (error.hint or "")
    assert "secret" not in str(error.as_dict())


def test_ours_stay_as_they_are():
    error = ZanithError("x")
    assert translate(error) is error


OURS = "PL/pgSQL function zanith._capture(text,regclass,text) line 12 at PERFORM"
SANDBOX = "PL/pgSQL function pg_temp_3._zanith_run(text,text,text,boolean) line 9 at EXECUTE"
BLOCK = "PL/pgSQL function inline_code_block line 3 at SQL statement"
THEIRS = "PL/pgSQL function public.tell(text) line 3 at PERFORM"
STATEMENT = 'SQL statement "SELECT 1 FROM public.nowhere"'


@pytest.mark.parametrize(
    ("chain", "theirs"),
    [
        ((), False),
        ((OURS,), False),
        ((STATEMENT, OURS, OURS), False),
        ((STATEMENT, SANDBOX, OURS), False),
        ((BLOCK, SANDBOX), False),
        ((THEIRS,), True),
        ((OURS, THEIRS), True),
        ((STATEMENT, THEIRS, OURS), True),
        (("PL/pgSQL function tell(text) line 3 at PERFORM",), True),
        (("PL/pgSQL function archive_column(regclass,text) line 2 at RETURN",), True),
        (('PL/pgSQL function "zanith.x".tell(text) line 3 at PERFORM',), True),
        (("PL/pgSQL function zanith_of_theirs.tell(text) line 3 at PERFORM",), True),
        (("PL/pgSQL function pg_temp_3.tell(text) line 3 at PERFORM",), True),
        (("PL/Perl function public.tell",), True),
        (('SQL function "archive_column" statement 1', OURS), True),
        ((OURS, 'SQL function "tell" statement 1'), True),
    ],
)
def test_what_is_missing_in_somebodys_function_is_nothing_that_the_caller_named(chain, theirs):
    """Where a function of somebody's is in the chain, the state says nothing of the caller."""
    for state, kind in (("42P01", NotFound), ("42501", NotPermitted), ("22023", WrongUsage)):
        fields = {"C": state, "M": "said", "W": "\n".join(chain), "F": "parse_relation.c"}
        error = translate(asyncpg.PostgresError.new(fields))
        assert type(error) is (Refused if theirs else kind), (state, chain)
