"""The rules of the house, read from the syntax trees: who may import whom, who may speak, what must exist."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import house
import pytest

ROOT = Path(__file__).parents[1]
TESTED_ELSEWHERE = {
    "regraft.__main__": "cli/test_main::test_python_m_regraft_is_the_same_command",
    "regraft.errors": "test_errors",
    "regraft.api.judging_calls": "test_api::test_the_ten_lines_work",
    "regraft.api.model_calls": "test_api::test_the_ten_lines_work",
    "regraft.api.photo_calls": "test_api::test_the_ten_lines_work",
    "regraft.api.training_calls": "test_api::test_the_lines_that_train_again_work_as_they_stand",
    "regraft.cli.model_verbs": "cli/test_main::test_every_help_ends_with_a_command_that_works",
    "regraft.cli.options": "cli/test_main::test_options_win_over_set_and_set_over_the_recipe",
    "regraft.cli.other_verbs": "cli/test_main::test_backbones_lists_them_all",
    "regraft.cli.training_verbs": "cli/test_main::test_options_win_over_set_and_set_over_the_recipe",
    "regraft.data.scan_cache": "data/test_scan::test_the_cache_notices_a_changed_file",
    "regraft.data.walk": "data/test_scan::test_a_folder_that_cannot_be_entered_is_one_row_and_no_class",
    "regraft.data.inspection": "data/test_scan::test_threads_do_not_change_the_order",
    "regraft.data.tables.text": "prediction/sources/test_lists::test_a_text_file_of_paths_is_a_list",
    "regraft.machine.versions": "training/test_train::test_the_record_says_how_to_repeat_the_run",
    "regraft.runs.class_metrics": "runs/test_run_metrics::test_classes_and_confusion",
    "regraft.runs.checkpoints": "training/test_finetune::test_only_the_last_checkpoint_is_kept",
    "regraft.evidence.drawing": "evidence/test_curves::test_pictures_are_drawn",
    "regraft.evidence.judged": "evidence/test_metrics::test_measure_by_hand",
    "regraft.evidence.report.contents": "evidence/report/test_page::test_sections_with_content_are_there",
    "regraft.evidence.report.markup": "evidence/report/test_page::test_report_escapes_everything",
    "regraft.experiments.trials": "experiments/test_compare::test_the_figures_are_those_of_the_runs",
    "regraft.exports.litert": "exports/test_exporting::test_formats_and_precisions_are_proven_and_predict",
    "regraft.exports.onnx": "exports/test_exporting::test_formats_and_precisions_are_proven_and_predict",
    "regraft.exports.prove_export": "exports/test_saved_model::test_the_proof_imports_tensorflow_and_not_regraft",
    "regraft.exports.signatures": "exports/test_saved_model::test_the_signatures_are_those",
    "regraft.exports.table": "exports/test_format",
    "regraft.prediction.delivery": "prediction/test_killed_jobs::test_killed_at_any_operation_a_job_ends",
    "regraft.prediction.journal": "prediction/test_job::test_a_shard_that_lost_its_file_counts_as_not_done",
    "regraft.prediction.plan": "prediction/test_standing::test_a_plan_that_somebody_edited_leads_to_no_file_of_others",
    "regraft.prediction.planning": "prediction/test_killed_jobs::test_killed_at_any_operation_a_job_ends",
    "regraft.prediction.sources.kind": "prediction/sources/test_expand::test_a_file_is_taken_as_it_is",
    "regraft.prediction.sources.table": "prediction/sources/test_expand::test_a_file_is_taken_as_it_is",
    "regraft.prediction.sources.tar": "prediction/sources/test_archives::test_links_in_a_tar_and_damaged_members",
    "regraft.prediction.sources.zip": "prediction/sources/test_archives::test_links_in_a_tar_and_damaged_members",
    "regraft.prediction.over_ray": "prediction/test_job::test_over_ray_the_rows_are_the_same",
    "regraft.prediction.tables.csv": "prediction/tables/test_formats::test_a_csv_row_has_six_decimals",
    "regraft.prediction.tables.format": "prediction/tables/test_formats::test_merged_parts_are_the_rows_in_order",
    "regraft.prediction.tables.json_lines": "prediction/tables/test_formats::test_odd_names_come_back_as_they_are",
    "regraft.prediction.tables.parquet": "prediction/tables/test_formats::test_parquet_holds_text",
    "regraft.prediction.tables.table": "prediction/tables/test_formats",
    "regraft.prediction.time_network": "prediction/test_model_choice::test_the_measurement_is_made_in_processes",
    "regraft.training.finish": "training/test_train::test_a_run_directory_holds_what_the_documentation_lists",
    "regraft.training.first_order": "training/test_head::test_first_order_methods_come_near_the_minimum_and_repeat",
    "regraft.training.graft": "training/test_train::test_features_that_follow_from_a_seed",
    "regraft.training.judge": "training/test_train::test_a_member_keeps_its_last_stage",
    "regraft.training.network": "training/test_train",
    "regraft.training.resumable": "training/test_train::test_a_full_disk_leaves_a_run_that_does_not_load",
    "regraft.training.solver": "training/test_head",
    "regraft.training.worker": "training/test_many_runs::test_a_worker_ends",
    "regraft.ensembles.along_one_run": "ensembles/test_ensemble::test_an_average_of_epochs_is_their_mean",
    "regraft.ensembles.heads": "ensembles/test_ensemble::test_heads_share_the_backbone_in_the_combined_graph",
    "regraft.ensembles.independent": "ensembles/test_ensemble::test_members_differ_in_their_seed_and_share_their_split",
    "regraft.ensembles.members": "ensembles/test_ensemble::test_a_finished_member_is_not_trained_again",
    "regraft.ensembles.pilot": "ensembles/test_budget",
    "regraft.ensembles.plan": "ensembles/test_ensemble::test_plans_that_do_not_fit_are_refused",
    "regraft.augment.view_names": "augment/test_many_views",
    "regraft.models.errors": "test_errors::test_every_error_is_a_regraft_error_with_the_exit_code_of_its_kind",
    "regraft.models.hub.convolutions": "models/hub/test_graph",
    "regraft.models.hub.swin": "models/hub/test_graph",
    "regraft.models.optimizer_table": "models/test_optimizers",
    "regraft.models.schedule_table": "models/test_schedules",
    "regraft.models.tiny": "models/test_backbones",
}
"""Modules without a test file of their own, and where they are tested: a file that imports
them, or the beginning of the name of one test in it."""

_AN_ARGUMENT_FOR_EACH_OPTION = (
    "regraft.api.model_calls.export",
    "regraft.api.model_calls.predict",
    "regraft.api.judging_calls.threshold",
    "regraft.api.photo_calls.augment_preview",
    "regraft.api.training_calls.compare",
    "regraft.api.training_calls.ensemble",
    "regraft.api.training_calls.find_lr",
    "regraft.api.training_calls.pretrain",
    "regraft.api.training_calls.train",
    "regraft.cli.model_verbs.export",
    "regraft.cli.model_verbs.predict",
    "regraft.cli.model_verbs.threshold",
    "regraft.cli.photo_verbs.augment_preview",
    "regraft.cli.training_verbs.compare",
    "regraft.api.judging_calls.evaluate",
    "regraft.cli.training_verbs.ensemble",
    "regraft.cli.training_verbs.find_lr",
    "regraft.cli.training_verbs.pretrain",
    "regraft.cli.training_verbs.train",
    "regraft.exports.exporting.export_run",
)
LARGE_FOR_A_REASON = {
    **dict.fromkeys(_AN_ARGUMENT_FOR_EACH_OPTION, "an argument for each option, each explained where it is public"),
    "regraft.training.strength.choose_l2": "the problem, what is compared, how folds are drawn, and who is told",
    "regraft.training.layers.choose_layers": "the same of each number of layers",
    "regraft.models.optimizers.make_optimizer": "a keyword for each key of the recipe's [optimizer]",
}
"""What is beyond the measure of `house.too_large`, and why."""

HEAVY = ("tensorflow", "keras", "matplotlib", "scipy", "sklearn", "pydantic", "numpy")
MOST_BYTES = 2 * 1024 * 1024


def tracked_files() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def test_augment_needs_tensorflow_alone():
    assert house.foreign_imports(ROOT, "regraft.augment", {"tensorflow", "keras", "numpy"}) == []


def test_models_need_keras_alone_and_run_on_every_backend():
    assert house.foreign_imports(ROOT, "regraft.models", {"keras", "keras_hub", "numpy", "h5py"}) == []


def test_imports_only_go_up_the_layers_and_strangers_stay_strangers():
    assert house.imports_against_the_layers(ROOT) == []


def test_modules_import_one_another_without_cycles():
    assert house.import_cycles(ROOT) == []


def test_nothing_imports_the_folders_by_their_own_names():
    folders = (*house.FOLDERS.values(), "tests", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    roots = [f"{path}: {name}" for path in files for name in house.imported_names(path) if is_folder_name(name)]
    assert roots == []


def is_folder_name(dotted: str) -> bool:
    return dotted.startswith(".") or dotted.partition(".")[0] in house.FOLDERS.values()


def test_only_the_command_line_prints_or_exits():
    # Keras reports its downloads on stdout; this sends them where progress belongs.
    assert house.speakers(ROOT) == ["regraft.models.weights: sys.stderr"]


def test_processes_are_started_in_one_place():
    assert house.process_starters(ROOT) == []


def test_how_a_recipe_sees_photos_and_which_rows_had_a_role_are_each_decided_once():
    assert house.callers(ROOT, "regraft.inference.views.ViewReader") == []
    assert house.callers(ROOT, "regraft.runs.roster.read_roster") == ["regraft.runs.photos_now"]


def test_no_module_hides_a_public_function():
    assert house.names_of_verbs(ROOT) == []


def test_the_application_is_seen_at_a_glance():
    entries = [path.name for path in (ROOT / "app").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= house.MOST_ENTRIES, entries


def test_modules_and_functions_are_small_or_say_why_not():
    assert [each for each in house.too_large(ROOT) if each.partition(":")[0] not in LARGE_FOR_A_REASON] == []


def test_every_reason_to_be_large_is_still_needed():
    assert set(LARGE_FOR_A_REASON) <= {each.partition(":")[0] for each in house.too_large(ROOT)}


def test_no_module_is_a_drawer_for_everything():
    assert not house.DRAWERS & {path.stem for path in tracked_files()}


@pytest.mark.parametrize("name", [name for name in house.source_files(ROOT) if not name.endswith("__init__")])
def test_every_module_has_its_test_file_where_the_package_says(name):
    package, _, module = name.removeprefix("regraft.").rpartition(".")
    expected = f"{package.replace('.', '/')}/test_{module}".lstrip("/")
    assert name in TESTED_ELSEWHERE or (ROOT / "tests" / f"{expected}.py").is_file()


@pytest.mark.parametrize(("module", "where"), TESTED_ELSEWHERE.items())
def test_a_module_that_is_tested_elsewhere_is_tested_there(module, where):
    assert house.is_tested_in(ROOT, module, where)


def test_every_exception_to_the_test_file_rule_is_still_a_module():
    assert set(TESTED_ELSEWHERE) <= set(house.source_files(ROOT))


def test_every_package_is_in_the_wheel():
    assert house.packages_missing_from_the_wheel(ROOT) == []


def test_every_style_sheet_and_weights_file_is_in_the_wheel():
    assert house.data_missing_from_the_wheel(ROOT) == []


def test_the_command_line_starts_without_the_heavy_libraries():
    code = f"import sys, regraft, regraft.cli.main; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_file_of_the_repository_is_over_two_megabytes():
    assert [path.name for path in tracked_files() if path.is_file() and path.stat().st_size > MOST_BYTES] == []


# --- the guards themselves, on a copy in which a rule is broken ---


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the rules look at."""
    for folder in house.FOLDERS.values():
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.h5"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(copy: Path, where: str, code: str) -> None:
    """Adds a module to the copy."""
    path = copy / where
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code, "utf-8")


