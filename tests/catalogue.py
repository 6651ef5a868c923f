"""Every page of the studio, in every state worth seeing: one list for the pictures and the tests.

A new page gets one line here, and is then drawn, judged for accessibility, measured, and searched
for anything that data made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import quote

from playwright.async_api import Page

from app.routes.rendering import link, migration_link
from tests.hard_cases import DEPLOY, HardCases
from tests.hard_migrations import FAILED, FORTY, INTERRUPTED, LONG, REFUSED

SNAPSHOTS = {"before": f"{FORTY}:before", "after": "live"}
Path = Callable[[HardCases], str]
Act = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class Shown:
    """One page in one state: where it is, who looks, what is done there, what must be seen."""

    name: str
    path: Path
    sees: str
    where: str = "hard"  # "hard", "bare" (nothing parked) or "standby"
    who: str = "staff"  # "staff", "viewer" or "nobody"
    act: Act | None = None

    @property
    def key(self) -> str:
        """The name under which it is drawn."""
        return self.name.replace(" ", "-")


def at(path: str) -> Path:
    """Return the builder of an address that is the same in every database."""
    return lambda _: path


def of(name: str, rest: str = "") -> Path:
    """Return the builder of an artifact's page."""
    return lambda cases: f"/studio/artifacts/{cases.artifacts[name]}{rest}"


def job(name: str) -> Path:
    """Return the builder of a job's page."""
    return lambda cases: f"/studio/jobs/{cases.jobs[name]}"


def pending(name: str) -> Path:
    """Return the builder of the page of a pending migration."""
    return at(link("/studio/pending", {"id": name}))


def approval(name: str) -> Path:
    """Return the builder of a request's page."""
    return lambda cases: f"/studio/approvals/{cases.approvals[name]}"


def export(name: str) -> Path:
    """Return the builder of an export's page."""
    return lambda cases: f"/studio/exports/{cases.exports[name]}"


def typing(label: str, text: str, button: str) -> Act:
    """Return what fills one field and presses one button."""

    async def act(page: Page) -> None:
        await page.get_by_label(label).fill(text)
        await page.get_by_role("button", name=button, exact=True).click()
        await page.wait_for_load_state("networkidle")

    return act


async def ask_rows(page: Page) -> None:
    """Ask the rows whether they let the migrations run."""
    await page.get_by_role("button", name="Ask the rows").click()
    await page.locator("#rows .badge").first.wait_for()


async def rehearse(page: Page) -> None:
    """Run the restore and roll it back."""
    await page.get_by_role("button", name="Rehearse").click()
    await page.get_by_text("Rehearsed, and rolled back").wait_for()


async def look(page: Page) -> None:
    """Ask what an erasure would take."""
    await page.get_by_label("Column", exact=True).select_option(index=1)
    await page.get_by_label("is exactly").first.fill("1")
    await page.get_by_role("button", name="Show the matching rows").click()
    await page.locator("#plan-title").wait_for()


async def find_row(page: Page) -> None:
    """Search the rows by a key."""
    await page.get_by_label("Column", exact=True).select_option("id")
    await page.get_by_label("Value").first.fill("1")
    await page.get_by_role("button", name="Search").click()
    await page.locator("#found-title").wait_for()


async def find_wrong(page: Page) -> None:
    """Search by a value of the wrong type."""
    await page.get_by_label("Column", exact=True).select_option("id")
    await page.get_by_label("Value").first.fill("one")
    await page.get_by_role("button", name="Search").click()
    await page.locator("#wrong-0").wait_for()


async def choose_row(page: Page) -> None:
    """Look at the plan for a row that was found."""
    await find_row(page)
    await page.get_by_role("checkbox", name="1", exact=True).check()
    await page.get_by_role("button", name="Put the ticked rows back").click()
    await page.locator("#plan-title").wait_for()


async def hold_one(page: Page) -> None:
    """Hold one."""
    await page.get_by_label("Tick ", exact=False).nth(2).check()
    await page.get_by_role("button", name="Hold", exact=True).click()
    await page.get_by_role("heading", name="Hold 1 artifact").wait_for()


async def jump(page: Page) -> None:
    """Open the dialog that leads to anything, and type a part of a name."""
    await page.keyboard.press("/")
    await page.keyboard.type("orders")
    await page.locator("#jump [role=option]").first.wait_for()


