"""What each regularization layer costs on an accelerator, and how fast the networks are beside timm's.

Inference and fine-tuning step of three backbones in mixed bfloat16 on synthetic images, with and without each
regularizer of `regraft.models.regularizers`: images per second, share of the device's peak, and the ratio to the plain
network, all variants taking turns. Needs no TensorFlow: Keras runs on JAX, each step one XLA program. Where torch and
timm are installed, the same networks follow under `torch.compile`, channels-last and autocast. Without an accelerator
everything runs small on the CPU, which says whether it works and nothing about speed.

    KERAS_BACKEND=jax python benchmarks/accelerator.py --out accelerator.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np

from regraft.models.backbones import BACKBONES, build_backbone
from regraft.models.classifier import build_classifier, set_trainable
from regraft.models.errors import BackboneError

CLASSES = 10
TIMM_NAMES = {
    "resnet50": "resnet50",
    "efficientnet_v2_b0": "tf_efficientnetv2_b0",
    "mobilenet_v2": "mobilenetv2_100",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    "dropout": {"dropout": 0.2},
    "scaled_dropout": {"scaled_dropout": 0.2},
    "spatial_dropout": {"spatial_dropout": 0.2},
    "dropconnect": {"dropconnect": 0.5},
    "dropconnect, per example": {"dropconnect": 0.5, "dropconnect_per_example": True},
    "conv_dropconnect": {"conv_dropconnect": 0.1},
    "stochastic_depth": {"stochastic_depth": (1.0, 0.8)},
    "fractional_head_pooling": {"fractional_head_pooling": 1.41},
    "fractional_pooling": {"fractional_pooling": 1.41},
}
PEAK_FLOPS = {  # dense bfloat16, from the makers' data sheets
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L4": 121e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5p": 459e12,
    "TPU v6 lite": 918e12,
}

Step = Callable[[], Any]


@dataclass
class Work:
    """One thing to measure: how it is called, how to wait for it, and what it computes."""

    framework: str
    model: str
    variant: str
    mode: str
    run: Step
    wait: Callable[[Any], Any]
    flops: float | None


@dataclass
class Row:
    """What one measurement came to. Rates are the median over the rounds, with their range."""

    framework: str
    model: str
    variant: str
    mode: str
    images_per_second: float
    lowest: float
    highest: float
    ratio_to_plain: float
    share_of_peak: float | None
    share_of_matmul: float | None


@dataclass(frozen=True)
class Size:
    """How large a measurement is."""

    batch: int
    image: int
    rounds: int
    seconds: float


def main() -> None:
    options = _parse()
    accelerator = jax.default_backend() != "cpu"
    size = Size(
        options.batch or (256 if accelerator else 4),
        options.image or (224 if accelerator else 64),
        options.rounds or (7 if accelerator else 3),
        1.0 if accelerator else 0.2,
    )
    if not accelerator:
        print("No accelerator: small, on the CPU. The figures say nothing about speed.", file=sys.stderr)
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    matmul = _measure_matmul(8192 if accelerator else 1024)
    rows: list[Row] = []
    for model in options.model or TIMM_NAMES:
        for mode in ("inference", "fine-tuning"):
            work = [*_keras_work(model, mode, size), *_timm_work(model, mode, size, accelerator)]
            rows += _measure(work, size, matmul)
            print(_table(rows[-len(work) :]), flush=True)
    report = _describe(size, matmul) | {"rows": [asdict(row) for row in rows]}
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=list(TIMM_NAMES), help="repeatable  [default: all]")
    for name in ("batch", "image", "rounds"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser.parse_args()


def _describe(size: Size, matmul: float) -> dict[str, Any]:
    packages = ("keras", "jax", "jaxlib", "torch", "timm")
    return {
        "device": jax.devices()[0].device_kind,
        "backend": jax.default_backend(),
        "datasheet_flops": _datasheet_peak(),
        "matmul_flops": matmul,
        "size": asdict(size),
        "versions": {name: found for name in packages if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _datasheet_peak() -> float | None:
    kind = jax.devices()[0].device_kind
    return next((peak for name, peak in PEAK_FLOPS.items() if name in kind), None)


def _measure_matmul(side: int) -> float:
    """Multiplications and additions a second of a large bfloat16 product: what the device does at its best here."""
    matrix = jnp.ones((side, side), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)
    product(matrix).block_until_ready()
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(10):
            answer = product(matrix)
        answer.block_until_ready()
        rates.append(10 * 2 * side**3 / (time.perf_counter() - started))
    return max(rates)


def _keras_work(name: str, mode: str, size: Size) -> Iterator[Work]:
    images = jnp.asarray(np.random.default_rng(0).uniform(0, 255, (size.batch, size.image, size.image, 3)), jnp.float32)
    labels = jax.nn.one_hot(jnp.arange(size.batch) % CLASSES, CLASSES)
    for variant, choices in VARIANTS.items():
        if mode == "inference" and variant != "none" and not variant.startswith("fractional"):
            continue  # the same program as the plain network
        try:
            model = build_classifier(
                build_backbone(name, image_size=size.image),
                preprocessing=BACKBONES[name].preprocessing,
                class_count=CLASSES,
                regularize=choices,
            )
        except BackboneError as error:
            print(f"{name}, {variant}: left out: {error}", file=sys.stderr)
            continue
        set_trainable(model, unfreeze=1.0, batch_norm="frozen")
        make = _inference_step if mode == "inference" else _training_step
        run, flops = make(model, images, labels)
        yield Work("keras, jax", name, variant, mode, run, jax.block_until_ready, flops)


def _inference_step(model: keras.Model, images: jax.Array, labels: jax.Array) -> tuple[Step, float | None]:
    weights = [[variable.value for variable in model.trainable_variables]]
    weights.append([variable.value for variable in model.non_trainable_variables])

    def infer(trainable: Any, others: Any, images: jax.Array) -> jax.Array:
        return model.stateless_call(trainable, others, images, training=False)[0]

    lowered = jax.jit(infer).lower(*weights, images)
    return partial(lowered.compile(), *weights, images), _flops(lowered)


def _training_step(model: keras.Model, images: jax.Array, labels: jax.Array) -> tuple[Step, float | None]:
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(model.trainable_variables)
    state = [
        [variable.value for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    ]

    def loss_of(trainable: Any, others: Any, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        logits, others = model.stateless_call(trainable, others, images, training=True)
        return keras.ops.mean(keras.losses.categorical_crossentropy(labels, logits, from_logits=True)), others

    def step(state: Any, images: jax.Array, labels: jax.Array) -> tuple[Any, jax.Array]:
        trainable, others, moments = state
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable, others, images, labels)
        trainable, moments = optimizer.stateless_apply(moments, gradients, trainable)
        return [trainable, others, moments], loss

    lowered = jax.jit(step, donate_argnums=0).lower(state, images, labels)
    compiled, held = lowered.compile(), [state]

    def run() -> jax.Array:
        held[0], loss = compiled(held[0], images, labels)
        return loss

    return run, _flops(lowered)


def _flops(lowered: Any) -> float | None:
    """What XLA counts for one call, where it does; before compiling, as it does not see into what cuDNN computes."""
    costs = lowered.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    return (costs or {}).get("flops")


def _timm_work(name: str, mode: str, size: Size, accelerator: bool) -> list[Work]:
    try:
        import timm
        import torch
    except ImportError:
        print("torch and timm are not installed: nothing to compare with.", file=sys.stderr)
        return []
    device = "cuda" if accelerator and torch.cuda.is_available() else "cpu"
    model = timm.create_model(TIMM_NAMES[name], pretrained=False, num_classes=CLASSES)
    model = model.to(device, memory_format=torch.channels_last)
    images = torch.rand(size.batch, 3, size.image, size.image, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(size.batch, device=device) % CLASSES
    wait = (lambda _: torch.cuda.synchronize()) if device == "cuda" else (lambda _: None)
    autocast = partial(torch.autocast, device, dtype=torch.bfloat16)
    if mode == "inference":
        compiled = torch.compile(model.eval())

        @torch.inference_mode()
        def run() -> Any:
            with autocast():
                return compiled(images)
    else:
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()
                module.requires_grad_(False)
        compiled = torch.compile(model)
        optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], 1e-4)

        def run() -> Any:
            optimizer.zero_grad(set_to_none=True)
            with autocast():
                loss = torch.nn.functional.cross_entropy(compiled(images), labels)
            loss.backward()
            optimizer.step()
            return loss

    return [Work("timm, torch.compile", name, "none", mode, run, wait, None)]


def _measure(work: list[Work], size: Size, matmul: float) -> list[Row]:
    """One row for each piece of work; they take turns, so that a change of the machine's speed meets all of them."""
    counts = [_warm_up(item, size.seconds) for item in work]
    rates: list[list[float]] = [[] for _ in work]
    for _ in range(size.rounds):
        for item, count, measured in zip(work, counts, rates, strict=True):
            started = time.perf_counter()
            for _ in range(count):
                answer = item.run()
            item.wait(answer)
            measured.append(count * size.batch / (time.perf_counter() - started))
    return [_row(item, measured, rates[0], size, matmul) for item, measured in zip(work, rates, strict=True)]


