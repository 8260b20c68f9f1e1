"""What a task over Ray returns or raises, with a Ray that does as it is told."""

from types import SimpleNamespace
from typing import Any

import pytest

from regraft.errors import ExportError, RunError, as_options, option
from regraft.machine.ray_cluster import remote, result_of


class RayError(Exception):
    """Base of what Ray raises."""


class RayTaskError(RayError):
    """A task raised `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("a long text")
        self.cause = cause


def ray_that(*, returns: Any = None, raises: Exception | None = None) -> Any:
    def get(reference: str) -> Any:
        assert reference == "reference"
        if raises:
            raise raises
        return returns

    return SimpleNamespace(get=get, exceptions=SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError))


def test_what_a_task_returned_comes_back():
    assert result_of(ray_that(returns=(b"rows", 3)), "reference", "Shard 3 lost its worker") == (b"rows", 3)


def test_an_error_of_ours_comes_back_with_its_kind_and_its_arguments():
    with pytest.raises(ExportError) as caught:
        result_of(ray_that(raises=RayTaskError(ExportError(f"Choose another {option('precision')}"))), "reference", "")
    assert as_options(caught.value.text) == "Choose another --precision"


def test_any_other_error_of_a_task_is_left_as_it_is():
    with pytest.raises(RayTaskError):
        result_of(ray_that(raises=RayTaskError(ZeroDivisionError())), "reference", "")


def test_a_task_whose_workers_died_says_whose_it_was_how_often_and_why():
    with pytest.raises(RunError) as caught:
        result_of(ray_that(raises=RayError("The node died.\nMore of it.")), "reference", "Shard 3 lost its worker")
    assert str(caught.value) == "Shard 3 lost its worker 4 times (The node died.)."


def test_a_task_takes_a_core_and_is_begun_anew_three_times():
    asked: list[dict[str, int]] = []
    ray = SimpleNamespace(remote=lambda **options: asked.append(options) or (lambda function: function))
    assert remote(ray, len) is len
    assert asked == [{"num_cpus": 1, "max_retries": 3}]
