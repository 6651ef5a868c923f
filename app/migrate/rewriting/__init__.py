"""Plain drops rewritten to captures, in the text of a script."""
