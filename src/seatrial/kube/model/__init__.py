"""Objects, resources, selectors, quantities, schemas and patches: data and pure functions, no I/O."""
