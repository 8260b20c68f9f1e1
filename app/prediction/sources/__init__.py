"""Where photos to be predicted come from: one file for each kind of input, and the table of them."""