@pytest.mark.parametrize(
    ("where", "code", "found"),
    [
        ("app/data/planted.py", "from regraft.training.session import Session\n", "regraft.training.session.Session"),
        ("app/data/deeper/planted.py", "def f():\n    import regraft.cli.main\n", "regraft.cli.main"),
        ("app/training/planted.py", "from regraft.prediction.job import Job\n", "regraft.prediction.job.Job"),
        ("app/prediction/planted.py", "from regraft.training import head\n", "regraft.training.head"),
        ("app/machine/planted.py", "from regraft import api\n", "regraft.api"),
        ("app/attic/planted.py", "from regraft.errors import RunError\n", "regraft.errors.RunError"),
    ],
)
def test_a_file_in_a_sub_package_that_breaks_the_layers_is_found(copy, where, code, found):
    plant(copy, where, code)
    module = where.removesuffix(".py").replace("app", "regraft", 1).replace("/", ".")
    assert house.imports_against_the_layers(copy) == [f"{module} imports {found}"]


@pytest.mark.parametrize(
    "code",
    [
        "print('hello')",
        "say = print",
        "import builtins; builtins.print('hello')",
        "import sys; sys.exit(1)",
        "import sys as system; system.stderr.write('hello')",
        "from sys import stdout",
        "from sys import exit as leave; leave(1)",
        "import os; os._exit(1)",
    ],
)
def test_a_file_in_a_sub_package_that_speaks_or_exits_is_found(copy, code):
    before = house.speakers(copy)
    plant(copy, "app/evidence/deeper/planted.py", code)
    assert len(house.speakers(copy)) == len(before) + 1


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import subprocess; subprocess.run(['ls'])", "subprocess.run"),
        ("import subprocess as sp; sp.check_call(['ls'])", "subprocess.check_call"),
        ("from subprocess import run", "subprocess.run"),
        ("from subprocess import Popen as start", "subprocess.Popen"),
        ("import subprocess; start = subprocess.Popen", "subprocess.Popen"),
        ("import os; os.popen('ls')", "os.popen"),
        ("import os; os.execvp('ls', ['ls'])", "os.execvp"),
        ("def f():\n    import multiprocessing", "multiprocessing"),
        ("from concurrent.futures import ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor"),
    ],
)
def test_a_process_started_elsewhere_is_found(copy, code, found):
    plant(copy, "app/exports/planted.py", code)
    assert house.process_starters(copy) == [f"regraft.exports.planted: {found}"]


