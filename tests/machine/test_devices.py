"""Where the arithmetic happens. What needs several devices runs in a process of its own: see test_finetune."""

import keras
import pytest
import tensorflow as tf

from regraft.errors import UsageError
from regraft.machine import devices
from regraft.machine.devices import check_device, open_device, start_tensorflow


@pytest.mark.parametrize("name", ["auto", "cpu", "cpu:1", "cpu:2", "cpu:16", "gpu", "tpu"])
def test_a_known_device_passes(name):
    check_device(name)


@pytest.mark.parametrize("name", ["", "CPU", "cpu:0", "cpu:-1", "cpu:100", "cpu:2x", "cuda", "gpu:0"])
def test_an_unknown_device_is_refused_with_what_there_is(name):
    expected = f'device must be auto, cpu, cpu:N (N virtual devices), gpu or tpu; received "{name}".'
    with pytest.raises(UsageError) as caught:
        check_device(name)
    assert str(caught.value) == expected


def test_a_cpu_computes_in_float32_without_xla():
    device = open_device("cpu")
    assert (device.kind, device.count, device.precision, device.jit, device.name) == ("cpu", 1, "float32", False, "cpu")
    assert keras.config.dtype_policy().name == "float32"
    assert device.strategy.num_replicas_in_sync == 1


def test_virtual_devices_after_tensorflow_has_run_are_refused():
    tf.constant(1.0) + 1.0
    with pytest.raises(UsageError) as caught:
        open_device("cpu:3")
    assert str(caught.value) == (
        'device="cpu:3" must come before TensorFlow has run anything in this process; begin a new one with it.'
    )
    assert open_device("cpu:1").count == 1


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(
        UsageError, match=r'device="gpu": TensorFlow sees no GPU here\. Install .* or use device="auto"'
    ):
        open_device("gpu")


@pytest.mark.parametrize("found", [None, "nowhere.invalid"])
def test_a_tpu_that_does_not_answer_is_refused(found, monkeypatch):
    for key in ("TPU_NAME", "COLAB_TPU_ADDR", "TPU_WORKER_ID", "TPU_ACCELERATOR_TYPE"):
        monkeypatch.delenv(key, raising=False)
    if found:
        monkeypatch.setenv("TPU_NAME", found)
        monkeypatch.setattr("tensorflow.distribute.cluster_resolver.TPUClusterResolver", refuse)
    with pytest.raises(UsageError, match=r'device="tpu": no TPU answers here\. Use device="auto"\.'):
        open_device("tpu")


def refuse(**options: object) -> None:
    raise ValueError("no such TPU")


def test_starting_tensorflow_leaves_stderr_as_it_was(capfd):
    start_tensorflow()
    import os

    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


@pytest.mark.parametrize(
    ("file", "expected"),
    [("nvidia0", True), ("nvidiactl", False), ("kfd", True), ("accel0", True), ("dxg", True), ("null", False)],
)
def test_drivers_of_accelerators_are_known_by_their_files(file: str, expected: bool, tmp_path, monkeypatch):
    (tmp_path / file).touch()
    monkeypatch.setattr(devices, "DEVICES", tmp_path)
    assert devices.may_have_accelerator() is expected
