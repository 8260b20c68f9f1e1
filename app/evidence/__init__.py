"""Numbers, pictures and pages: how good a model is, and how sure one can be of that."""
