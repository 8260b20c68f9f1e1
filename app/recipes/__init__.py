"""Every choice of a run: sections and their ranges, named recipes, edits, arms."""
