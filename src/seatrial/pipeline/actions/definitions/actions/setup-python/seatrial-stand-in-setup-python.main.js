// Where a real Node runs this (another action put one on the PATH), it is as short: the work is done in Python.
const { spawnSync } = require("child_process");
const done = spawnSync(process.env.SEATRIAL_PYTHON, ["-I", "-m", "seatrial.pipeline.actions", "setup-python", "main"], { stdio: "inherit" });
process.exit(done.status === null ? 1 : done.status);
