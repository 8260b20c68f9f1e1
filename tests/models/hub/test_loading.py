"""Everything a backbone of KerasHub must do, by small networks of each kind; and the loading of presets."""

from pathlib import Path

import keras
import numpy as np
import pytest
from default_cases import few_by_default
from keras import ops
from refusals import message_of

from regraft.models.backbones import BACKBONES, check_backbone
from regraft.models.batch_norm import batch_norms
from regraft.models.classifier import (
    POOLED,
    answering_model,
    backbone_of,
    build_classifier,
    feature_extractor,
    feature_widths,
    set_trainable,
)
from regraft.models.digest import network_digest
from regraft.models.errors import BackboneError, WeightsError
from regraft.models.hub.loading import load_hub
from regraft.models.hub.networks import HUB
from regraft.models.published import PUBLISHED
from regraft.models.regularizers import register_layers
from regraft.models.taps import find_taps
from regraft.models.weights import load_backbone

pytest.importorskip("keras_hub")

from hub_cases import PLANS, build_backbone, build_network, write_preset

EACH = few_by_default(PLANS, "dinov2_small")


def images_for(name: str, count: int = 4) -> np.ndarray:
    size = PLANS[name][0]
    return np.random.default_rng(0).uniform(0, 255, (count, size, size, 3)).astype(np.float32)


def classifier_of(name: str, *, taps: int | None = None, **regularize: object) -> keras.Model:
    backbone = build_backbone(name)
    known = find_taps(backbone)
    return build_classifier(
        backbone,
        preprocessing=BACKBONES[name].preprocessing,
        class_count=3,
        taps=known if taps is None else known[:taps],
        regularize=regularize,
        seed=1,
    )


def test_there_is_a_small_network_for_every_kind():
    assert {HUB[name].kind for name in PLANS} == {model.kind for model in HUB.values()}


@pytest.mark.parametrize("name", EACH)
def test_features_are_numbers_for_each_photo(name: str):
    features = np.asarray(feature_extractor(classifier_of(name))(images_for(name)))
    assert features.shape == (4, sum(feature_widths(classifier_of(name))))
    assert np.isfinite(features).all()
    assert features.std(axis=0).max() > 0


@pytest.mark.parametrize("name", EACH)
def test_taps_are_blocks_and_leave_the_other_features_as_they_were(name: str):
    tapped, plain = classifier_of(name), classifier_of(name, taps=0)
    own = feature_widths(plain)[0]
    assert len(feature_widths(tapped)) > 1
    both = [np.asarray(feature_extractor(model)(images_for(name))) for model in (tapped, plain)]
    np.testing.assert_allclose(both[0][:, -own:], both[1], atol=1e-6)


@pytest.mark.parametrize("name", EACH)
def test_a_step_of_fine_tuning_moves_what_is_unfrozen_and_no_statistics(name: str):
    model, images = classifier_of(name), images_for(name)
    unfrozen = set_trainable(model, unfreeze=0.5, batch_norm="frozen")
    assert 0 < len(unfrozen) < len(backbone_of(model).layers)
    before = [(weight, weight.numpy()) for weight in model.weights]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, np.array([0, 1, 2, 0]), verbose=0)
    moved = {weight.path for weight, old in before if not np.array_equal(weight.numpy(), old)}
    assert moved
    assert moved <= {weight.path for weight in model.trainable_weights}
    assert not {norm.path for norm in batch_norms(model) if norm.trainable}


@pytest.mark.parametrize("name", EACH)
def test_unfreezing_everything_leaves_no_weight_without_a_gradient(name: str):
    model, images = classifier_of(name), images_for(name)
    set_trainable(model, unfreeze=1.0, batch_norm="adaptive")
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = ops.mean(ops.square(model(images, training=True)))
    weights = [weight.value for weight in model.trainable_weights]
    assert [path.path for path, found in zip(model.trainable_weights, tape.gradient(loss, weights), strict=True)
            if found is None] == []  # fmt: skip


@pytest.mark.parametrize("name", EACH)
def test_stochastic_depth_acts_in_training_alone(name: str):
    plain, noisy = classifier_of(name), classifier_of(name, stochastic_depth=(1.0, 0.5))
    images = images_for(name)
    answer = np.asarray(plain(images))
    np.testing.assert_allclose(np.asarray(noisy(images)), answer, atol=1e-6)
    draws = [np.asarray(noisy(images, training=True)) for _ in range(4)]
    assert max(np.abs(draw - draws[0]).max() for draw in draws) > 1e-4


