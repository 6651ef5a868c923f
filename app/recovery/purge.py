"""What the outer parts know of purging: the review, one purge, and cleanup by age."""

from app.recovery.burial import (
    PurgePlan,
    PurgeReview,
    Tombstone,
    accepted_names,
    purge,
    review_purge,
    spellings,
)
from app.recovery.cleanup import CleanupResult, cleanup, plan_cleanup

__all__ = [
    "CleanupResult",
    "PurgePlan",
    "PurgeReview",
    "Tombstone",
    "accepted_names",
    "cleanup",
    "plan_cleanup",
    "purge",
    "review_purge",
    "spellings",
]
