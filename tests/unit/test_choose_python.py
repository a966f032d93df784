"""Which Python the environment is made with; the Pythons are scripts that say how fast they are."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHOOSE = Path(__file__).resolve().parents[2] / "requirements" / "choose_python"


def _python(folder: Path, name: str, milliseconds: int | None) -> Path:
    """A Python that takes so long, or none that is fit."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    answer = "exit 1" if milliseconds is None else f"printf '%s\\n' {milliseconds} '{script}' '{script}'"
    script.write_text(f"#!/bin/sh\n{answer}\n")
    script.chmod(0o755)
    return script


def _chosen(*folders: Path) -> tuple[str, str]:
    # What the script itself needs, without any Python that this machine has.
    tools = folders[0].parent / "tools"
    tools.mkdir(exist_ok=True)
    for name in ("bash", "timeout", "readlink"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    path = os.pathsep.join([str(folder) for folder in (*folders, tools)])
    done = subprocess.run(["bash", CHOOSE], env={"PATH": path}, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize(
    ("first_ms", "second_ms", "is_first"),
    [(100, 100, True), (120, 100, True), (121, 100, False), (100, 50, False), (50, 100, True)],
)
def test_another_than_the_first_is_taken_where_it_is_a_fifth_faster(
    tmp_path: Path, first_ms: int, second_ms: int, *, is_first: bool
) -> None:
    first = _python(tmp_path / "one", "python3", first_ms)
    second = _python(tmp_path / "two", "python3", second_ms)

    chosen, told = _chosen(tmp_path / "one", tmp_path / "two")

    assert chosen == str(first if is_first else second)
    assert told == "" if is_first else f"PYTHON={first}" in told


def test_a_newer_name_is_looked_at_too(tmp_path: Path) -> None:
    _python(tmp_path / "one", "python3", 100)
    newer = _python(tmp_path / "one", "python3.13", 50)

    assert _chosen(tmp_path / "one")[0] == str(newer)


def test_what_is_too_old_or_has_no_venv_is_passed_over(tmp_path: Path) -> None:
    _python(tmp_path / "one", "python3", None)
    fit = _python(tmp_path / "two", "python3", 100)

    assert _chosen(tmp_path / "one", tmp_path / "two")[0] == str(fit)


def test_nothing_is_printed_where_none_is_fit(tmp_path: Path) -> None:
    _python(tmp_path / "one", "python3", None)

    assert _chosen(tmp_path / "one") == ("", "")


def test_a_real_python_is_measured() -> None:
    done = subprocess.run(["bash", CHOOSE], capture_output=True, text=True, check=True)

    version = subprocess.run([done.stdout.strip(), "-V"], capture_output=True, text=True, check=True).stdout
    assert tuple(int(part) for part in version.split()[1].split(".")[:2]) >= (3, 11)
    assert Path(done.stdout.strip()).is_absolute()
