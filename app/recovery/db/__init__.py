"""Connections, transactions, locks and events; and the installer of what lives in the database."""
