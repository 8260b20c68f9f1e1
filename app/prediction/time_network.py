"""Run as a script in a fresh process: how many views a second networks answer here, from memory.

Reads JSON from stdin: `choices`, each the fields of a `ModelChoice`, and the `seconds` that all may take. Of each that
there is time for, it writes its place and "begins" to stdout, and then its place and the rate.
"""

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_SLICE, _ROUNDS = 0.08, 2  # seconds that each is timed, by turns

if __name__ == "__main__":
    import numpy as np

    from regraft.machine.threads import cores
    from regraft.prediction.answerer import Wanted
    from regraft.prediction.model_choice import ModelChoice

    began = time.perf_counter()
    order = json.loads(sys.stdin.readline())
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    def say(*words: object) -> None:
        """One line."""
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    def open_choice(place: int, choice: ModelChoice) -> Callable[[], float] | None:
        """Opened and warmed up: a function that times it, in views a second. One thread is timed, as all do alike."""
        if place and time.perf_counter() - began > order["seconds"] / 2:
            return None  # it might take as long as those before
        say(place, "begins")
        try:
            answerer = choice.open(Wanted(), workers=1)
            batch = np.repeat(answerer.read(pixels)[None], answerer.batch_size, axis=0)
            answerer.compute(batch)
        except Exception:  # each runtime has its own types; the others are timed all the same
            return None
        threads = 1 if choice.runtime == "tensorflow" else cores()  # it takes all cores for itself

        def rate() -> float:
            batches, started = 0, time.perf_counter()
            while not batches or time.perf_counter() - started < _SLICE:
                answerer.compute(batch)
                batches += 1
            return threads * batches * answerer.batch_size / (time.perf_counter() - started)

        return rate

    with ThreadPoolExecutor(cores()) as pool:
        choices = [ModelChoice(**each) for each in order["choices"]]
        opened = list(pool.map(open_choice, range(len(choices)), choices))
    best = [0.0] * len(opened)
    for _ in range(_ROUNDS):
        for place, rate in enumerate(opened):
            if rate:
                best[place] = max(best[place], rate())
    for place, rate in enumerate(opened):
        if rate:
            say(place, f"{best[place]:.1f}")