async def hold_all(page: Page) -> None:
    """Ask to hold all that match."""
    await page.get_by_label("Select all").check()
    await page.get_by_role("button", name="Hold", exact=True).click()
    await page.get_by_role("heading", name="Hold all").wait_for()


async def measure(page: Page) -> None:
    """Ask which share of all drops is recoverable, and wait for the answer."""
    await page.get_by_role("button", name="Measure").click()
    await page.get_by_role("heading", name="are recoverable").wait_for()


async def verify_some(page: Page) -> None:
    """Verify all of the first page, and wait for the last of them."""
    await page.goto(page.url.split("?")[0] + "?type=archive_column&limit=8")
    await page.get_by_label("Tick all on this page").check()
    await page.get_by_role("button", name="Verify", exact=True).click()
    await page.get_by_text("Finished:").wait_for()


_LISTS = (
    Shown("artifacts", at("/studio"), "Dropped columns and tables that you can restore"),
    Shown("artifacts by size", at("/studio?sort=size&limit=5"), "1–5 of"),
    Shown("artifacts filtered", at("/studio?type=archive_table&search=0"), "Show all"),
    Shown("artifacts without a match", at("/studio?search=nothing+like+it"), "No artifact matches"),
    Shown("artifacts with every filter", at("/studio?held=yes&who=o"), "More filters (2 set)"),
    Shown("search", at("/studio/search?q=orders"), "results"),
    Shown(
        "search without a match", at("/studio/search?q=nothing+like+it"), "Nothing has that name"
    ),
    Shown("go to", at("/studio/jobs"), "Go to an artifact", act=jump),
    Shown("artifacts damaged", at("/studio?health=damaged"), "legacy_code"),
    Shown("cleanup", at("/studio/cleanup"), "Choose the artifacts"),
    Shown(
        "cleanup of everything",
        at("/studio/cleanup?older_than=0s&before_expiry=yes"),
        "for good, freeing",
    ),
    Shown("cleanup of expired", at("/studio/cleanup?expired=yes"), "public.expired"),
    Shown("cleanup of nothing", at("/studio/cleanup?older_than=999d"), "Nothing to clean up"),
    Shown("cleanup misread", at("/studio/cleanup?older_than=soon"), "soon"),
    Shown(
        "cleanup of chosen", lambda c: "/studio/cleanup?chosen=" + c.artifacts["values"], "for good"
    ),
    Shown("tables", at("/studio/capture"), "Choose a table"),
    Shown(
        "tables without a match", at("/studio/capture?search=nothing+like+it"), "No table matches"
    ),
    Shown("coverage", at("/studio/coverage"), "PostgreSQL would carry out", act=measure),
    Shown("guard", at("/studio/guard"), "Deleted for good"),
    Shown("webhooks", at("/studio/webhooks"), "did not arrive"),
    Shown("webhooks without a receiver", at("/studio/webhooks"), "No receiver yet", "bare"),
    Shown("columns", at("/studio/capture?schema=public&table=orders"), "Or one column"),
    Shown(
        "ways to drop a table",
        at(
            "/studio/capture?schema=public&table=orders&strategy=archive_table&on_dependents=cascade"
        ),
        "Steps",
    ),
    Shown(
        "ways to drop a column",
        at("/studio/capture?schema=public&table=orders&column=id&strategy=archive_column"),
        "Strategy",
    ),
    Shown(
        "ways to drop online",
        at(
            "/studio/capture?schema=public&table=orders&column=fax&strategy=archive_column&online=yes"
        ),
        "while reads and writes go on",
    ),
    Shown(
        "no such table",
        at("/studio/capture?schema=public&table=" + quote("<b>x</b>")),
        "Nothing here",
    ),
    Shown("report", lambda c: f"/studio/jobs/{c.jobs['restored']}/report", "Longest lock"),
    Shown("migrations", at("/studio/migrations"), "What each migration dropped"),
    Shown(
        "migrations without a match",
        at("/studio/migrations?search=nothing+like+it"),
        "No migration matches",
    ),
    Shown("deploy", at(migration_link(DEPLOY)), "40 objects left to restore"),
    Shown("deploy planned", at(migration_link(DEPLOY, {"plan": "yes"})), "All of it can be"),
    Shown(
        "deploy not confirmed",
        at(migration_link("small", {"plan": "yes"})),
        "Not confirmed",
        act=typing("Type small", "smaller", "Restore all"),
    ),
    Shown("pending migrations", at("/studio/pending"), "4 migrations pending"),
    Shown("pending without a directory", at("/studio/pending"), "No directory", "bare"),
    Shown("pending interrupted", pending(INTERRUPTED), "interrupted"),
    Shown("pending failed", pending(FAILED), "failed"),
    Shown("pending long", pending(LONG), "pending migrations run before it"),
    Shown("pending with rows", pending(LONG), "would fail", act=ask_rows),
    Shown("pending refused", pending(REFUSED), "It cannot be applied now"),
    Shown(
        "pending not confirmed",
        pending(LONG),
        "Not confirmed",
        act=typing(f"Type {LONG}", "another", "Apply"),
    ),
    Shown("applied migrations", at("/studio/history"), "Each run of a migration"),
    Shown("applied migrations of none", at("/studio/history"), "No migration ran yet", "bare"),
    Shown("applied migration of HTML", at("/studio/history/2"), "Undo this deploy"),
    Shown("applied migration of forty", at("/studio/history/3"), "deployed.parcels.step_39"),
    Shown("applied migration failed", at("/studio/history/4"), "undone"),
    Shown("applied migration interrupted", at("/studio/history/5"), "interrupted"),
    Shown("schema history", at("/studio/schema"), "Pick two points in time"),
    Shown("schema history of none", at("/studio/schema"), "No snapshot is stored yet", "bare"),
    Shown("schema changed", at(link("/studio/schema", SNAPSHOTS)), "As SQL"),
    Shown("schema of no snapshot", at("/studio/schema?before=99999"), "There is no snapshot"),
    Shown("job deploy", at("/studio/jobs/dep10000000running"), "statement 4 of 40"),
    Shown("job deployed", at("/studio/jobs/dep2000000000done"), "Applied."),
    Shown("job deploy failed", at("/studio/jobs/dep300000000failed"), "it does not exist"),
    Shown("job verified on a shadow", at("/studio/jobs/ver1000000000done"), "Verdict: ok"),
    Shown("job not verified on a shadow", at("/studio/jobs/ver20000000failed"), "down_differs"),
    Shown("job without a verdict", at("/studio/jobs/ver3000000nothing"), "No verdict"),
    Shown("approvals", at("/studio/approvals"), "To decide"),
    Shown("approval to decide", approval("pending"), "Type public.visits.code to approve it"),
    Shown("approval of an own request", approval("own"), "You asked for it"),
    Shown("approval given", approval("approved"), "It may run now"),
    Shown("approval rejected", approval("rejected"), "rejected"),
    Shown("approval of another plan", approval("changed"), "What changed is marked below"),
    Shown("approval that lapsed", approval("lapsed"), "lapsed"),
    Shown("approval of an erasure", approval("erase"), "It is recorded nowhere"),
    Shown("approval of a restore", approval("unverified"), "Restore without the seal"),
    Shown("jobs", at("/studio/jobs"), "Running and finished"),
    Shown("jobs live", at("/studio/jobs?state=live"), "running"),
    Shown("jobs without a match", at("/studio/jobs?kind=erase"), "No jobs here"),
    Shown("activity", at("/studio/activity"), "Audit log"),
    Shown("activity refused", at("/studio/activity?outcome=refused"), "refused"),
    Shown("jobs with a mismatch", at("/studio/jobs?state=mismatch"), "mismatch"),
    Shown("activity with a mismatch", at("/studio/activity?outcome=mismatch"), "mismatch"),
    Shown("activity without a match", at("/studio/activity?actor=nobody"), "No entry matches"),
)

