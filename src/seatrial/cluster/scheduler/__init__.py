"""Puts pending pods on nodes: `demand` says what a pod needs, `ledger` what nodes have left, `affinity` and `spread`
what its neighbours have to do with it, `wish` all of that for one pod, `filter` where it may go, `score` where it
goes best; `scheduler` binds it."""
