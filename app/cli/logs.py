"""What libraries log: nothing for a command that ends, one line each for a server. No traceback."""

import logging


class _OneLine(logging.Formatter):
    """Says what went wrong, not where: the rest helps nobody who runs a server."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, and the last line of an exception that came with it."""
        cause = record.exc_info[1] if record.exc_info else None
        text = record.getMessage().rstrip()
        if "Traceback (most recent call last)" in text:
            text = text.splitlines()[-1]
        return f"{record.levelname.lower()}: {text}" + (f": {cause}" if cause else "")


def be_quiet() -> None:
    """Let the error of a command say what is to be said."""
    logging.getLogger().addHandler(logging.NullHandler())


def speak_in_lines() -> None:
    """Write what a server's parts report to stderr, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine())
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
