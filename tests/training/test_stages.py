"""Temperatures, and the rule that keeps a stage."""

import numpy as np
import pytest

from regraft.training.stages import Stage, choose_stage, fit_temperature, judge_stage


def stage(name: str, losses: list[float]) -> Stage:
    return Stage(name, 1.0, np.array(losses), 0.5)


def answers(factor: float, *, images: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [images, 4] that are `factor` times too large for the labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = 1.5 * random.standard_normal((images, 4))
    labels = np.argmax(logits + random.gumbel(size=logits.shape), axis=1)  # draws from softmax(logits)
    return factor * logits, labels


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_temperature_recovers_the_factor_by_which_logits_are_too_large(factor):
    assert fit_temperature(*answers(factor)) == pytest.approx(factor, rel=0.06)


def test_temperature_of_a_few_images_that_are_all_right_stays_moderate():
    logits = 5 * np.eye(3)
    assert 0.2 < fit_temperature(logits, np.arange(3)) <= 1.0


def test_temperature_of_a_few_confident_mistakes_stays_moderate():
    logits = 50 * np.eye(3)
    assert 1.0 < fit_temperature(logits, np.array([1, 2, 0])) < 15


def test_a_stage_is_judged_after_its_temperature():
    logits = np.log(np.array([[0.8, 0.2], [0.5, 0.5]]))
    judged = judge_stage("head", logits, np.array([0, 1]), temperature=2.0)
    root = np.sqrt([[0.8, 0.2], [0.5, 0.5]])
    expected = -np.log(root[[0, 1], [0, 1]] / root.sum(axis=1))
    np.testing.assert_allclose(judged.select_losses, expected)
    assert judged.select_loss == pytest.approx(expected.mean())
    assert (judged.name, judged.temperature, judged.select_accuracy) == ("head", 2.0, 0.5)


def test_a_stage_without_a_given_temperature_gets_the_fitted_one():
    logits, labels = answers(2.5)
    assert judge_stage("fine-tuned", logits, labels).temperature == fit_temperature(logits, labels)


def test_a_stage_without_selection_images_has_no_loss_and_temperature_one():
    judged = judge_stage("head", np.zeros((0, 3)), np.zeros(0, int))
    assert (judged.temperature, judged.select_loss, judged.select_accuracy) == (1.0, None, None)


def test_the_only_stage_is_kept():
    only = stage("head", [0.3])
    assert choose_stage([only]) == (only, "it is the only stage")


# Differences 0.1, 0.3: mean 0.2; standard error sqrt(0.02) / sqrt(2) = 0.1.
def test_a_later_stage_that_is_better_by_more_than_the_standard_error_is_kept():
    kept, why = choose_stage([stage("head", [0.5, 0.8]), stage("fine-tuned", [0.4, 0.5])])
    assert kept.name == "fine-tuned"
    assert why.removeprefix("fine-tuned is better on the 2 selection photos ") == (
        "(loss 0.450, head 0.650, standard error of the difference 0.100)"
    )


# Differences -0.1, 0.2: mean 0.05; standard error 0.3 / sqrt(2) / sqrt(2) = 0.15. -0.1, 0.36: 0.13 and 0.23.
@pytest.mark.parametrize(("last", "kept_stage"), [(0.6, "head"), (0.44, "fine-tuned")])
def test_a_later_stage_has_to_be_better_by_half_the_standard_error(last, kept_stage):
    kept, why = choose_stage([stage("head", [0.5, 0.8]), stage("fine-tuned", [0.6, last])])
    assert kept.name == kept_stage
    word = "better" if kept_stage == "fine-tuned" else "not clearly better"
    assert why.startswith(f"fine-tuned is {word} on the 2 selection photos (loss ")
    if kept_stage == "head":
        assert why.endswith("(loss 0.600, head 0.650, standard error of the difference 0.150)")


def test_a_later_stage_that_is_worse_is_dropped():
    kept, _ = choose_stage([stage("head", [0.5, 0.8]), stage("fine-tuned", [0.6, 0.9])])
    assert kept.name == "head"


def test_a_third_stage_has_to_beat_the_best_so_far():
    stages = [stage("head", [1.0, 1.1]), stage("fine-tuned", [0.5, 0.5]), stage("longer", [0.6, 0.5])]
    kept, why = choose_stage(stages)
    assert kept.name == "fine-tuned"
    assert why.startswith("longer is not clearly better")


def test_one_selection_image_is_no_proof():
    kept, _ = choose_stage([stage("head", [2.0]), stage("fine-tuned", [0.1])])
    assert kept.name == "head"


def test_without_selection_images_the_simplest_stage_is_kept():
    kept, why = choose_stage([stage("head", []), stage("fine-tuned", [])])
    assert kept.name == "head"
    assert why == "without selection photos nothing says whether fine-tuned is better"


def test_photos_count_in_the_losses_and_in_the_temperature_as_their_class_weighs():
    logits, labels = answers(2.5)
    weights = np.array([0.5, 1.0, 3.0, 1.0])
    judged = judge_stage("fine-tuned", logits, labels, weights=weights)
    plain = judge_stage("fine-tuned", logits, labels, temperature=judged.temperature)
    np.testing.assert_allclose(judged.select_losses, weights[labels] * plain.select_losses)
    repeated = np.repeat(np.arange(len(labels)), (2 * weights[labels]).astype(int))
    assert judged.temperature == pytest.approx(fit_temperature(logits[repeated], labels[repeated]), rel=1e-3)
    assert judged.temperature != fit_temperature(logits, labels)
