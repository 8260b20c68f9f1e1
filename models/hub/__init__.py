"""Networks of KerasHub as backbones: what there is of them, how their presets are read, and their graphs."""
