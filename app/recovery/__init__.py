"""The engine: capture, prove, restore, export, purge. It knows no HTTP, HTML or terminal."""
