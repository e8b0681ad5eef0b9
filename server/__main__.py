"""`python -m server`."""

import sys

from server.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
