"""How a live object is: one module per kind, and Lua scripts of the settings. Pure but for the scripts' process."""
