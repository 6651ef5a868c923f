"""New migrations: empty ones, and those that turn the live schema into a declared one."""
