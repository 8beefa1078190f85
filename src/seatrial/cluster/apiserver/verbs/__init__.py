"""One module per verb: an async function of the core and a call, giving an answer."""
