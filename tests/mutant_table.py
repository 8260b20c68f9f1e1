"""The mutants of mutants.py: what goes wrong, the string that is replaced, by what, and the tests that see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One planted fault.

    Attributes:
        name: what goes wrong, in words.
        file: relative to the checkout.
        good: a string that is in the file once.
        bad: what takes its place.
        tests: files or node ids that must fail then.
    """

    name: str
    file: str
    good: str
    bad: str
    tests: tuple[str, ...]


AUGMENTATION = (
    Mutant(
        "four tenths of the images are flipped, not half",
        "augment/flip.py",
        "chance=0.5 * flip)",
        "chance=0.4 * flip)",
        ("tests/augment/test_flip.py",),
    ),
    Mutant(
        "the vertical flip swaps left and right",
        "augment/flip.py",
        "_make_mirror(axis=0",
        "_make_mirror(axis=1",
        ("tests/augment/test_flip.py",),
    ),
    Mutant(
        "contrast moves the mean grey",
        "augment/color.py",
        "brightness * (1.0 - contrast) * mean_grey",
        "brightness * mean_grey * 0.0",
        ("tests/augment/test_color.py",),
    ),
    Mutant(
        "a random-resized crop may be half as large as asked",
        "augment/crop.py",
        "area_range=(min_area, 1.0)",
        "area_range=(min_area / 2, 1.0)",
        ("tests/augment/test_crop.py",),
    ),
    Mutant(
        "a random square never touches the far border",
        "augment/crop.py",
        "sides - part + 1",
        "sides - part",
        ("tests/augment/test_crop.py",),
    ),
    Mutant(
        "the erased part keeps its pixels at the left",
        "augment/erase.py",
        "band[:, :left]",
        "band[:, : left + 1]",
        ("tests/augment/test_erase.py",),
    ),
    Mutant(
        "CutMix mixes labels by the drawn share, not by the pixels",
        "augment/mixing.py",
        "blend(labels, other_labels, kept[:, None])",
        "blend(labels, other_labels, share[:, None])",
        ("tests/augment/test_mixing.py",),
    ),
    Mutant(
        "all augmentations draw from the same seed",
        "augment/policy.py",
        "image = op(image, tf.random.fold_in(seed, number))",
        "image = op(image, seed)",
        ("tests/augment/test_policy.py::test_each_op_draws_from_its_own_part_of_the_seed",),
    ),
    Mutant(
        "the centre crop leans to one side",
        "augment/view.py",
        "size = size + (sides - size) % 2",
        "size = size + 0 * sides",
        ("tests/augment/test_view.py",),
    ),
    Mutant(
        "the margins of a padded photo differ",
        "augment/view.py",
        "shown + (image_size - shown) % 2",
        "shown + 0 * sides",
        ("tests/augment/test_view.py",),
    ),
    Mutant(
        "photos of twice the size are not antialiased",
        "augment/view.py",
        ">= 2 * image_size",
        ">= 4 * image_size",
        ("tests/augment/test_view.py",),
    ),
    Mutant(
        "EXIF orientation 6 is not mirrored",
        "augment/decode.py",
        "orientation == [2, 3, 6, 7]",
        "orientation == [2, 3, 7, 7]",
        ("tests/augment/test_decode.py",),
    ),
)

