"""Restores: in one transaction or online, and their rehearsal."""
