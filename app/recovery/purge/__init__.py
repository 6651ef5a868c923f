"""What deletes for good: purge, cleanup and erasure; and the hold that prevents it."""
