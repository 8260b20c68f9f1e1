"""Many classifiers as one: the arithmetic by hand, the graph by what runs in it."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from regraft.models.backbones import build_backbone
from regraft.models.classifier import backbone_of, build_classifier, set_head
from regraft.models.combine_members import (
    COMBINED,
    CombineMembers,
    average_weights,
    combine,
    cool,
    is_ensemble,
    with_members,
)


def classifier(seed: int = 0, *, image_size: int = 32, class_count: int = 3, **options) -> keras.Model:
    backbone = build_backbone("tiny", image_size=image_size, seed=seed)
    return build_classifier(backbone, preprocessing="tf", class_count=class_count, seed=seed, **options)


def same_trunk(*seeds: int) -> list[keras.Model]:
    """Classifiers with equal networks and different heads."""
    members = [classifier() for _ in seeds]
    for member, seed in zip(members, seeds, strict=True):
        kernel, bias = member.get_layer("head").get_weights()
        rng = np.random.default_rng(seed)
        set_head(member, rng.normal(size=kernel.shape), rng.normal(size=bias.shape))
    return members


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)


def applied(logits: list, rule: str, shares: list[float] | None = None, temperature: float = 1.0) -> np.ndarray:
    layer = CombineMembers(rule)
    x = np.asarray(logits, np.float32)[None]
    layer(x)
    if shares:
        layer.shares.assign(shares)
    layer.temperature.assign(temperature)
    return np.asarray(layer(x))[0]


def test_the_rule_of_probabilities_is_their_mean():
    # Probabilities (1/2, 1/2) and (3/4, 1/4), whose mean is (5/8, 3/8).
    combined = applied([[0.0, 0.0], [np.log(3.0), 0.0]], "probabilities")
    np.testing.assert_allclose(np.exp(combined), [5 / 8, 3 / 8], rtol=1e-6)


def test_the_rule_of_logits_is_their_mean():
    np.testing.assert_allclose(applied([[0.0, 2.0], [4.0, 0.0]], "logits"), [2.0, 1.0], rtol=1e-6)


def test_shares_weigh_members_and_a_share_of_zero_silences_one():
    combined = applied([[0.0, 0.0], [np.log(3.0), 0.0]], "probabilities", shares=[0.2, 0.8])
    np.testing.assert_allclose(np.exp(combined), [0.2 / 2 + 0.8 * 3 / 4, 0.2 / 2 + 0.8 / 4], rtol=1e-6)
    silenced = applied([[0.0, 0.0], [np.log(3.0), 0.0]], "probabilities", shares=[0.0, 1.0])
    np.testing.assert_allclose(np.exp(silenced), [3 / 4, 1 / 4], rtol=1e-6)


def test_a_temperature_divides_the_combined_logits():
    combined = applied([[0.0, 2.0], [4.0, 0.0]], "logits", temperature=2.0)
    np.testing.assert_allclose(combined, [1.0, 0.5], rtol=1e-6)


def test_very_sure_members_do_not_overflow():
    combined = applied([[1e4, 0.0], [0.0, 1e4]], "probabilities")
    np.testing.assert_allclose(np.exp(combined), [0.5, 0.5], rtol=1e-6)


def test_there_are_two_rules():
    with pytest.raises(ValueError, match=r'^rule must be one of probabilities, logits; received "votes".$'):
        CombineMembers("votes")


@pytest.mark.parametrize("rule", ["probabilities", "logits"])
def test_an_ensemble_answers_as_its_members_do_together(images, rule):
    members = [classifier(seed) for seed in (1, 2, 3)]
    logits = np.stack([np.asarray(member(images), np.float64) for member in members])
    ensemble = np.asarray(combine(members, shares=[1, 2, 1], rule=rule)(images))
    shares = np.array([0.25, 0.5, 0.25])[:, None, None]
    mean = (
        (shares * logits).sum(axis=0) if rule == "logits" else np.log((shares * softmax(logits, axis=-1)).sum(axis=0))
    )
    np.testing.assert_allclose(log_softmax(ensemble, axis=1), log_softmax(mean, axis=1), atol=1e-5)


def test_members_with_the_same_network_share_it(images):
    shared = combine(same_trunk(1, 2, 3))
    one = classifier().count_params()
    head = 3 * (classifier().get_layer("head").input.shape[-1] + 1)
    assert shared.count_params() == one + 2 * head + 3 + 1  # and the shares and the temperature
    logits = np.stack([np.asarray(member(images)) for member in same_trunk(1, 2, 3)])
    np.testing.assert_allclose(
        softmax(np.asarray(shared(images)), axis=1), softmax(logits, axis=-1).mean(axis=0), atol=1e-6
    )


def test_members_that_differ_only_in_a_seed_of_inference_answer_as_they_do_alone():
    images = np.random.default_rng(0).uniform(0, 255, (4, 56, 56, 3)).astype(np.float32)
    backbones = [build_backbone("tiny", image_size=56) for _ in range(2)]
    members = [
        build_classifier(
            backbone, preprocessing="tf", class_count=3, seed=seed, regularize={"fractional_head_pooling": 1.4}
        )
        for seed, backbone in enumerate(backbones)
    ]
    members[1].set_weights(members[0].get_weights())
    alone = [np.asarray(member(images)) for member in members]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3  # the seed decides which regions are pooled
    ensemble = combine(members, rule="logits")
    np.testing.assert_allclose(ensemble(images), np.mean(alone, axis=0), atol=1e-5)


def fine_tuned(seed: int, frozen_part: float = 0.5) -> keras.Model:
    """A classifier whose last layers are not those of `classifier()`."""
    member, other = classifier(), classifier(seed)
    pairs = list(zip(backbone_of(member).layers, backbone_of(other).layers, strict=True))
    for mine, theirs in pairs[round(frozen_part * len(pairs)) :]:
        mine.set_weights(theirs.get_weights())
    return member


@pytest.mark.parametrize("taps", [(("stem_relu",), ("stem_relu",)), (("stem_relu", "stage2_residual_add"), ())])
def test_members_whose_heads_read_taps_share_the_first_layers_too(images, taps):
    members = []
    for seed, own in enumerate(taps, start=1):
        plain, backbone = fine_tuned(seed), build_backbone("tiny", image_size=images.shape[1])
        backbone.set_weights(backbone_of(plain).get_weights())
        members.append(build_classifier(backbone, preprocessing="tf", class_count=3, taps=own, seed=seed))
    alone = [np.asarray(member(images)) for member in members]
    ensemble = combine(members, rule="logits")
    assert len(ensemble.get_layer("stem").layers) > 5
    np.testing.assert_allclose(ensemble(images), np.mean(alone, axis=0), atol=1e-5)


def test_members_share_the_first_layers_that_fine_tuning_left_alone(images, tmp_path):
    members = [fine_tuned(seed) for seed in (1, 2, 3)]
    probabilities = softmax(np.stack([np.asarray(member(images)) for member in members]), axis=-1).mean(axis=0)
    ensemble = combine(members)
    stem = ensemble.get_layer("stem")
    assert len(stem.layers) > 0.3 * len(backbone_of(members[0]).layers)
    assert ensemble.count_params() == 3 * classifier().count_params() - 2 * stem.count_params() + 3 + 1
    np.testing.assert_allclose(softmax(np.asarray(ensemble(images)), axis=1), probabilities, atol=1e-6)
    ensemble.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(ensemble(images)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50_v2", "efficientnet_b0"])
def test_stems_end_where_no_branch_passes_them(name):
    images = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    members = []
    for seed in (1, 2):
        backbone = build_backbone(name, image_size=64, seed=0)
        member = build_classifier(backbone, preprocessing="included", class_count=3, seed=seed)
        for layer in backbone.layers[len(backbone.layers) // 2 :]:
            layer.set_weights([weight * (1 + seed / 100) for weight in layer.get_weights()])
        members.append(member)
    expected = softmax(np.stack([np.asarray(member(images)) for member in members]), axis=-1).mean(axis=0)
    ensemble = combine(members)
    assert len(ensemble.get_layer("stem").layers) > len(backbone.layers) / 4
    np.testing.assert_allclose(softmax(np.asarray(ensemble(images)), axis=1), expected, atol=1e-5)


def test_members_with_networks_of_their_own_keep_them():
    assert combine([classifier(1), classifier(2)]).count_params() == 2 * classifier().count_params() + 2 + 1


def test_a_network_that_differs_in_one_weight_is_not_shared():
    one, other = same_trunk(1, 2)
    weight = next(weight for weight in other.weights if "moving_mean" in weight.path)
    weight.assign(weight + 1e-3)
    assert combine([one, other]).count_params() > 1.9 * one.count_params()


def test_some_members_may_share_and_others_not(images):
    members = [*same_trunk(1, 2), classifier(7)]
    probabilities = softmax(np.stack([np.asarray(member(images)) for member in members]), axis=-1)
    ensemble = combine(members)
    assert ensemble.count_params() < 3 * classifier().count_params()
    np.testing.assert_allclose(softmax(np.asarray(ensemble(images)), axis=1), probabilities.mean(axis=0), atol=1e-6)


def test_an_ensemble_is_the_same_when_saved_and_loaded(images, tmp_path):
    ensemble = combine([*same_trunk(1, 2), classifier(5)], shares=[3, 2, 1])
    cool(ensemble, 1.5)
    ensemble.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert is_ensemble(loaded)
    np.testing.assert_array_equal(np.asarray(loaded(images)), np.asarray(ensemble(images)))
    np.testing.assert_allclose(loaded.get_layer(COMBINED).shares, [1 / 2, 1 / 3, 1 / 6], rtol=1e-6)


def test_members_can_be_asked_one_by_one(images):
    members = [classifier(1), classifier(2)]
    ensemble = combine(members)
    rows = np.asarray(with_members(ensemble)(images))
    assert rows.shape == (4, 3, 3)
    np.testing.assert_allclose(rows[:, 0], np.asarray(ensemble(images)), atol=1e-6)
    for place, member in enumerate(members, start=1):
        np.testing.assert_allclose(rows[:, place], np.asarray(member(images)), atol=1e-6)


def test_cooling_divides_the_logits_of_both_kinds(images):
    for model in (classifier(1), combine([classifier(1), classifier(2)])):
        before = np.asarray(model(images))
        cool(model, 2.0)
        np.testing.assert_allclose(np.asarray(model(images)), before / 2, atol=1e-5)


def test_no_training_touches_shares_and_temperature():
    ensemble = combine([classifier(1), classifier(2)])
    assert not any(weight.path.startswith(COMBINED) for weight in ensemble.trainable_weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [classifier()], "an ensemble has at least two members; received 1"),
        (lambda: [classifier(), classifier(image_size=48)], "members must have the same inputs"),
        (lambda: [classifier(), classifier(class_count=4)], "members must have the same outputs"),
    ],
)
def test_members_that_do_not_go_together_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        combine(make())


@pytest.mark.parametrize("shares", [[1.0], [1.0, 0.0], [1.0, -1.0]])
def test_shares_that_do_not_fit_are_refused(shares):
    with pytest.raises(ValueError, match=r"^shares must be 2 numbers above 0; received "):
        combine([classifier(1), classifier(2)], shares=shares)


def test_weights_are_averaged_number_by_number_and_integers_are_not():
    one = [np.array([1.0, 3.0], np.float32), np.array([7], np.uint32)]
    other = [np.array([3.0, 5.0], np.float32), np.array([8], np.uint32)]
    floats, integers = average_weights([one, other])
    np.testing.assert_array_equal(floats, np.array([2.0, 4.0], np.float32))
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(integers, [7])


def test_different_architectures_have_no_average():
    with pytest.raises(ValueError, match="same architecture"):
        average_weights([[np.zeros(2)], [np.zeros(3)]])
