"""``python -m vipe_core.cli``: the same as the command ``vipe``."""

import sys

from vipe_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
