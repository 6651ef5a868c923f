"""How results look in a terminal: pure functions from the engine's dataclasses to rich."""
