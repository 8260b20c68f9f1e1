"""What is asked of data and models besides training: compare, find a rate, evaluate, preview."""