NETWORKS = (
    Mutant(
        "survivors of stochastic depth are not scaled up",
        "models/stochastic_depth.py",
        "draws < self.survival, 1.0 / self.survival, 0.0",
        "draws < self.survival, 1.0, 0.0",
        ("tests/models/test_stochastic_depth.py",),
    ),
    Mutant(
        "the first block of stochastic depth never drops",
        "models/stochastic_depth.py",
        "first - block / count * (first - last)",
        "first - (block - 1) / count * (first - last)",
        ("tests/models/test_stochastic_depth.py",),
    ),
    Mutant(
        "DropConnect's Gaussian forgets the kept part",
        "models/dropconnect.py",
        "self.rate / (1.0 - self.rate)",
        "self.rate",
        ("tests/models/test_dropconnect.py",),
    ),
    Mutant(
        "DropConnect does not scale the kept weights",
        "models/dropconnect.py",
        "draws < self.rate, 0.0, 1.0 / (1.0 - self.rate)",
        "draws < self.rate, 0.0, 1.0",
        ("tests/models/test_dropconnect.py",),
    ),
    Mutant(
        "scaled dropout is not scaled at inference",
        "models/dropout.py",
        "inputs * ops.cast(1.0 - self.rate, inputs.dtype)",
        "inputs * ops.cast(1.0, inputs.dtype)",
        ("tests/models/test_dropout.py",),
    ),
    Mutant(
        "re-estimated variance forgets how batches differ",
        "models/batch_norm.py",
        "np.float64) + batch_mean**2",
        "np.float64) + (mean / max(count - 1, 1)) ** 2",
        ("tests/models/test_batch_norm.py",),
    ),
    Mutant(
        "the pull of L2-SP is twice as strong",
        "models/l2_sp.py",
        "return 0.5 * self.strength",
        "return self.strength",
        ("tests/models/test_l2_sp.py",),
    ),
    Mutant(
        "the first step of a warm-up has length 0",
        "models/schedules.py",
        "(step + 1.0) / (self.warmup_steps + 1.0)",
        "step / self.warmup_steps",
        ("tests/models/test_schedules.py",),
    ),
    Mutant(
        "one_cycle peaks too late",
        "models/schedules.py",
        "_RISE = 0.3",
        "_RISE = 0.4",
        ("tests/models/test_schedules.py",),
    ),
    Mutant(
        "weight decay pulls at batch norms",
        "models/optimizers.py",
        '_NOT_DECAYED = ["bias", "gamma", "beta"]',
        '_NOT_DECAYED = ["bias"]',
        ("tests/models/test_optimizers.py",),
    ),
    Mutant(
        "the layers next to the head are trained at its rate",
        "models/optimizers.py",
        "decay ** (LAYER_GROUPS - group + 1)",
        "decay ** (LAYER_GROUPS - group)",
        ("tests/models/test_optimizers.py",),
    ),
    Mutant(
        "the weights are not put back after the averages were looked at",
        "models/optimizers.py",
        "            variable.assign(value)\n",
        "            value.shape\n",
        (
            "tests/models/test_optimizers.py",
            "tests/training/test_finetune.py::test_averaged_weights_are_judged_and_kept",
        ),
    ),
    Mutant(
        "fractional pooling leaves out the last pixel of a region",
        "models/fractional_pooling.py",
        "ops.take(x, ends - 1, axis=axis)",
        "ops.take(x, begins, axis=axis)",
        ("tests/models/test_fractional_pooling.py",),
    ),
)

EVIDENCE = (
    Mutant(
        "accuracy has the exact interval, not Wilson's",
        "app/evidence/intervals.py",
        'method="wilson"',
        'method="exact"',
        ("tests/evidence/test_intervals.py",),
    ),
    Mutant(
        "two equal models have an interval of no width",
        "app/evidence/intervals.py",
        "(only_a / effect + 1) / adjusted, (only_b / effect + 1) / adjusted",
        "only_a / images, only_b / images",
        ("tests/evidence/test_intervals.py",),
    ),
    Mutant(
        "conformal sets forget the photo that is asked",
        "app/evidence/conformal.py",
        "math.floor((count + 1) * error_rate + 1e-9)",
        "math.floor(count * error_rate + 1e-9)",
        ("tests/evidence/test_conformal.py",),
    ),
    Mutant(
        "a score on the edge of a bin counts for the next one",
        "app/evidence/calibration.py",
        "np.searchsorted(edges, score)",
        'np.searchsorted(edges, score, side="right")',
        ("tests/evidence/test_calibration.py",),
    ),
    Mutant(
        "overlapping training sets count as independent",
        "app/evidence/paired.py",
        "spread * (1 / seeds + photos / train_count)",
        "spread / seeds",
        ("tests/evidence/test_paired.py",),
    ),
    Mutant(
        "a stage is kept for any lower loss",
        "app/evidence/losses.py",
        "return gain > error",
        "return gain > 0",
        ("tests/evidence/test_losses.py",),
    ),
    Mutant(
        "costs are read by the answer instead of the truth",
        "app/evidence/decision.py",
        "probabilities @ self._matrix",
        "probabilities @ self._matrix.T",
        ("tests/evidence/test_decision.py",),
    ),
    Mutant(
        "an operating point lies on the score that it needs",
        "app/evidence/operating_point.py",
        "float(scored[place] + lower) / 2",
        "float(scored[place])",
        ("tests/evidence/test_operating_point.py",),
    ),
    Mutant(
        "what a photo counts is forgotten where it is held out",
        "app/training/strength.py",
        "self._counts * problem.losses(self._weights)",
        "problem.losses(self._weights)",
        ("tests/training/test_strength.py",),
    ),
    Mutant(
        "each epoch of balanced sampling begins with the same photos",
        "app/training/pipeline.py",
        "np.divmod(epoch * count + np.arange(count), len(classes))",
        "np.divmod(np.arange(count), len(classes))",
        (
            "tests/training/test_pipeline.py::test_a_balanced_order_shows_each_class_equally_often_and_each_photo_in_turn",
        ),
    ),
    Mutant(
        "a temperature is fitted without a prior",
        "app/training/stages.py",
        "_TEMPERATURE_PRIOR = 0.5",
        "_TEMPERATURE_PRIOR = 5e9",
        ("tests/training/test_stages.py",),
    ),
    Mutant(
        "early stopping waits one epoch more",
        "app/training/patience.py",
        "return self.waited >= self.patience",
        "return self.waited > self.patience",
        ("tests/training/test_patience.py",),
    ),
)

