"""Rows that are parked: streamed, sealed, verified and exported."""
