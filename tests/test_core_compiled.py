"""Machine code is kept where it can be; where it cannot, the loops run all the same."""

import errno
import os
import tempfile
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

from cytoshift.core import compiled


def twice(values):
    return 2 * values


def test_code_is_kept_in_the_folder_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))
    assert (compiled.njit(twice)(np.arange(3)) == [0, 2, 4]).all()
    assert any(tmp_path.rglob("*.nbc"))
    assert tmp_path in compiled.cache_folder().parents
    again = compiled.njit(twice)
    assert (again(np.arange(3)) == [0, 2, 4]).all() and sum(again.stats.cache_hits.values()) == 1


def refuse_all_but(folder, monkeypatch):
    """As a user without a home, who may not write to the installation."""

    def refused(self):
        if folder is None or folder not in Path(self.get_cache_path()).parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        os.makedirs(self.get_cache_path(), exist_ok=True)

    monkeypatch.setattr(caching._CacheLocator, "ensure_cache_path", refused)
    monkeypatch.setattr(tempfile, "tempdir", str(folder or "/nonexistent"))
    with pytest.raises(RuntimeError, match="no locator available"):
        caching.FunctionCache(twice)  # what numba's own decorator ends with


def test_without_a_folder_to_write_to_loops_are_compiled_all_the_same(monkeypatch):
    refuse_all_but(None, monkeypatch)
    assert (compiled.njit(twice)(np.arange(3)) == [0, 2, 4]).all()
    assert compiled.cache_folder() is None


def test_without_a_home_code_is_kept_in_a_private_folder(tmp_path, monkeypatch):
    refuse_all_but(tmp_path, monkeypatch)
    assert (compiled.njit(twice)(np.arange(3)) == [0, 2, 4]).all()
    private = tmp_path / f"cytoshift-compiled-{os.getuid()}"
    assert any(private.rglob("*.nbc")) and private.stat().st_mode & 0o777 == 0o700
    assert private in compiled.cache_folder().parents and not numba.config.CACHE_DIR


def test_no_folder_is_made_of_a_tilde(tmp_path, monkeypatch):
    """A user who is in no list of users and has no HOME: expanduser leaves "~" as it is."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(compiled.os, "access", lambda path, mode: False)  # of the installation
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert tmp_path / f"cytoshift-compiled-{os.getuid()}" in compiled.cache_folder().parents
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "work"))  # where /tmp cannot be written
    assert compiled.cache_folder() is None
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("kind", ["open to all", "a link", "a file"])
def test_a_folder_that_others_could_have_filled_is_not_taken(tmp_path, monkeypatch, kind):
    refuse_all_but(tmp_path, monkeypatch)
    place = tmp_path / f"cytoshift-compiled-{os.getuid()}"
    if kind == "open to all":
        place.mkdir()
        place.chmod(0o777)
    elif kind == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.touch()
    assert compiled.cache_folder() is None
    assert (compiled.njit(twice)(np.arange(3)) == [0, 2, 4]).all()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_full_disk_costs_the_cache_and_not_the_command(tmp_path, monkeypatch, code):
    def full(self, name, data):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_data", full)
    assert (compiled.njit(twice)(np.arange(3)) == [0, 2, 4]).all()


@pytest.mark.parametrize("content", [b"", b"\x80\x04", b"nonsense"])
def test_a_damaged_cache_is_as_none(tmp_path, monkeypatch, content):
    monkeypatch.setattr(caching.config, "CACHE_DIR", str(tmp_path))
    compiled.njit(twice)(np.arange(3))
    files = [*tmp_path.rglob("*.nbi"), *tmp_path.rglob("*.nbc")]
    for file in files:
        file.write_bytes(content)
    assert len(files) == 2 and (compiled.njit(twice)(np.arange(3)) == [0, 2, 4]).all()


def test_every_loop_is_compiled_in_the_one_place():
    source = Path(compiled.__file__).parents[1]
    importing = {path.name for path in source.rglob("*.py") if "import numba" in (text := path.read_text())
                 or "from numba" in text}  # fmt: skip
    assert importing == {"compiled.py"}