@pytest.mark.parametrize("code", ["pipe = subprocess.PIPE", "def f(started: subprocess.Popen[bytes]): ..."])
def test_what_only_speaks_of_processes_is_no_finding(copy, code):
    plant(copy, "app/exports/planted.py", f"import subprocess\n{code}\n")
    assert house.process_starters(copy) == []


def test_a_function_that_is_called_is_found_under_any_name(copy):
    plant(copy, "app/exports/planted.py", "from regraft.runs import roster\nroster.read_roster('images.csv')\n")
    plant(copy, "app/exports/more.py", "from regraft.runs.roster import read_roster as rows\nrows('images.csv')\n")
    found = house.callers(copy, "regraft.runs.roster.read_roster")
    assert found == ["regraft.exports.more", "regraft.exports.planted", "regraft.runs.photos_now"]


@pytest.mark.parametrize("where", ["app/planted/__init__.py", "app/data/deeper/planted.py", "models/more/__init__.py"])
def test_a_package_that_the_wheel_would_lack_is_found(copy, where):
    plant(copy, where, "")
    assert len(house.packages_missing_from_the_wheel(copy)) == 1


def test_a_style_sheet_that_the_wheel_would_lack_is_found(copy):
    plant(copy, "app/data/planted.css", "")
    project = (copy / "pyproject.toml").read_text("utf-8")
    (copy / "pyproject.toml").write_text(project.replace('"regraft.evidence.report" = ["*.css"]\n', ""), "utf-8")
    found = ["regraft.data: planted.css", "regraft.evidence.report: page.css"]
    assert house.data_missing_from_the_wheel(copy) == found


