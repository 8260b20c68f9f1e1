"""The weights that ship with the package, each beside its card (`NAME.toml`)."""
