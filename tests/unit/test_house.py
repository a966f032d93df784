"""House style as a test, after TigerBeetle's `tidy`: what ruff and mypy cannot hold is held here, and itself tested."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 250

# Files that may be longer than FILE_LINES_MAX, each with its reason. Empty is the aim.
LONGER_FILES: dict[str, str] = {}

# Names that say nothing of what is inside.
FORBIDDEN_FILES = ("utils.py", "util.py", "helpers.py", "misc.py")
FORBIDDEN_FOLDERS = ("common", "utils", "helpers")

# A name is spelled out: it is read a hundred times and typed once.
ABBREVIATION = re.compile(
    "acct|addr|amt|arr|buf|cfg|cmd|cnt|conf|ctx|curr|dest|elem|env|evt|fn|func|idx|impl|mgr|msg|num|obj|params?|pkg|prev"
    "|proc|qty|req|resp|ret|srv|stmt|svc|tbl|tmp|txn|usr|vals?"
)

# Names that pytest chose: its fixtures are asked for by name.
FOREIGN_NAMES = frozenset(["tmp_path", "tmp_path_factory"])

# Modules by which a decision would see the world, and the calls that reach it without an import of their own.
IMPURE_MODULE = re.compile(
    r"(asyncio|confluent_kafka|http|io|multiprocessing|os|pathlib|psycopg|random|requests|secrets|shutil|socket|subprocess"
    r"|tempfile|threading|time|urllib|uuid|voucher_ledger\.(runtime|dev))(\..*)?"
)
IMPURE_CALLS = frozenset(["now", "utcnow", "today", "open", "print", "input", "getenv"])

# A letter in brackets keeps this file from holding what it looks for.
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b|\bfor [n]ow\b")
REGISTRY_HOST = re.compile(
    r"py[p]i\.org|python[h]osted\.org|npm[j]s\.(org|com)|repo1?[.]maven|maven\.apache\.org/[m]aven2|central\.[s]onatype"
    r"|[c]rates\.io|proxy\.[g]olang|deb\.[d]ebian|--(extra-)?[i]ndex-url\b[ =]"
)
MACHINE_PATH = re.compile(r"(?<![\w.}$-])/(work|root|tmp|home/\w+)(?=[/\s\"'`]|$)")
BINARY = (".png", ".jpg", ".gif", ".ico", ".jar", ".zst", ".gz")


def tracked_files() -> list[Path]:
    """Every file that git holds, and the new ones among the sources, as paths below ROOT, sorted."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    # Only among the sources: elsewhere in the checkout a development cluster may keep its data.
    untracked = ["--others", "--exclude-standard", "--", "services", "tests", "schemas", "benchmarks", "docs"]
    listed: list[str] = []
    for arguments in (["--cached"], untracked):
        listing = subprocess.run(command + arguments, check=True, capture_output=True, text=True).stdout
        listed += listing.split("\0")
    paths = (ROOT / name for name in sorted(set(listed)) if name)
    return [path.relative_to(ROOT) for path in paths if path.is_file() and path.suffix not in BINARY]


