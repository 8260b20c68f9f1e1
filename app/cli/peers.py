"""What is answered to options that do not exist: those of other programs, and mistyped ones."""

from __future__ import annotations

import difflib

import click

_RECIPE_KEYS = {
    "optimizer.learning_rate": "lr learning-rate learning_rate base-lr init-lr",
    "finetune.batch_size": "batch-size batch batch_size bs",
    "regularize.dropout": "dropout drop drop-rate",
    "regularize.stochastic_depth": "drop-path stochastic-depth",
    "optimizer.weight_decay": "weight-decay weight_decay wd",
    "optimizer.name": "optimizer opt",
    "optimizer.momentum": "momentum",
    "optimizer.clip_norm": "clip-grad clip-norm clip",
    "optimizer.ema": "ema model-ema ema-decay",
    "schedule.name": "scheduler sched schedule lr-scheduler",
    "schedule.warmup_epochs": "warmup warmup-epochs",
    "finetune.label_smoothing": "label-smoothing smoothing",
    "finetune.patience": "patience early-stopping",
    "finetune.unfreeze": "freeze unfreeze freeze-backbone finetune fine-tune",
    "augment.mixup": "mixup",
    "augment.cutmix": "cutmix",
    "augment.flip": "flip hflip",
    "head.l2": "l2 weight-l2",
}
"""Recipe keys, and what other programs call the option for the same."""

_VALUES = {
    "regularize.stochastic_depth": "SURVIVING_PART",
    "finetune.unfreeze": "TRAINED_PART",
    "optimizer.name": "NAME",
}
"""What follows the equals sign where a bare VALUE would mislead."""

_OPTIONS = {
    "--backbone": "model arch architecture net network base-model model-name",
    "--weights": "pretrained checkpoint initial-checkpoint pretrained-weights",
    "--out": "output output-dir out-dir save-dir project o logdir",
    "--image-size": "img-size imgsz input-size size img image_size resolution",
    "--val-fraction": "validation-split val-split split val test-size",
    "--epochs": "num-epochs epoch n-epochs",
    "--seed": "random-seed random-state manual-seed",
    "--device": "gpu gpus devices accelerator cuda cpu",
    "--jobs": "workers num-workers j n-jobs",
    "--top": "topk top-k k",
    "--format": "fmt type output-format",
    "--set": "config-option override param",
    "--recipe": "config preset cfg hparams",
    "--force": "overwrite exist-ok f yes",
    "--photos": "data images dataset data-path data-root",
}
"""Options, and what other programs call them."""

_ARGUMENTS = "data dataset data-dir data-path data-root image-dir images source input train-dir path folder"


def advice_on(error: click.NoSuchOption) -> str:
    """One line: that there is no such option, and what is meant most likely."""
    verb = error.ctx.command_path if error.ctx else "regraft"
    known = _options_of(error.ctx)
    asked = error.option_name.lstrip("-")
    return f"No such option '{error.option_name}'.{_hint(asked, known, error.ctx) or f' See {verb} --help.'}"


def _hint(asked: str, known: list[str], ctx: click.Context | None) -> str:
    if "--set" in known and (key := _named_by(asked, _RECIPE_KEYS)):
        return f" It is a recipe key: --set {key}={_VALUES.get(key, 'VALUE')}."
    if (option := _named_by(asked, _OPTIONS)) in known:
        return f" Here it is {option}."
    first = ctx.command.params[0] if ctx and ctx.command.params else None
    if asked in _ARGUMENTS.split() and isinstance(first, click.Argument):
        return f" It is given without an option: {ctx.command_path} {first.make_metavar(ctx)}." if ctx else ""
    near = difflib.get_close_matches(asked, [name.lstrip("-") for name in known], n=1, cutoff=0.7)
    suggestion = f" Did you mean '--{near[0]}'?" if near else ""
    return f"{suggestion} See {ctx.command_path} --help." if ctx else suggestion


def _options_of(ctx: click.Context | None) -> list[str]:
    params = ctx.command.get_params(ctx) if ctx else []
    return [name for param in params for name in param.opts if isinstance(param, click.Option) and name[:2] == "--"]


def _named_by(asked: str, table: dict[str, str]) -> str:
    return next((ours for ours, theirs in table.items() if asked in theirs.split()), "")
