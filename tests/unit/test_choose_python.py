"""Which Python the environment is made with; the Pythons are scripts that say how fast they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHOOSE = Path(__file__).resolve().parents[2] / "requirements" / "choose_python"


def _python(folder: Path, name: str, microseconds: int | None) -> Path:
    """A Python that takes so long, or none that is fit."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    answer = "exit 1" if microseconds is None else f"printf '%s\\n' {microseconds} '{script}' '{script}'"
    script.write_text(f"#!/bin/sh\n{answer}\n")
    script.chmod(0o755)
    return script


def _real(folder: Path, name: str, before: str) -> Path:
    """The Python that runs the tests, in which `before` happened first; its runs are counted in the file `runs`."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(
        f"#!/bin/sh\necho >>'{folder / 'runs'}'\n"
        f"exec '{sys.executable}' -c 'import sys; {before}; exec(sys.argv[1])' \"$2\"\n"
    )
    script.chmod(0o755)
    return script


def _chosen(*folders: Path) -> tuple[str, str]:
    # What the script itself needs, without any Python that this machine has.
    tools = folders[0].parent / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("bash", "timeout", "readlink", "sh", "touch"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    path = os.pathsep.join([str(folder) for folder in (*folders, tools)])
    done = subprocess.run(["bash", CHOOSE], env={"PATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("first_us", "second_us", "is_first"),
    [(100, 100, True), (120, 100, True), (121, 100, False), (100, 50, False), (50, 100, True)],
)
def test_another_than_the_first_is_taken_where_it_is_a_fifth_faster(
    tmp_path: Path, first_us: int, second_us: int, *, is_first: bool
) -> None:
    first = _python(tmp_path / "one", "python3", first_us)
    second = _python(tmp_path / "two", "python3", second_us)

    chosen, told = _chosen(tmp_path / "one", tmp_path / "two")

    assert chosen == str(first if is_first else second)
    assert told == "" if is_first else f"PYTHON={first}" in told
    assert is_first or f"needs {second_us} microseconds for code like the hot path's where" in told


def test_a_newer_name_is_looked_at_too(tmp_path: Path) -> None:
    _python(tmp_path / "one", "python3", 100)
    newer = _python(tmp_path / "one", "python3.13", 50)

    assert _chosen(tmp_path / "one")[0] == str(newer)


@pytest.mark.parametrize(
    ("before", "is_fit"),
    [
        ("pass", True),
        ("sys.version_info = (3, 10, 9)", False),
        ('sys.modules["venv"] = None', False),
        ('sys.modules["ensurepip"] = None', False),
        ('print("hello")', False),
    ],
)
def test_what_is_too_old_or_has_no_venv_is_passed_over(tmp_path: Path, before: str, *, is_fit: bool) -> None:
    _real(tmp_path / "one", "python3", before)

    assert _chosen(tmp_path / "one")[0] == (sys.executable if is_fit else "")


def test_a_python_of_two_names_is_timed_once_and_not_again_where_there_is_no_other(tmp_path: Path) -> None:
    script = _real(tmp_path / "one", "python3", "pass")
    (tmp_path / "one" / "python3.11").symlink_to(script)

    _chosen(tmp_path / "one")

    assert (tmp_path / "one" / "runs").read_text() == "\n"


def test_one_that_was_disturbed_once_is_timed_again(tmp_path: Path) -> None:
    slow = _python(tmp_path / "one", "python3", 130)
    disturbed = _python(tmp_path / "two", "python3", 100)
    mark, slowly = tmp_path / "once", f"printf '%s\\n' 500 '{disturbed}' '{disturbed}'"
    once = f"[ -e '{mark}' ] || {{ touch '{mark}'; {slowly}; exit; }}"
    disturbed.write_text(disturbed.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{once}\n"))

    assert _chosen(slow.parent, disturbed.parent)[0] == str(disturbed)


def test_nothing_is_printed_where_none_is_fit(tmp_path: Path) -> None:
    _python(tmp_path / "one", "python3", None)

    assert _chosen(tmp_path / "one") == ("", "")


def test_a_real_python_is_measured() -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", CHOOSE], env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )

    version = subprocess.run([done.stdout.strip(), "-V"], capture_output=True, text=True, check=True).stdout
    assert tuple(int(part) for part in version.split()[1].split(".")[:2]) >= (3, 11)
    assert Path(done.stdout.strip()).is_absolute()
