"""Seatrial for other people's tests: the pytest plug-in."""
