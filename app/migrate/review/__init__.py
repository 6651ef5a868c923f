"""What each statement does: its level, reasons and locks, and the gates that it must pass."""
