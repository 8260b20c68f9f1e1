"""Decoding and augmentation of images, as TensorFlow ops, and the table of augmentations, which needs none.

The functions on one image run eagerly and inside `tf.data.Dataset.map`, take their randomness as a seed (int32 [2])
and give the same pixels for the same seed, whatever the parallelism. Import them from their modules: this one stays
empty, so that a program that only reads the table need not start TensorFlow.
"""
