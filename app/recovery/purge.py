"""What the outer parts know of purging: the review, one purge, and cleanup by age."""

from app.recovery.burial import (
    PurgePlan,
    PurgeReview,
    Tombstone,
    purge,
    require_named,
    review_purge,
)
from app.recovery.cleanup import (
    CleanupResult,
    cleanup,
    find_digests,
    find_last_exports,
    plan_cleanup,
)

__all__ = [
    "CleanupResult",
    "PurgePlan",
    "PurgeReview",
    "Tombstone",
    "cleanup",
    "find_digests",
    "find_last_exports",
    "plan_cleanup",
    "purge",
    "require_named",
    "review_purge",
]
