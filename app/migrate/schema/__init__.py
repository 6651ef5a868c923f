"""The schema of a database as data: snapshots, and the difference of two as JSON and as DDL."""
