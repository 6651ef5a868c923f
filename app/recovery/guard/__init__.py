"""The guard: event triggers that make a plain DROP recoverable, or refuse it."""
