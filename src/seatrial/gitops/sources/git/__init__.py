"""Git repositories: one bare mirror each. The `git` binary speaks to the network, `pygit2` reads objects."""
