"""`python -m seatrial`."""

from __future__ import annotations

import sys

from seatrial.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