RUNS = (
    Mutant(
        "near-duplicates straddle a split",
        "app/data/duplicates.py",
        "            near[(near >= 0).all(axis=1)],\n",
        "",
        ("tests/data/test_duplicates.py",),
    ),
    Mutant(
        "the same pixels in other bytes are two photos",
        "app/data/duplicates.py",
        "record.pixels or record.fingerprint",
        "record.fingerprint",
        ("tests/data/test_same_pixels.py",),
    ),
    Mutant(
        "a scan remembers photos whatever the time of change of their files",
        "app/data/scan_cache.py",
        " AND mtime_ns = ?",
        " AND (mtime_ns = ? OR 1)",
        ("tests/data/test_scan.py",),
    ),
    Mutant(
        "a run of Regraft is a class",
        "app/data/passed_over.py",
        "if marks <= known)",
        "if marks < set())",
        ("tests/data/test_passed_over.py::test_what_regraft_wrote_is_known_by_its_files",),
    ),
    Mutant(
        "upper case makes another class",
        "app/data/class_names.py",
        ".lower())",
        ")",
        ("tests/data/test_class_names.py",),
    ),
    Mutant(
        "check does not ask whether the roles can be planned",
        "app/data/readiness.py",
        "            obstacles = [error.text]\n",
        "            pass\n",
        ("tests/data/test_readiness.py",),
    ),
    Mutant(
        "the feature cache forgets the weights",
        "app/inference/features.py",
        '"network": network_digest(extractor)',
        '"network": extractor.name',
        ("tests/inference/test_features.py",),
    ),
    Mutant(
        "the feature cache forgets how photos are read",
        "app/inference/features.py",
        '"reader": dict(reader.settings)',
        '"reader": {}',
        ("tests/inference/test_features.py",),
    ),
    Mutant(
        "a file's bytes are not on the disk before its name is",
        "app/machine/files.py",
        "        sync(temporary)\n",
        "",
        ("tests/machine/test_files.py",),
    ),
    Mutant(
        "a file's name is not on the disk when it is said to be",
        "app/machine/files.py",
        "        temporary.replace(path)\n        sync(path.parent)\n",
        "        temporary.replace(path)\n",
        ("tests/machine/test_files.py",),
    ),
    Mutant(
        "a draft gets its name before its bytes are on the disk",
        "app/machine/files.py",
        "        sync_tree(draft)\n",
        "        pass\n",
        ("tests/machine/test_files.py",),
    ),
    Mutant(
        "locks keep nobody out",
        "app/machine/locks.py",
        "    except BlockingIOError:\n        return False\n",
        "    except BlockingIOError:\n        return True\n",
        ("tests/machine/test_locks.py",),
    ),
    Mutant(
        "what bears a draft's name is removed without its mark",
        "app/machine/drafts.py",
        "    return not any(folder.iterdir())\n",
        "    return True\n",
        ("tests/machine/test_drafts.py",),
    ),
    Mutant(
        "a list of what to remove may lead out of its folder",
        "app/machine/files.py",
        "path.parent.resolve().is_relative_to(home)",
        "folder",
        ("tests/machine/test_files.py",),
    ),
    Mutant(
        "averaged weights are left aside where the last epoch was before the kill",
        "app/training/finetune.py",
        "trainer.optimizer.finalize_variable_values(model.trainable_variables)",
        "pass",
        ("tests/training/test_finetune.py::test_a_run_killed_after_its_last_epoch_ends_with_the_averaged_weights_too",),
    ),
    Mutant(
        "labels are not smoothed",
        "app/training/finetune.py",
        "CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)",
        "CategoricalCrossentropy(from_logits=True)",
        ("tests/training/test_finetune.py::test_labels_are_smoothed_as_the_recipe_says",),
    ),
    Mutant(
        "every run draws from the global generators with one seed",
        "app/training/building.py",
        "keras.utils.set_random_seed(recipe.seed)",
        "keras.utils.set_random_seed(0)",
        ("tests/training/test_session.py::test_what_layers_draw_from_the_global_generators_follows_the_seed",),
    ),
    Mutant(
        "code in a model is run",
        "app/inference/trained.py",
        "safe_mode=True",
        "safe_mode=False",
        ("tests/inference/test_trained.py",),
    ),
    Mutant(
        "a damaged file of a run is not noticed",
        "app/runs/digests.py",
        "digest_file(path) != kept[name]",
        "not kept[name]",
        ("tests/runs/test_digests.py",),
    ),
    Mutant(
        "a second signal interrupts the cleaning up after the first",
        "app/machine/signals.py",
        "    if not isinstance(stop_behind(sys.exception()), Stopped):\n",
        "    if True:\n",
        ("tests/machine/test_signals.py",),
    ),
)

