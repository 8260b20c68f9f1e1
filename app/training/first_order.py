"""The head's convex problem by first-order methods, as networks are trained; to compare with the second-order ones."""

from __future__ import annotations

import math

import keras
import numpy as np
import tensorflow as tf

from regraft.models.optimizer_table import OPTIMIZERS
from regraft.models.optimizers import make_optimizer
from regraft.progress import SILENT, Ticker
from regraft.training.logistic import LogisticProblem
from regraft.training.solver import Solver


def descend(problem: LogisticProblem, *, solver: Solver, ticker: Ticker = SILENT) -> tuple[np.ndarray, int]:
    """Weights float64 [C + 1, classes] after the solver's epochs from zero, the bias last, and the number of steps.

    Each step takes the gradient of a batch's mean cross-entropy + l2 / 2 * ||kernel||², in which an image counts as it
    does among all; the rate falls to 0 on half a cosine, without which the noise of the batches would keep them from
    the minimum.

    Args:
        problem: one, not several side by side.
        solver: a first-order one, named in `OPTIMIZERS`.
        ticker: hears of every epoch, with no unit done.
    """
    x, class_count, l2 = problem.x, problem.class_count, problem.l2
    size = min(solver.batch_size, len(x))
    steps = math.ceil(len(x) / size)
    highest = solver.learning_rate or OPTIMIZERS[solver.name].head_rate
    rate = keras.optimizers.schedules.CosineDecay(highest, solver.epochs * steps)
    weights = keras.Variable(np.zeros((x.shape[1] + 1, class_count)), dtype="float32", name="kernel")
    stepper = make_optimizer(solver.name, rate)
    stepper.build([weights])
    features, one_hot = tf.constant(x, tf.float32), tf.one_hot(problem.labels, class_count)
    counts = tf.constant(problem.shares[0] * len(x), tf.float32)  # 1 on average

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([size], tf.int32)])
    def step(chosen: tf.Tensor) -> None:
        batch = tf.gather(features, chosen)
        kernel, bias = weights.value[:-1], weights.value[-1]
        residual = (tf.nn.softmax(batch @ kernel + bias) - tf.gather(one_hot, chosen)) / size
        residual *= tf.gather(counts, chosen)[:, None]
        gradient = tf.concat(
            [tf.matmul(batch, residual, transpose_a=True) + l2 * kernel, [tf.reduce_sum(residual, 0)]], 0
        )
        stepper.apply([gradient])

    random = np.random.default_rng(solver.seed)
    for epoch in range(1, solver.epochs + 1):
        order = np.resize(random.permutation(len(x)), steps * size).astype(np.int32)
        for chosen in order.reshape(steps, size):
            step(tf.constant(chosen))
        ticker.advance(0, f"epoch {epoch}")
    return np.asarray(weights.value, np.float64), solver.epochs * steps
