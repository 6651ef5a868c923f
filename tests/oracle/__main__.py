"""`python -m tests.oracle`."""

import sys

from tests.oracle.command import main

if __name__ == "__main__":
    sys.exit(main())
