"""The ways to look at a photo more than once, by name, without TensorFlow."""

VIEWS: dict[str, int] = {"one": 1, "flip": 2, "five": 5, "ten": 10, "scales": 6}
"""How many views of a photo each has."""