_ARTIFACTS = (
    Shown("restored column", of("restored"), "Fidelity"),
    Shown("damaged column", of("damaged"), "did not match its seal"),
    Shown("missing table", of("missing"), "missing"),
    Shown("moved table", of("moved"), "moved"),
    Shown("held column", of("held"), "Release the hold"),
    Shown("expired table", of("expired"), "expired"),
    Shown("unsealed table", of("unsealed"), "Not sealed yet"),
    Shown("taken name", of("taken"), "exists now"),
    Shown("lacking function", of("lacking"), "middling"),
    Shown("column with drift", of("drift"), "would hold NULL"),
    Shown("column with twice a key", of("twice"), "no longer has a unique key"),
    Shown("column under a lock", of("locked"), "public.carts.note"),
    Shown("cascade", of("cascade"), "base_2"),
    Shown("published table", of("published"), "public.published"),
    Shown("rebuilt table", of("rebuilt"), "Definition then, and now"),
    Shown("definition only", of("definition"), "only the definition was kept"),
    Shown("partitioned table", of("partitions"), "public.parts"),
    Shown("purged table", of("purged"), "Tombstone"),
    Shown("long id and reason", of("values"), "and_then_some_more"),
    Shown("name with HTML", of("image"), "<img src=x onerror=alert(1)>"),
    Shown("name with a script", of("script"), "<script>alert(1)</script>"),
    Shown("longest name", of("longest"), "customer_lifetime_value"),
    Shown("name with a newline", of("newline"), "second line"),
    Shown("name from right to left", of("rtl"), "\u05e9"),
    Shown("name with quotes", of("quotes"), "quoted"),
)

