"""The sections of a recipe: one line for every value that does not fit."""

from functools import partial

import pytest
import refusals

from regraft.errors import UsageError
from regraft.recipes.recipe import load_recipe

message_of = partial(refusals.message_of, UsageError)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("finetune.epochs", -1, "greater than or equal to 0"),
        ("finetune.epochs", 2.5, "valid integer"),
        ("optimizer.learning_rate", 0, "greater than 0"),
        ("optimizer.learning_rate", float("nan"), "finite number"),
        ("finetune.batch_norm", "thawed", "'auto', 'frozen', 'adaptive' or 'reestimated'"),
        ("model.pooling", "sum", "'avg' or 'max'"),
        ("schedule.decay", 1.0, "less than 1"),
        ("optimizer.name", "adamm", "'sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam' or 'adamw'"),
        ("schedule.name", "linear", "'constant', 'step', 'exponential', 'cosine', 'one_cycle', 'cyclic' or 'plateau'"),
        ("head.solver", "bfgs", "'lbfgs', 'newton-cg', 'sgd'"),
        ("regularize.dropconnect_inference", "median", "'mean' or 'gaussian'"),
        ("augment.flip", "sometimes", "valid boolean"),
        ("data.image_size", 4, "greater than or equal to 8"),
        ("data.val_fraction", 0.0, "greater than 0"),
        ("head.folds", 1, "greater than or equal to 2"),
        ("seed", -1, "greater than or equal to 0"),
    ],
)
def test_a_bad_value_names_the_key_what_is_allowed_and_what_came(key, value, expected):
    text = message_of(load_recipe, "balanced", {key: value})
    assert text.startswith(f"{key}: input should be ")
    assert expected in text
    assert text.endswith(f'; received "{value}".')


def test_a_bad_value_inside_a_list_is_found():
    assert message_of(load_recipe, "balanced", {"head.l2": [0.1, -3]}) == (
        'head.l2.1: input should be greater than 0; received "-3".'
    )


def test_a_head_needs_a_strength_to_choose():
    assert message_of(load_recipe, "balanced", {"head.l2": []}).startswith("head.l2: ")


def test_a_value_of_several_lines_is_answered_in_one():
    assert message_of(load_recipe, "balanced", {"model.pooling": "a\nb"}).endswith('received "a b".')


def test_warmup_must_end_before_training_does():
    text = message_of(load_recipe, "balanced", {"finetune.epochs": 1, "schedule.warmup_epochs": 1.0})
    assert text == "schedule.warmup_epochs must be less than the epochs (1); received 1."


def test_warmup_does_not_matter_without_epochs():
    assert load_recipe("quick", {"schedule.warmup_epochs": 2.0}).schedule.warmup_epochs == 2.0


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"regularize.dropout": 1.0}, 'regularize.dropout: must be in [0, 1); received "1.0".'),
        (
            {"regularize.stochastic_depth": [0.8, 0.9]},
            'regularize.stochastic_depth: must not grow; received "[0.8, 0.9]".',
        ),
        (
            {"regularize.fractional_pooling": 2.0},
            'regularize.fractional_pooling: must be 0 or in (1, 2); received "2.0".',
        ),
        ({"augment.hue": 0.6}, 'augment.hue: must be in [0, 0.5]; received "0.6".'),
        (
            {"schedule.name": "cyclic", "schedule.cycles": 3},
            "schedule.cycles must divide the epochs (8), so be one of 1, 2, 4, 8; received 3.",
        ),
        (
            {"optimizer.clip_norm": 1.0, "optimizer.clip_value": 2.0},
            "optimizer: clip_norm and clip_value exclude each other; received 1 and 2.",
        ),
        (
            {"optimizer.name": "adagrad", "optimizer.momentum": 0.9},
            "optimizer: adagrad has no momentum (these have: sgd, momentum, nesterov, rmsprop); leave it out.",
        ),
        (
            {"optimizer.name": "lbfgs"},
            "optimizer.name: a second-order method needs all images at each step and a convex loss, which only the "
            "head has (head.solver); use one of sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw for the "
            'network; received "lbfgs".',
        ),
    ],
)
def test_what_does_not_fit_says_what_does(edits, message):
    assert message_of(load_recipe, "balanced", edits) == message


def test_one_number_is_the_survival_of_the_last_block():
    assert load_recipe("balanced", {"regularize.stochastic_depth": 0.8}).regularize.stochastic_depth == (1.0, 0.8)


@pytest.mark.parametrize("taps", ["auto", 0, 3, ("block_6", "block_13")])
def test_taps_are_a_word_a_count_or_names_and_come_back_from_toml(taps, tmp_path):
    recipe = load_recipe("quick", {"head.taps": taps})
    assert recipe.head.taps == taps
    (tmp_path / "recipe.toml").write_text(recipe.to_toml(), "utf-8")
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe


@pytest.mark.parametrize("taps", ["all", -1, True, 1.5, [1, 2]])
def test_taps_of_another_kind_are_refused(taps):
    text = message_of(load_recipe, "quick", {"head.taps": taps})
    assert text.startswith('head.taps: must be "auto", how many of the last taps, or a list of their names; received "')
