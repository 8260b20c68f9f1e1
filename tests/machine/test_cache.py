"""Where things are kept that can be made again."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from regraft.errors import UsageError
from regraft.machine import cache
from regraft.machine.cache import cache_folder, cache_limit, hold, unheld


def test_the_users_choice_comes_first(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_else_it_is_the_users_cache_folder(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("REGRAFT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "regraft"


@pytest.mark.parametrize("variable", ["REGRAFT_CACHE", "XDG_CACHE_HOME"])
def test_the_home_folder_of_a_user_that_does_not_exist_is_refused(monkeypatch, variable: str):
    monkeypatch.delenv("REGRAFT_CACHE", raising=False)
    monkeypatch.setenv(variable, "~no such user/x")
    with pytest.raises(UsageError) as caught:
        cache_folder()
    reason = 'begins with the home folder of a user that does not exist: "~no such user/x".'
    assert str(caught.value) == f"{variable} {reason}"


def test_a_user_without_a_home_folder_has_a_folder_of_his_own(monkeypatch, tmp_path: Path):
    def has_none(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for variable in ("REGRAFT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "expanduser", has_none)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert folder == cache_folder() == tmp_path / f"regraft-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.symlink_to(tmp_path)  # as somebody else could, to have what he likes believed
    with pytest.raises(UsageError, match=f"{folder} is not yours; set REGRAFT_CACHE to one"):
        cache_folder()


def test_the_limit_is_the_users_or_ten_gigabytes_or_a_tenth_of_the_disk(monkeypatch):
    disk = SimpleNamespace(total=40_000_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: disk)
    monkeypatch.delenv("REGRAFT_CACHE_LIMIT", raising=False)
    assert cache_limit() == 4_000_000_000
    disk.total = 4_000_000_000_000
    assert cache_limit() == 10_000_000_000
    for text, limit in (("20GB", 20_000_000_000), ("none", None), ("0", 0)):
        monkeypatch.setenv("REGRAFT_CACHE_LIMIT", text)
        assert cache_limit() == limit
    monkeypatch.setenv("REGRAFT_CACHE_LIMIT", "plenty")
    with pytest.raises(UsageError) as caught:
        cache_limit()
    assert str(caught.value) == 'REGRAFT_CACHE_LIMIT must be a size such as 500MB or 10GB, or none; received "plenty".'


def test_what_another_process_holds_is_held_until_that_ends(tmp_path: Path):
    code = "import sys, pathlib; from regraft.machine.cache import hold; hold(pathlib.Path(sys.argv[1]))"
    code += "; print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with unheld(tmp_path) as is_free:
        assert not is_free  # nothing marks it as a part of the cache
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], **pipes) as holder:
        holder.stdout.readline()
        with unheld(tmp_path) as is_free:
            assert not is_free
        holder.communicate(b"\n")
    with unheld(tmp_path) as is_free:
        assert is_free


def test_who_begins_to_hold_while_room_is_made_waits_and_holds_then(tmp_path: Path):
    (tmp_path / ".in-use").touch()
    holder = threading.Thread(target=hold, args=[tmp_path])
    with unheld(tmp_path) as is_free:
        assert is_free
        holder.start()
        holder.join(0.1)
        assert holder.is_alive()
    holder.join(10)
    with unheld(tmp_path) as is_free:
        assert not is_free
    os.close(cache._HELD.pop(tmp_path))


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", "~/elsewhere")
    assert cache_folder() == Path.home() / "elsewhere"
