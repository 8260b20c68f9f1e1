"""Photos and labels, without TensorFlow: what a photo is, scanning and checking a folder, the role of each photo."""
