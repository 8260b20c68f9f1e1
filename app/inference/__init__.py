"""A trained model and what it gives to views of photos: logits, features, explanations."""
