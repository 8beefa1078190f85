"""Who is calling, and may they: authentication, RBAC, service-account tokens and the review APIs."""
