"""Helm repositories over HTTP: an index of versions, and archives of charts."""
