"""`python -m tests.adoption`."""

import sys

from tests.adoption.command import main

if __name__ == "__main__":
    sys.exit(main())
