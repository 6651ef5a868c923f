"""What needs no database: errors, names, durations, files, tasks."""
