"""Where things are kept that can be made again."""

from pathlib import Path

from regraft.machine.cache import cache_folder


def test_the_users_choice_comes_first(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_else_it_is_the_users_cache_folder(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("REGRAFT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "regraft"


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
