"""The `seatrial` command: one module per noun; parse, call, print. The only place that reads the environment."""
