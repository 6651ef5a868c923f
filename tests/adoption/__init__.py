"""Migration tools that others publish, each run with the guard off and with the guard on."""
