"""The REST API. Settings name `explain` as what becomes of its errors."""

from testops.api.errors import explain

__all__ = ["explain"]
