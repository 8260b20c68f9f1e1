"""Run as a script in a fresh process: answers photos with a SavedModel, importing nothing but TensorFlow.

Reads one line of JSON from stdin, {"model": folder, "files": [[path, ...], ...], "threads": count, "scores": path},
each inner list a batch, and writes float32 [N, C] scores to `scores` as .npy, and the labels to stdout. TensorFlow is
imported before the line is read, so a caller can start this process early and let it wait.

Several threads call the signature, each with a batch of its own: while one reads and decodes, or waits for the last
photo of its batch, another computes.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

if __name__ == "__main__":
    import numpy as np
    import tensorflow as tf

    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    order = json.loads(line)
    folder = order["model"]
    if os.path.isdir("/proc/self/fd"):  # noqa: PTH112
        folder = f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}"  # to TensorFlow, a path with [ ] is a pattern
    served = tf.saved_model.load(folder)

    def scores_of(paths: list[str]) -> np.ndarray:
        """float32 [N, C] of one batch."""
        encoded = []
        for path in paths:
            with open(os.fsencode(path), "rb") as file:  # noqa: PTH123
                encoded.append(file.read())
        return served.signatures["serving_default"](image_bytes=tf.constant(encoded))["scores"].numpy()

    with ThreadPoolExecutor(order["threads"]) as pool:
        rows = list(pool.map(scores_of, order["files"]))
    np.save(order["scores"], np.concatenate(rows))
    labels = served.signatures["labels"]()["labels"].numpy()
    sys.stdout.write(json.dumps([label.decode() for label in labels]))
