"""The apiextensions group. What is inside a CustomResourceDefinition is `customresources`' business; here is only how
one lives: generations, and no writing over it blindly.
"""

from __future__ import annotations

from seatrial.cluster.apiserver.kinds.rules import Rules

RULES = {"customresourcedefinitions.apiextensions.k8s.io": Rules(generation=True, unconditional_update=False)}
