"""The controllers of the embedded cluster: each brings the world closer to what the objects of one kind ask for.

Every module has a pure plan and a thin reconcile, and `build(context)`. `rootca.build` stands outside `BUILDERS`
because it needs the certificate authority as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.controllers import (
    clusterroleaggregation,
    cronjob,
    customresourcecleanup,
    daemonset,
    deployment,
    disruption,
    endpoints,
    endpointslice,
    garbagecollector,
    horizontalpodautoscaling,
    job,
    namespace,
    podgc,
    replicaset,
    serviceaccount,
    statefulset,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.controller import Controller

BUILDERS: tuple[Callable[[ControlContext], Controller], ...] = (
    clusterroleaggregation.build,
    cronjob.build,
    customresourcecleanup.build,
    daemonset.build,
    deployment.build,
    disruption.build,
    endpoints.build,
    endpointslice.build,
    garbagecollector.build,
    horizontalpodautoscaling.build,
    job.build,
    namespace.build,
    podgc.build,
    replicaset.build,
    serviceaccount.build,
    statefulset.build,
)
