"""Two oracles: PostgreSQL's own DROP says what gone means, and pg_dump what back means.

`python -m tests.oracle --help`, or `make oracle`; docs/oracle.md tells how they judge.
"""
