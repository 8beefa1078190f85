"""The node: what runs pods. `registration` makes and keeps the Node object; `simulated` runs pods without processes."""
