"""The pytest plug-in (installed with the package; nothing to configure)."""