def test_a_cycle_and_the_name_of_a_verb_are_found(copy):
    plant(copy, "app/data/one.py", "import regraft.data.two\n")
    plant(copy, "app/data/two.py", "import regraft.data.one\n")
    plant(copy, "app/train/__init__.py", "")
    assert set(house.import_cycles(copy)) == {"regraft.data.one", "regraft.data.two"}
    assert house.names_of_verbs(copy) == ["train"]


def test_what_has_become_too_large_is_found(copy):
    plant(copy, "app/data/planted.py", "\n" * 399 + "def f(a, b, c, d, e, *, f, g, h, i):\n    pass\n" + "\n" * 70)
    found = [each for each in house.too_large(copy) if "planted" in each]
    assert found == ["regraft.data.planted: 471 lines", "regraft.data.planted.f: 9 parameters"]


def test_a_file_or_a_test_that_does_not_test_a_module_is_found(copy):
    plant(copy, "tests/test_one.py", "from regraft.data.scan import plural\n\n\ndef test_words():\n    pass\n")
    plant(copy, "tests/test_two.py", "def test_lines():\n    regraft.data.scan.plural(1, 'image')\n")
    assert house.is_tested_in(copy, "regraft.data.scan", "test_one")
    assert house.is_tested_in(copy, "regraft.data.scan", "test_two::test_li")
    assert not house.is_tested_in(copy, "regraft.data.scan", "test_two::test_words")
    assert not house.is_tested_in(copy, "regraft.data.roles", "test_one")
    assert not house.is_tested_in(copy, "regraft.data.scan", "test_three")


def test_file_names_of_tests_are_unique_over_the_whole_tree():
    """Pytest takes a second one of a name for the first, and collects neither."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
