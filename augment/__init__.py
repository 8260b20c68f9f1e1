"""Decoding and augmentation of one image, as TensorFlow ops.

Every function here works on one image, runs eagerly and inside `tf.data.Dataset.map`, takes its randomness
as a seed (int32 [2]) and gives the same pixels for the same seed, whatever the parallelism.
"""

from regraft.augment.decode import decode_upright
from regraft.augment.policy import AugmentPolicy, make_train_view
from regraft.augment.view import make_view

__all__ = ["AugmentPolicy", "decode_upright", "make_train_view", "make_view"]
