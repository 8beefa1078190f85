"""History: what was deployed when, kept so that the way back needs no Git; and the way back through Git."""