_BELOW = (
    Shown("rows of hard values", of("values", "/rows"), "Rows of"),
    Shown("rows found", of("values", "/rows"), "1 row found", act=find_row),
    Shown("rows not found", of("values", "/rows"), "is not a value of type", act=find_wrong),
    Shown("rows to put back", of("restored", "/rows"), "0 of 1 row would be", act=choose_row),
    Shown("values without a row", of("drift", "/left"), "no row with their key"),
    Shown("then and now", of("rebuilt", "/diff"), "currency"),
    Shown("then and now of the gone", of("cascade", "/diff"), "Nothing has the name now"),
    Shown("then and now of HTML", of("image", "/diff"), "<img src=x onerror=alert(1)>"),
    Shown("rows of an empty table", of("empty", "/rows"), "It was empty"),
    Shown("rows of a definition", of("definition", "/rows"), "only the definition was kept"),
    Shown("rows of what is live", of("restored", "/rows"), "Rows of"),
    Shown("restore", of("cascade", "/restore"), "There is no conflict"),
    Shown("restore rehearsed", of("published", "/restore"), "Rehearsed", act=rehearse),
    Shown("restore with drift", of("drift", "/restore"), "cannot run yet"),
    Shown("restore with choices", of("drift", "/restore?fill_with=value&fill=x&as=b"), "Steps"),
    Shown("restore online", of("drift", "/restore?online=yes"), "in batches"),
    Shown("restore of a taken name", of("taken", "/restore"), "exists now"),
    Shown("restore as another", of("taken", "/restore?as=taken_before"), "taken_before"),
    Shown("restore as no name", of("taken", "/restore?as=" + "x" * 99), "x" * 63),
    Shown("restore of the damaged", of("damaged", "/restore"), "seal"),
    Shown("restore of the lacking", of("lacking", "/restore"), "middling"),
    Shown("restore of the restored", of("restored", "/restore"), "It was restored"),
    Shown("restore of HTML", of("image", "/restore"), "<img src=x onerror=alert(1)>"),
    Shown(
        "restore not confirmed", of("empty", "/restore"), "Not confirmed: nothing was changed",
        act=typing("to restore it", "another", "Restore"),
    ),
    Shown("erase", of("values", "/erase"), "one person's rows"),
    Shown("erase of a soft-dropped column", of("held", "/erase"), "still in their table"),
    Shown("erase looked at", of("values", "/erase"), "1 row matches", act=look),
    Shown("several held", at("/studio"), "1 of 1 held", act=hold_one),
    Shown("all that match", at("/studio?limit=5&held=no"), "The filter: on hold no", act=hold_all),
    Shown("several verified", at("/studio"), "Finished:", act=verify_some),
    Shown("export form", of("values", "/export"), "Earlier exports"),
    Shown("export form of HTML", of("image", "/export"), "<img src=x onerror=alert(1)>"),
    Shown("purge", of("cascade", "/purge"), "Delete it for good"),
    Shown("purge of the held", of("held", "/purge"), "held"),
    Shown("purge of the restored", of("restored", "/purge"), "only its archive is deleted"),
    Shown("purge of HTML", of("script", "/purge"), "<script>alert(1)</script>"),
    Shown(
        "purge not confirmed", of("empty", "/purge"), "Not confirmed: nothing was changed",
        act=typing("to delete it for good", "another", "Purge"),
    ),
    Shown("job waiting for a lock", job("running"), "Waiting for a lock"),
    Shown("job sealing", job("sealing"), "Bytes"),
    Shown("job failed", job("failed"), "failed"),
    Shown("job refused", job("refused"), "refused"),
    Shown("job cancelled", job("cancelled"), "cancelled"),
    Shown("job interrupted", job("interrupted"), "interrupted"),
    Shown("job online", job("online"), "copy key and value"),
    Shown("job resting", job("resting"), "paused by vic"),
    Shown("job half done", job("half done"), "Resume it"),
    Shown("job restored", job("restored"), "Fidelity"),
    Shown("job cleanup", job("cleaned"), "Purged 1 of 3"),
    Shown("job purge", job("purged"), "Purged."),
    Shown("job seal", job("sealed"), "Sealed."),
    Shown("job verified", job("verified"), "Untouched."),
    Shown("job not verified", job("unverified"), "does not match its seal"),
    Shown("export equal", export("equal"), "It equals the seal."),
    Shown("export unequal", export("unequal"), "It does not equal the seal."),
    Shown("export packed", export("packed"), "zstd -dc"),
    Shown("export waiting", export("waiting"), "waiting for the download to begin"),
)  # fmt: skip