@pytest.mark.parametrize("name", EACH)
def test_the_saved_file_answers_the_same_and_is_the_same_network(name: str, tmp_path: Path):
    register_layers()
    model, images = classifier_of(name, stochastic_depth=(1.0, 0.5)), images_for(name)
    for weight in model.weights:
        weight.assign(weight + 0.01)  # as trained ones, not as the layers begin
    answer = np.asarray(model(images))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(model(images)), answer)
    np.testing.assert_allclose(np.asarray(again(images)), answer, atol=1e-6)
    assert network_digest(again) == network_digest(model)


@pytest.mark.parametrize("name", EACH)
def test_each_place_of_the_maps_has_a_gradient_to_explain_an_answer_by(name: str):
    """What Grad-CAM takes: the last maps, and how an answer changes with each of their channels."""
    import tensorflow as tf

    model = classifier_of(name)
    maps = model.get_layer(POOLED).input
    assert maps.shape[1:3] == (maps.shape[1],) * 2
    both = keras.Model(model.input, [maps, model.output])
    with tf.GradientTape() as tape:
        found, logits = both(images_for(name))
        tape.watch(found)
        score = model.get_layer("head")(
            ops.concatenate([feature_extractor(model)(images_for(name))[:, : -maps.shape[-1]],
                             ops.mean(found, axis=(1, 2))], axis=1)
        )[:, 0]  # fmt: skip
    np.testing.assert_allclose(np.asarray(score), np.asarray(logits)[:, 0], atol=1e-5)
    weights = np.asarray(tape.gradient(score, found)).mean(axis=(1, 2), keepdims=True)
    heat = (weights * np.asarray(found)).sum(-1)
    assert heat.shape == found.shape[:3]
    assert heat.std(axis=(1, 2)).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("form", ["saved_model", "litert", "onnx", "openvino"])
@pytest.mark.parametrize("name", PLANS)
def test_every_format_answers_as_the_network_does(name: str, form: str, tmp_path: Path):
    runtimes = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino"}
    if form in runtimes:
        pytest.importorskip(runtimes[form])
    model, images = answering_model(classifier_of(name)), images_for(name)
    expected = np.asarray(model(images)["probabilities"])
    np.testing.assert_allclose(answers_of(model, form, tmp_path, images), expected, atol=1e-5)


def answers_of(model: keras.Model, form: str, folder: Path, images: np.ndarray) -> np.ndarray:
    """What the file of a format gives, by the code that writes and opens it for exports."""
    if form == "saved_model":
        import tensorflow as tf

        model.export(str(folder / "network"), verbose=False)
        network = tf.saved_model.load(str(folder / "network"))
        return np.asarray(network.serve(images)["probabilities"])
    from regraft.exports.export import Export
    from regraft.exports.exporting import write_network
    from regraft.exports.format import find_format

    found = find_format(form)
    width = model.get_layer("embedding").output.shape[-1]
    export = Export(folder, form, "float32", ("a", "b", "c"), images.shape[1], 1.0, width, model="")
    write_network(found, model, export, [])
    network = found.open(found.network(folder), export, 1)
    return np.concatenate([network(view[None])[0] for view in images])


