"""Tables of photos with their labels: read from files, and made into the records that a folder gives."""
