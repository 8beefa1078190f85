"""Puts pending pods on nodes: `demand` says what a pod needs, `ledger` what nodes have left, `filter` where it may
go, `score` where it goes best, `scheduler` binds it."""
