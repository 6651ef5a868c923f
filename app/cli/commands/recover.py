"""`zanith recover`: the group of the verbs about what was dropped."""

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _recover() -> None:
    """
    List, inspect, restore, export and purge dropped objects.

    Example:

    $ zanith recover list
    $ zanith recover inspect orders.legacy_code
    $ zanith recover restore orders.legacy_code --dry-run
    """
