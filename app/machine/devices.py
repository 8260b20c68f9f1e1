"""Where the arithmetic happens, and what that means for precision and compilation."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regraft.errors import UsageError, option
from regraft.machine.quiet import swallowed

if TYPE_CHECKING:
    import tensorflow as tf

DEVICES = Path("/dev")
"""Where drivers show what they have."""

NAMES = ("auto", "cpu", "gpu", "tpu")


@dataclass(frozen=True)
class Device:
    """An opened device.

    Attributes:
        kind: "cpu", "gpu" or "tpu".
        count: how many of them train together.
        precision: the Keras dtype policy.
        jit: what `compile(jit_compile=...)` gets; never XLA on a CPU, where it makes convolutions far slower.
        strategy: how TensorFlow places variables and steps.
    """

    kind: str
    count: int
    precision: str
    jit: bool | str
    strategy: tf.distribute.Strategy

    @property
    def name(self) -> str:
        """Such as "cpu", or "2 x gpu"."""
        return self.kind if self.count == 1 else f"{self.count} x {self.kind}"


def check_device(name: str) -> None:
    """Raises UsageError unless `name` is auto, cpu, cpu:N, gpu or tpu. Does not start TensorFlow."""
    if name not in NAMES and not re.fullmatch(r"cpu:[1-9]\d?", name):
        known = "auto, cpu, cpu:N (N virtual devices), gpu or tpu"
        raise UsageError(f'{option("device")} must be {known}; received "{name}".')


def may_have_accelerator() -> bool:
    """Whether a driver of NVIDIA, AMD, a TPU or Windows (under WSL) shows one: to ask TensorFlow takes seconds."""
    return any(next(DEVICES.glob(name), None) for name in ("nvidia[0-9]*", "kfd", "accel*", "dxg"))


def start_tensorflow() -> None:
    """Imports TensorFlow without the lines it writes to stderr while it starts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with swallowed():
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.get_logger().setLevel("ERROR")


def open_device(name: str = "auto") -> Device:
    """Opens a device and sets Keras's dtype policy for it.

    Args:
        name: "auto" takes a TPU where one answers, else every GPU, else the CPU. "cpu:N" makes N virtual devices
            of the CPU, which train as N accelerators would; it must come before TensorFlow has run anything.

    Raises:
        UsageError: the device is not there.
    """
    check_device(name)
    start_tensorflow()
    import keras

    device = _open(name)
    keras.config.set_dtype_policy(device.precision)
    return device


def _open(name: str) -> Device:
    import tensorflow as tf

    if name in ("auto", "tpu"):
        tpu = _connect_tpu()
        if tpu:
            return Device("tpu", tpu.num_replicas_in_sync, "mixed_bfloat16", "auto", tpu)
        if name == "tpu":
            raise UsageError(f"{option('device', 'tpu')}: no TPU answers here. Use {option('device', 'auto')}.")
    gpus = tf.config.list_physical_devices("GPU")
    if name == "gpu" and not gpus:
        gpu, auto = option("device", "gpu"), option("device", "auto")
        raise UsageError(f"{gpu}: TensorFlow sees no GPU here. Install regraft[gpu] or use {auto}.")
    if gpus and not name.startswith("cpu"):
        return _open_gpus(gpus)
    return _open_cpu(int(name.partition(":")[2] or 1))


def _connect_tpu() -> Any:
    import tensorflow as tf

    if not any(os.environ.get(key) for key in ("TPU_NAME", "COLAB_TPU_ADDR", "TPU_WORKER_ID", "TPU_ACCELERATOR_TYPE")):
        return None
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=os.environ.get("TPU_NAME", "local"))
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError):
        return None
    return tf.distribute.TPUStrategy(resolver)


def _open_gpus(gpus: list[Any]) -> Device:
    import tensorflow as tf

    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    precision = "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16"
    strategy = tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    return Device("gpu", len(gpus), precision, "auto", strategy)


def _open_cpu(count: int) -> Device:
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    if count == 1:
        return Device("cpu", 1, "float32", False, tf.distribute.get_strategy())
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) != count:
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
        except RuntimeError:
            asked = option("device", f"cpu:{count}")
            raise UsageError(
                f"{asked} must come before TensorFlow has run anything in this process; begin a new one with it."
            ) from None
    names = [f"cpu:{index}" for index in range(count)]
    return Device("cpu", count, "float32", False, tf.distribute.MirroredStrategy(names))
