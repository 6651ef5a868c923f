"""How a hook says whom it ran as: a line of the server's log.

A log line survives a rollback, is written in a read-only transaction too, cannot fail, and reaches us from
autovacuum as from anybody. `harm.note` writes one line: the database, the hook, the role that it ran as, the
role that it became by leaving that one, and the session's role. The log adds the statement of ours under which
it ran.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.conftest import Database

MARK = re.compile(r"HOSTILE>(\w+)\|([^|]*)\|([^|]*)\|([^|]*)\|([^<]*)<")
HEAD = re.compile(rb"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \w+ \[(\d+)\] ", re.MULTILINE)

# {owner} is the owner's role. The trap is immutable, so that it may stand anywhere; what it calls need not be.
# PostgreSQL evaluates a call of it with constants once a plan, and plans the body of a function and the checks of a
# domain once a session: there `harm.tell` stands, which is volatile and reports each time.
# Each try to leave the role is undone, so that the engine goes on as if nothing had happened.
TRAP = """
CREATE FUNCTION harm.mischief(hook text) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION harm.note(hook text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
DECLARE
    ran text := current_user;
    became text := current_user;
    setting text[];
BEGIN
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
        ['role', 'none'], ['session_authorization', session_user], ['role', session_user]] LOOP
        EXIT WHEN became <> '{owner}';
        BEGIN
            PERFORM set_config(setting[1], setting[2], true);
            became := current_user;
            RAISE EXCEPTION 'undo';
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    RAISE LOG 'HOSTILE>%|%|%|%|%<', current_database(), hook, ran, became, session_user;
    IF became = '{owner}' THEN
        BEGIN PERFORM harm.mischief(hook); EXCEPTION WHEN OTHERS THEN NULL; END;
    END IF;
    RETURN true;
END $f$;
CREATE FUNCTION harm.tell(hook text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS
    $f$ BEGIN RETURN harm.note(hook); END $f$;
CREATE FUNCTION harm.tap(hook text, v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.note(hook); RETURN v; END $f$;
CREATE FUNCTION harm.tap(hook text, v text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.note(hook); RETURN v; END $f$;
"""


@dataclass(frozen=True)
class Seen:
    """One line: a hook ran as a role, could become another, under a statement."""

    hook: str
    ran: str
    became: str
    session: str
    statement: str

    def escaped(self, owner: str) -> bool:
        """Whether it ran as somebody else, or could."""
        return {self.ran, self.became} != {owner}


class Trap:
    """What the hooks of one database wrote since this was made, or since it was last read."""

    def __init__(self, database: Database, owner: str) -> None:
        self._log = database.server.directory / "log"
        self._database = database.name
        self.owner = owner
        self._position = self._log.stat().st_size

    def read(self) -> list[Seen]:
        """Return what was written since the last call."""
        with self._log.open("rb") as file:
            file.seek(self._position)
            text = file.read()
        self._position += len(text)
        return list(self._parse(text))

    def escapes(self) -> list[Seen]:
        """Return what ran as another than the owner since the last call."""
        return [seen for seen in self.read() if seen.escaped(self.owner)]

    def _parse(self, text: bytes) -> Iterable[Seen]:
        heads = list(HEAD.finditer(text))
        ends = [*(head.start() for head in heads[1:]), len(text)][: len(heads)]
        entries = [
            (head[1], text[head.end() : end].decode("utf-8", "replace"))
            for head, end in zip(heads, ends, strict=True)
        ]
        for number, (pid, entry) in enumerate(entries):
            found = MARK.search(entry.split("\n", 1)[0])
            if found is None or found[1] != self._database:
                continue
            statement = ""
            for other, line in entries[number + 1 : number + 12]:
                _, _, rest = line.partition(" ")
                # "user@database STATEMENT:  …"
                if other == pid and rest.startswith("STATEMENT:"):
                    statement = " ".join(rest.removeprefix("STATEMENT:").split())[:160]
                    break
                if other == pid and rest.startswith("LOG:"):
                    break
            yield Seen(found[2], found[3], found[4], found[5], statement)


def describe(escapes: Iterable[Seen]) -> str:
    """Return escapes as lines for a failing test, each kind once."""
    kinds = Counter(
        f"{seen.hook}: ran as {seen.ran}, became {seen.became}, under: {seen.statement or '?'}"
        for seen in escapes
    )
    return "\n".join(f"{count:4} × {kind}" for kind, count in kinds.most_common(40))
