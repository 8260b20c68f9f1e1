"""A purpose is all that trainings differ in: a new one needs no code that knows it."""

from dataclasses import replace
from pathlib import Path

import pytest
from drawn_photos import PhotoFolder

from regraft.recipes.recipe import load_recipe
from regraft.runs.roster import read_roster
from regraft.training.finish import FINISHERS
from regraft.training.purpose import FULL, MEMBER, SINGLE, TRIAL, Purpose
from regraft.training.session import Request
from regraft.training.train import train_photos


@pytest.fixture
def request_for(photo_folder: PhotoFolder, tmp_path: Path) -> Request:
    recipe = load_recipe("quick", {"model.backbone": "tiny", "head.l2": [0.1], "data.select_fraction": 0.2})
    return Request(str(photo_folder({"ant": 6, "bee": 6})), recipe, out=tmp_path / "run")


def test_a_request_is_for_a_full_run_unless_it_says_otherwise(request_for: Request):
    arguments = (request_for.recipe, Path("other"))
    made = [request_for.member(*arguments), request_for.single(*arguments), request_for.trial(*arguments)]
    assert [request.purpose for request in (request_for, *made)] == [FULL, MEMBER, SINGLE, TRIAL]


def test_every_end_is_a_function_of_that_name():
    assert {name: function.__name__ for name, function in FINISHERS.items()} == {name: name for name in FINISHERS}


def test_a_purpose_that_nobody_knew_is_served(request_for: Request):
    spare = Purpose(verb="probe", holds_selection=True, exports=False, finish="finish_trial")
    run = train_photos(replace(request_for, purpose=spare))
    assert run.environment["verb"] == "probe"
    assert [row.role for row in read_roster(run.roster_file)].count("select") == 2
    assert not run.metrics.learned_from_select
    assert run.stages_file.is_file()
    assert not run.model_file.exists()
