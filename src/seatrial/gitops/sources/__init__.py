"""Where manifests come from: Git repositories and Helm repositories, at one revision, read without a checkout."""
