"""What is said of options that do not exist."""

import pytest
from command_line import run_regraft

from regraft.cli import peers
from regraft.cli.main import regraft
from regraft.recipes.recipe import all_keys


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("train x --lr 3", "It is a recipe key: --set optimizer.learning_rate=VALUE."),
        ("train x --learning-rate 3", "It is a recipe key: --set optimizer.learning_rate=VALUE."),
        ("pretrain x --batch-size 4", "It is a recipe key: --set finetune.batch_size=VALUE."),
        ("compare x --dropout 0.1", "It is a recipe key: --set regularize.dropout=VALUE."),
        ("ensemble x --weight-decay 0.1", "It is a recipe key: --set optimizer.weight_decay=VALUE."),
        ("train x --optimizer sgd", "It is a recipe key: --set optimizer.name=NAME."),
        ("train x --model resnet50", "Here it is --backbone."),
        ("train x --output y", "Here it is --out."),
        ("train --data x", "It is given without an option: regraft train FOLDER | TABLE."),
        ("predict x y --batch-size 4", "See regraft predict --help."),
        ("train x --bakbone tiny", "Did you mean '--backbone'? See regraft train --help."),
        ("check x --zzz", "See regraft check --help."),
    ],
)
def test_the_options_of_other_programs_lead_to_ours(words: str, advice: str):
    asked = next(word for word in words.split() if word.startswith("--"))
    answer = run_regraft(*words.split())
    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == f"regraft: No such option '{asked}'. {advice}\n"


def test_what_is_advised_exists_and_no_name_is_ours_already():
    options = {name for verb in regraft.commands.values() for param in verb.params for name in param.opts}
    assert set(peers._RECIPE_KEYS) <= set(all_keys())
    assert set(peers._OPTIONS) <= options
    train = {name for param in regraft.commands["train"].params for name in param.opts}
    names = " ".join(peers._RECIPE_KEYS.values()).split()
    assert not {f"--{name}" for name in names} & train
    assert len(names) == len(set(names))
