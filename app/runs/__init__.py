"""A run directory: its files, its history, its checkpoints, which photo did what."""
