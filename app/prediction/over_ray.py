"""Shards of a prediction over the workers of a Ray cluster; the same function, so the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from regraft.machine.memory import decoding_within
from regraft.machine.ray_cluster import import_ray, ray_cluster, remote, result_of
from regraft.prediction.answerer import Answerer, Wanted, answer_batches
from regraft.prediction.job import Job, Shard
from regraft.prediction.journal import encode
from regraft.prediction.model_choice import ModelChoice
from regraft.prediction.sources.item import Item
from regraft.prediction.sources.kind import Reading
from regraft.prediction.sources.reader import ItemReader

Result = tuple[Shard, bytes, dict[str, int]]


def answer_over_ray(
    job: Job, model: ModelChoice, wanted: Wanted, reading: Reading, shards: Iterable[Shard], jobs: int
) -> Iterator[Result]:
    """Each shard with its encoded rows and their statuses, in the order in which they are done.

    Ray starts a shard again elsewhere whose worker dies. Twice as many shards as workers are under way, so memory does
    not grow with their number.

    Raises:
        RunError: a shard lost its worker four times.
    """
    ray = import_ray()
    with ray_cluster(ray, jobs):
        task = remote(ray, _answer_shard)
        rest = iter(shards)
        waiting: dict[Any, Shard] = {}
        workers = max(int(ray.cluster_resources().get("CPU", jobs)), 1)
        while True:
            while len(waiting) < 2 * workers and (shard := next(rest, None)):
                waiting[task.remote(job, model, wanted, reading, shard.items(job.inputs_file))] = shard
            if not waiting:
                return
            for reference in ray.wait(list(waiting))[0]:
                shard = waiting.pop(reference)
                yield (shard, *result_of(ray, reference, f"Shard {shard.number} lost its worker"))


def _answer_shard(
    job: Job, model: ModelChoice, wanted: Wanted, reading: Reading, items: list[Item]
) -> tuple[bytes, dict[str, int]]:
    answerer = _opened(model, wanted)
    size = answerer.batch_size
    batches = (items[start : start + size] for start in range(0, len(items), size))
    with decoding_within(reading.memory), ItemReader(wanted.limits, reading) as reader:
        rows = [row for batch in answer_batches(answerer, batches, reader) for row in batch]
    return encode(job, rows), dict(Counter(row.status for row in rows))


@lru_cache(1)  # a worker process answers many shards
def _opened(model: ModelChoice, wanted: Wanted) -> Answerer:
    return model.open(wanted, workers=1)
