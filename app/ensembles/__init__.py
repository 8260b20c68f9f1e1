"""Several models as one: kinds, combination, budget, verdict."""
