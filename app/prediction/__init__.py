"""Many inputs to many rows: what is read, what answers, what is written, whatever happens meanwhile."""
