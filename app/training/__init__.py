"""From photos to a trained network: session, head, fine-tuning, the choice between stages, many runs."""
