"""GitHub Actions workflows: read, chosen for an event, run by `act`, watched."""