_ERRORS = (
    Shown("login", at("/studio/login"), "Sign in", who="nobody"),
    Shown(
        "login refused", at("/studio/login"), "That token is not known", who="nobody",
        act=typing("Token", "a guess", "Sign in"),
    ),
    Shown("nothing here", at("/studio/nowhere/" + quote("<b>x</b>")), "Nothing here"),
    Shown("no such artifact", at("/studio/artifacts/" + "z" * 80), "Nothing here"),
    Shown("no such job", at("/studio/jobs/none"), "Nothing here"),
    Shown("wrong method", at("/studio/logout"), "Method not allowed"),
    Shown("wrong filter", at("/studio?type=" + quote("<b>none</b>")), "There is no type"),
    Shown("wrong number", at("/studio?limit=0"), "The request is not valid"),
)  # fmt: skip


def _viewed() -> tuple[Shown, ...]:
    """What a viewer meets on the pages where staff could change something."""
    said = "signed in as a viewer"
    pages: tuple[tuple[str, Path], ...] = (
        ("artifacts", at("/studio")),
        ("artifact", of("cascade")),
        ("held column", of("held")),
        ("unsealed table", of("unsealed")),
        ("purged table", of("purged")),
        ("rows", of("values", "/rows")),
        ("restore", of("cascade", "/restore")),
        ("export form", of("values", "/export")),
        ("purge", of("cascade", "/purge")),
        ("cleanup", at("/studio/cleanup?older_than=0s&before_expiry=yes")),
        ("ways to drop", at("/studio/capture?schema=public&table=orders&strategy=archive_table")),
        ("erase", of("values", "/erase")),
        ("guard", at("/studio/guard")),
        ("migration", at(migration_link("small", {"plan": "yes"}))),
        ("approvals", at("/studio/approvals")),
        ("approval", approval("pending")),
        ("pending", pending(LONG)),
        ("jobs", at("/studio/jobs")),
        ("job", job("running")),
        ("export", export("equal")),
        ("activity", at("/studio/activity")),
        ("nothing here", at("/studio/nowhere")),
    )
    return tuple(Shown(f"viewer {name}", path, said, who="viewer") for name, path in pages)


_BARE = (
    Shown("bare artifacts", at("/studio"), "Nothing is parked yet", where="bare"),
    Shown(
        "bare cleanup",
        at("/studio/cleanup?older_than=0s&before_expiry=yes"),
        "Nothing to clean",
        where="bare",
    ),
    Shown("coverage not measured", at("/studio/coverage"), "Not measured yet", where="bare"),
    Shown("guard off", at("/studio/guard"), "The guard is off", where="bare"),
    Shown("bare jobs", at("/studio/jobs"), "No jobs here", where="bare"),
    Shown("bare activity", at("/studio/activity?action=purge"), "No entry matches", where="bare"),
)

_STANDBY = tuple(
    Shown(f"standby {name}", path, "This server is a standby", where="standby")
    for name, path in (
        ("artifacts", at("/studio")),
        ("artifact", of("cascade")),
        ("restore", of("cascade", "/restore")),
        ("purge", of("cascade", "/purge")),
        ("cleanup", at("/studio/cleanup?older_than=0s&before_expiry=yes")),
        ("ways to drop", at("/studio/capture?schema=public&table=orders&strategy=archive_table")),
        ("pending", pending(LONG)),
        ("jobs", at("/studio/jobs")),
    )
)

CATALOGUE = (*_LISTS, *_ARTIFACTS, *_BELOW, *_ERRORS, *_viewed(), *_BARE, *_STANDBY)
assert len({shown.key for shown in CATALOGUE}) == len(CATALOGUE)