ANSWERS = (
    Mutant(
        "a finished shard is said before it is on the disk",
        "app/prediction/journal.py",
        "        os.fsync(self._journal.fileno())\n",
        "",
        ("tests/prediction/test_killed_jobs.py::test_killed_at_some_operation_a_job_ends_as_an_uninterrupted_one",),
    ),
    Mutant(
        "a finished prediction is finished whatever is asked",
        "app/prediction/standing.py",
        '    _compare(job.out, "made", values, request)\n',
        "",
        ("tests/prediction/test_standing.py",),
    ),
    Mutant(
        "any folder of shards is ours",
        "app/prediction/standing.py",
        "        if others and job.is_file:\n",
        "        if not others and job.is_file:\n",
        ("tests/prediction/test_standing.py",),
    ),
    Mutant(
        "an export is opened whatever became of its files",
        "app/exports/export.py",
        "        if _digest_once(files[name]) != digest:\n",
        "        if not digest:\n",
        ("tests/exports/test_export.py::test_whatever_decides_an_answer_is_as_it_was_written_or_refused",),
    ),
    Mutant(
        "an export makes way with what others put into it",
        "app/exports/place.py",
        "        if others := sorted(set(there) - ours):\n",
        "        if others := sorted(set()):\n",
        ("tests/exports/test_place.py",),
    ),
    Mutant(
        "any difference of an export is called rounding",
        "app/exports/proof.py",
        "MOST_FLOAT_ERROR = 2e-2",
        "MOST_FLOAT_ERROR = 1.0",
        ("tests/exports/test_proof.py",),
    ),
    Mutant(
        "the colours of transparent pixels decide",
        "app/data/rendering.py",
        "np.array(background, np.uint32) * (255 - alpha)",
        "pixels[..., :3] * (255 - alpha)",
        ("tests/data/test_rendering.py",),
    ),
    Mutant(
        "a rotten byte in a zip is a member that is packed otherwise",
        "app/prediction/sources/zip.py",
        "            raise UnreadablePhoto(BAD_CHECKSUM) from error\n",
        '            return b""\n',
        ("tests/prediction/sources/test_archives.py",),
    ),
)

LABELS = (
    Mutant(
        "a group of photos is torn apart",
        "app/data/duplicates.py",
        "[*self._copies(records), named]",
        "self._copies(records)",
        ("tests/data/test_groups.py",),
    ),
    Mutant(
        "photos of one group count as single ones in an interval",
        "app/evidence/intervals.py",
        "_wilson(right / total, total / _design_effect(correct, groups))",
        "_wilson(right / total, total)",
        ("tests/evidence/test_intervals.py",),
    ),
    Mutant(
        "of two labels for one photo the first is taken",
        "app/data/tables/labelled.py",
        "if known.said == row.said:",
        "if known.path == row.path:",
        ("tests/data/tables/test_labelled.py",),
    ),
    Mutant(
        "the model of a fold learns from the fold before it",
        "app/data/folds.py",
        "if (of == fold) == there]",
        "if (of == fold) == there or of == fold - 1]",
        ("tests/data/test_folds.py",),
    ),
)

MUTANTS = (*AUGMENTATION, *NETWORKS, *EVIDENCE, *RUNS, *ANSWERS, *LABELS)
