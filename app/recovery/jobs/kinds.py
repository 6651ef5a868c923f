"""The kinds of jobs, and what is true of each. No other place lists them.

``zanith._zanith_jobs.changes_artifact`` says the same in the database, and a test compares the two.
"""

from __future__ import annotations

from enum import Flag, StrEnum, auto


class Trait(Flag):
    """What is true of a kind of job."""

    NONE = 0
    CHANGES = auto()
    """It changes one artifact at a time, or its parked object: one such job of it is live."""
    READS = auto()
    """It only reads, so viewers may start it, and a standby can run it."""
    DETACHES = auto()
    """Any worker may run it: nobody has to confirm anything when it begins."""
    SETTLES = auto()
    """It goes on with an online job that ended half done, or makes that pointless."""
    OUTRANKS_SEAL = auto()
    """It cancels a seal of its artifact instead of waiting for it."""
    ALONE = auto()
    """One such job of the database is live."""
    TOLD = auto()
    """Webhooks tell of its end: ``zanith._tell_of_job`` has the same list, and a test compares."""


class Kind(StrEnum):
    """What a job does."""

    traits: Trait

    def __new__(cls, name: str, traits: Trait = Trait.NONE) -> Kind:
        """Make a member that is its name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.traits = traits
        return member

    RESTORE = (
        "restore",
        Trait.CHANGES | Trait.DETACHES | Trait.SETTLES | Trait.OUTRANKS_SEAL | Trait.TOLD,
    )
    RESTORE_ROWS = "restore_rows", Trait.CHANGES | Trait.TOLD
    RESTORE_MIGRATION = (
        "restore_migration",
        Trait.CHANGES | Trait.DETACHES | Trait.OUTRANKS_SEAL | Trait.TOLD,
    )
    EXPORT = "export", Trait.READS
    VERIFY = "verify", Trait.READS | Trait.DETACHES
    SEAL = "seal", Trait.CHANGES | Trait.DETACHES
    PURGE = "purge", Trait.CHANGES | Trait.SETTLES | Trait.OUTRANKS_SEAL | Trait.TOLD
    CLEANUP = "cleanup", Trait.TOLD
    CAPTURE = "capture", Trait.CHANGES | Trait.DETACHES | Trait.SETTLES
    ERASE = "erase", Trait.CHANGES | Trait.TOLD
    REHEARSE = "rehearse"
    DEPLOY = "deploy", Trait.ALONE | Trait.TOLD
    """It applies pending migrations: the process that has their directory runs it."""
    VERIFY_MIGRATIONS = "verify_migrations", Trait.ALONE
    """It runs pending migrations on a shadow; so does that process."""

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return _WORDS.get(self.value, self.value)

    @property
    def does_to_one(self) -> str:
        """What it is called to somebody who asks for one of the artifacts that it changes."""
        return self.value.partition("_")[0]

    @property
    def changes(self) -> bool:
        """Whether it changes artifacts: PostgreSQL allows one such job of each at a time."""
        return Trait.CHANGES in self.traits

    @property
    def alone(self) -> bool:
        """Whether one of them is live at a time: PostgreSQL allows no second one."""
        return Trait.ALONE in self.traits

    @property
    def reads(self) -> bool:
        """Whether it only reads."""
        return Trait.READS in self.traits

    @property
    def detaches(self) -> bool:
        """Whether it may be handed over to any worker."""
        return Trait.DETACHES in self.traits

    @property
    def outranks_seal(self) -> bool:
        """Whether it cancels a seal that is in its way."""
        return Trait.OUTRANKS_SEAL in self.traits


_WORDS = {
    "restore_migration": "restore of a migration",
    "restore_rows": "restore of rows",
    "verify_migrations": "verification on a shadow",
}


def kinds_with(trait: Trait) -> list[str]:
    """Return the names of the kinds that have the trait, as SQL takes them."""
    return [kind.value for kind in Kind if trait in kind.traits]
