"""CustomResourceDefinitions as pure functions: what one means, whether it is valid, what its columns show."""