def names_of(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node brings into being."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


def imported_modules(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called_name(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def shape_violations(path: Path, tree: ast.Module, lines: int) -> Iterator[str]:
    if path.name in FORBIDDEN_FILES or set(path.parts[:-1]) & set(FORBIDDEN_FOLDERS):
        yield f"{path}: name the file after what is in it"
    if lines > FILE_LINES_MAX and str(path) not in LONGER_FILES:
        yield f"{path}: {lines} lines, at most {FILE_LINES_MAX}: split it where a reader would"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES_MAX}"
        for name in set(names_of(node)) - FOREIGN_NAMES:
            for part in filter(ABBREVIATION.fullmatch, name.lower().split("_")):
                yield f"{path}:{getattr(node, 'lineno', 0)}: {name}: spell out {part!r}"


def purity_violations(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for module in imported_modules(node):
            if IMPURE_MODULE.fullmatch(module):
                yield f"{path}:{getattr(node, 'lineno', 0)}: a decision imports {module}: pass in what it needs"
        if called_name(node) in IMPURE_CALLS:
            yield f"{path}:{getattr(node, 'lineno', 0)}: a decision calls {called_name(node)}(): pass its result in"


def sleep_violations(path: Path, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if called_name(node) == "sleep" or "time.sleep" in imported_modules(node):
            yield f"{path}:{getattr(node, 'lineno', 0)}: a test sleeps: await the event itself, with a deadline"


def python_violations(path: Path, text: str) -> list[str]:
    """What in a Python file breaks the house's rules.

    Args:
        path: relative to the checkout; its folder and name decide which rules hold.
        text: the file's content.
    """
    tree = ast.parse(text)
    found = list(shape_violations(path, tree, text.count("\n")))
    if path.name == "decide.py":
        found += purity_violations(path, tree)
    if path.parts[0] == "tests":
        found += sleep_violations(path, tree)
    return found


def text_violations(path: Path, text: str) -> list[str]:
    """What in any text file must not be published: unfinished work, a registry's host, a path of one machine."""
    rules = (
        (UNFINISHED, "finish it, or file an issue"),
        (REGISTRY_HOST, "a registry's host is the user's setting"),
        (MACHINE_PATH, "a path of one machine"),
    )
    return [
        f"{path}:{number}: {match.group(0)!r}: {advice}"
        for number, line in enumerate(text.splitlines(), start=1)
        for pattern, advice in rules
        for match in pattern.finditer(line)
    ]


def test_every_file_keeps_the_house_style() -> None:
    files = tracked_files()
    assert Path("tests/unit/test_house.py") in files, "the search itself found nothing"
    found: list[str] = []
    for path in files:
        text = (ROOT / path).read_text(encoding="utf-8")
        found += text_violations(path, text)
        if path.suffix == ".py":
            found += python_violations(path, text)
    assert not found, "\n" + "\n".join(found)


def test_every_longer_file_is_still_longer() -> None:
    """An exception that is no longer needed is taken off the list."""
    for name in LONGER_FILES:
        assert (ROOT / name).read_text(encoding="utf-8").count("\n") > FILE_LINES_MAX, name


MODULE = "services/voucher_ledger/a.py"
DECISION = "services/voucher_ledger/claims/decide.py"
TEST = "tests/unit/test_a.py"
LONG_FUNCTION = "def long() -> None:\n" + "    pass\n" * FUNCTION_LINES_MAX


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (MODULE, LONG_FUNCTION, "long has 71 lines"),
        (MODULE, "\n" * (FILE_LINES_MAX + 1), "251 lines"),
        ("services/voucher_ledger/utils.py", "", "name the file"),
        ("services/voucher_ledger/common/a.py", "", "name the file"),
        (MODULE, "def read(c" + "fg: str) -> None: ...\n", "spell out"),
        (MODULE, "next_i" + "dx = 1\n", "spell out"),
        (DECISION, "import time\n", "imports time"),
        (DECISION, "from os import path\n", "imports os"),
        (DECISION, "from voucher_ledger import runtime\n", "imports voucher_ledger.runtime"),
        (DECISION, "def f() -> None:\n    import psycopg.sql\n", "imports psycopg.sql"),
        (DECISION, "import datetime\ndatetime.datetime.now()\n", "calls now()"),
        (TEST, "import time\ntime.sleep(1)\n", "a test sleeps"),
        (TEST, "from time import sleep\n", "a test sleeps"),
    ],
)
def test_a_planted_violation_in_python_is_found(path: str, text: str, expected: str) -> None:
    found = python_violations(Path(path), text)
    assert any(expected in line for line in found), found


@pytest.mark.parametrize(
    "text",
    [
        "# TO" + "DO: later",
        "good enough for " + "now",
        "--index-u" + "rl https://mirror",
        "https://py" + "pi.org/simple",
        "https://repo" + ".maven.apache.org/x",
        "see /wo" + "rk/main",
        'Path("/ro' + 'ot/.cache")',
        "cd /tm" + "p/x",
    ],
)
def test_a_planted_violation_in_text_is_found(text: str) -> None:
    assert len(text_violations(Path("docs/a.md"), text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (DECISION, "from datetime import timedelta\nfrom voucher_ledger.core import money\n"),
        ("services/voucher_ledger/runtime/batch.py", "import time\ntime.sleep(1)\n"),
        (MODULE, LONG_FUNCTION.replace("    pass\n", "", 1)),
        (MODULE, "command_message = 1\n"),
        (TEST, "def test_it(tmp_path: object) -> None: ...\n"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, text: str) -> None:
    assert python_violations(Path(path), text) == []
    assert text_violations(Path(path), "deploy/" + "work/a and $HOME/tmp/b, homework/root") == []
