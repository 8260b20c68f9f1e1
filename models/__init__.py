"""Backbones, classifiers and training rules, in Keras alone.

Import from the modules: `regraft.models.backbones`, `.classifier`, `.weights`. This file stays empty so that
looking at the table of backbones does not start TensorFlow.
"""
