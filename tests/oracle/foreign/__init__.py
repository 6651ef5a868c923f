"""Schemas that others made: what published packages' own migrations build, and one of twenty years.

Each module of a project runs in `.venv-oracle`, where its package is, and migrates an empty database:
`python -m tests.oracle.foreign.wagtail URL`. Nothing here imports what only one of the two venvs has.
"""
