"""A trained network for other runtimes: written, proven, described."""