@pytest.mark.parametrize("name", EACH)
def test_a_preset_folder_is_loaded_with_its_weights(name: str, tmp_path: Path):
    network = write_preset(name, tmp_path / "preset")
    size, _ = PLANS[name]
    loaded = load_hub(name, str(tmp_path / "preset"), image_size=size, preprocessing=BACKBONES[name].preprocessing)
    x = np.random.default_rng(1).normal(size=(2, size, size, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(loaded(x)), np.asarray(build_backbone(name)(x)), atol=1e-6)
    assert network.count_params() > 0


@pytest.mark.parametrize("name", EACH)
def test_a_preset_is_loaded_for_another_image_size(name: str, tmp_path: Path):
    write_preset(name, tmp_path / "preset")
    size = 2 * PLANS[name][0]
    loaded = load_hub(name, str(tmp_path / "preset"), image_size=size, preprocessing=BACKBONES[name].preprocessing)
    assert loaded.input_shape == (None, size, size, 3)
    assert loaded.output_shape[1] == 2 * build_backbone(name).output_shape[1]
    assert np.isfinite(np.asarray(loaded(np.zeros((1, size, size, 3), np.float32)))).all()


def test_a_preset_that_does_not_say_how_wide_its_last_convolution_is_gets_the_width_of_the_plan(tmp_path: Path):
    build_network("efficientnet_v2_rw_s", num_features=1792).save_to_preset(str(tmp_path / "preset"))
    loaded = load_backbone("efficientnet_v2_rw_s", str(tmp_path / "preset"), image_size=32)
    assert loaded.output_shape == (None, 8, 8, 1792)


def test_a_preset_that_wants_other_pixels_gets_them(tmp_path: Path):
    """The row says ImageNet's mean and deviation; the preset wants [-1, 1]."""
    write_preset("dinov2_small", tmp_path / "plain")
    write_preset("dinov2_small", tmp_path / "other", scale=1 / 127.5, offset=-1.0)
    pixels = images_for("dinov2_small", 2)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    plain, other = (
        load_backbone("dinov2_small", str(tmp_path / folder), image_size=28) for folder in ("plain", "other")
    )
    given = ((pixels / 255 - mean) / std).astype(np.float32)
    np.testing.assert_allclose(np.asarray(other(given)), np.asarray(plain(pixels / 127.5 - 1)), atol=2e-4)
    assert [layer.name for layer in other.layers][1] == "preset_scaling"


def test_a_preset_that_wants_the_same_pixels_gets_no_layer(tmp_path: Path):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    scale, offset = [1 / 255 / s for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
    write_preset("dinov2_small", tmp_path / "same", scale=scale, offset=offset)
    loaded = load_backbone("dinov2_small", str(tmp_path / "same"), image_size=28)
    assert "preset_scaling" not in [layer.name for layer in loaded.layers]


def test_a_damaged_preset_is_refused_in_one_line(tmp_path: Path):
    write_preset("dinov2_small", tmp_path / "preset")
    file = tmp_path / "preset/model.weights.h5"
    file.write_bytes(file.read_bytes()[:1000])
    text = message_of(WeightsError, load_backbone, "dinov2_small", str(tmp_path / "preset"), image_size=28)
    assert text.startswith(
        f"{tmp_path / 'preset'} is damaged, or its weights are not of its config.json, so dinov2_small"
    )
    assert "\n" not in text


def test_what_cannot_be_downloaded_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    import keras_hub

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", refuse)
    for weights, start in (
        ("hf://somebody/dinov2", "hf://somebody/dinov2"),
        ("dinov2_with_registers_small", "The preset dinov2_with_registers_small of dinov2_small"),
    ):
        assert message_of(WeightsError, load_backbone, "dinov2_small", weights, image_size=28) == (
            f"{start} could not be downloaded (no route to host). Put its files into a folder and name it with "
            'weights="FOLDER".'
        )


def test_a_name_of_another_network_is_refused_before_its_weights_are_downloaded(monkeypatch: pytest.MonkeyPatch):
    import keras_hub

    asked: list[dict[str, object]] = []

    def other(_: str, **options: object) -> object:
        asked.append(options)
        return build_network("vit_base")

    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", other)
    text = message_of(WeightsError, load_backbone, "dinov2_small", "hf://somebody/vit", image_size=28)
    assert text == (
        "hf://somebody/vit is a preset of ViTBackbone, and dinov2_small takes one of DINOV2Backbone. "
        'backbone="vit_base" takes it.'
    )
    assert asked == [{"load_weights": False}]


def test_sides_that_are_no_number_of_patches_are_refused_with_the_nearest():
    assert message_of(BackboneError, check_backbone, "dinov2_small", image_size=225, alpha=1.0) == (
        "dinov2_small takes images whose side is a multiple of 14 pixels, such as 224 or 238; received 225."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", HUB)
def test_plans_have_as_many_weights_as_kerashub_publishes(name: str):
    import keras_hub

    row = BACKBONES[name]
    keras.utils.clear_session()
    network = row.build((row.image_size, row.image_size, 3))
    published = getattr(keras_hub.models, HUB[name].kind).presets[HUB[name].preset]["metadata"]["params"]
    assert network.count_params() / 1e6 == pytest.approx(PUBLISHED[name].millions, rel=0.02)
    if name != "siglip2_base":  # KerasHub counts its text encoder too, DINOv2's places for 518 pixels, RW's top
        assert network.count_params() == pytest.approx(published, rel=0.08)


@pytest.mark.parametrize("name", HUB)
def test_every_preset_is_one_of_kerashub(name: str):
    import keras_hub

    model = HUB[name]
    assert {model.preset, *model.presets} <= set(getattr(keras_hub.models, model.kind).presets)
