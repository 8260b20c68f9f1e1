"""Run as a script in a fresh process: how many views a second a network answers here, from memory.

Reads one line of JSON from stdin, the fields of `ModelChoice` and `seconds`, and writes the rate to stdout.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

if __name__ == "__main__":
    from regraft.prediction.answerer import Wanted
    from regraft.prediction.model_choice import ModelChoice

    order = json.loads(sys.stdin.readline())
    seconds = order.pop("seconds")
    answerer = ModelChoice(**order).open(Wanted())

    import io

    import numpy as np
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "PNG")
    batch = np.repeat(answerer.read(file.getvalue())[None], answerer.batch_size, axis=0)

    def compute_until(end: float) -> int:
        """How many batches were answered until then."""
        batches = 0
        while time.perf_counter() < end:
            answerer.compute(batch)
            batches += 1
        return batches

    with ThreadPoolExecutor(answerer.workers) as pool:
        for duration in (0.3, seconds):  # the first is to warm up
            started = time.perf_counter()
            done = sum(pool.map(compute_until, [started + duration] * answerer.workers))
            rate = done * answerer.batch_size / (time.perf_counter() - started)
    sys.stdout.write(f"{rate:.1f}\n")
