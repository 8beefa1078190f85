from __future__ import annotations

from rest_framework.pagination import LimitOffsetPagination

LARGEST = 10**9


class Pages(LimitOffsetPagination):
    max_limit = 500

    def get_offset(self, request) -> int:
        return min(super().get_offset(request), LARGEST)  # PostgreSQL refuses numbers of any length