def _warm_up(work: Work, seconds: float) -> int:
    """Runs it until it is compiled, and says how many calls fill `seconds`."""
    for _ in range(3):
        work.wait(work.run())
    started = time.perf_counter()
    work.wait(work.run())
    return max(1, round(seconds / (time.perf_counter() - started)))


def _row(work: Work, rates: list[float], plain: list[float], size: Size, matmul: float) -> Row:
    median, peak = statistics.median(rates), _datasheet_peak()
    flops = work.flops * median / size.batch if work.flops else None
    return Row(
        work.framework,
        work.model,
        work.variant,
        work.mode,
        round(median, 1),
        round(min(rates), 1),
        round(max(rates), 1),
        round(statistics.median(rate / base for rate, base in zip(rates, plain, strict=True)), 3),
        round(flops / peak, 4) if flops and peak else None,
        round(flops / matmul, 4) if flops else None,
    )


def _table(rows: list[Row]) -> str:
    lines = [
        "| framework | model | step | regularizer | images/s (range) | to plain | of data sheet | of a matmul here |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peak, share = (f"{100 * value:.1f} %" if value else "" for value in (row.share_of_peak, row.share_of_matmul))
        lines.append(
            f"| {row.framework} | {row.model} | {row.mode} | {row.variant} | {row.images_per_second:,.0f} "
            f"({row.lowest:,.0f}–{row.highest:,.0f}) | {row.ratio_to_plain:.2f} | {peak} | {share} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
