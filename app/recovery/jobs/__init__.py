"""Jobs and the audit log: queued, leased, run; and the one preamble of every operation."""
