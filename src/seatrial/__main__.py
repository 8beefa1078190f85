"""`python -m seatrial`."""

from __future__ import annotations

from seatrial.cli.main import main

if __name__ == "__main__":
    main()
