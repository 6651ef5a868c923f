"""Plans: steps, conflicts, drift and losses; read, checked, estimated, executed step by step."""
