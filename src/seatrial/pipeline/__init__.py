"""From a push to a run: the git server, what a push asks for, and the runs of workflows."""
