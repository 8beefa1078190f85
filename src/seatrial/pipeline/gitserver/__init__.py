"""Bare repositories over smart HTTP; who pushed what is told at once."""
