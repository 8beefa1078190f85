"""The volumes of pods: made before the first container starts, kept current while it runs, removed after the last.

`volumes.Volumes` is what the kubelet talks to. `payload` and `projection` say what files a volume holds, `atomic`
writes them so that readers never see a mix, `tokens` asks for service account tokens, `claims` finds the directory
behind a claim, `subpath` finds a place inside a volume that no container can swap, `reclaimer` removes the data of
deleted volumes.
"""
