"""Photos and labels: what a photo is, how a folder of them is scanned, parted and checked. Without TensorFlow."""
