"""Promise 9, struck at every message: the network, the backend, the server, the client.

A proxy stands between the engine and PostgreSQL and counts what the engine sends. An operation is
run once to count, then again, on a fresh copy, with a fault at one message; what is left must be
the old state, the new one, or a job that is gone on with. `python -m tests.faults` prints the
matrix of operations and faults.
"""
