"""Whether the rows that exist let a pending migration run: asked of a live database before it."""
