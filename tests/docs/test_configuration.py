"""The tables of variables in docs/ and the variables that the code reads: the two must match."""

import ast
import os
import re
import runpy
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

import pytest

from dashboard.partner_api import conf
from tests.docs.pages import DOCS, ROOT

CONFIGURATION = DOCS / "configuration.md"
PARTNER_API = DOCS / "partner-api.md"
_ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)`( \(\*or file\*\))? \| (.+?) \| .+ \|$", re.MULTILINE)


class Recording(MutableMapping[str, str]):
    """An empty environment that records each variable read, with its default."""

    def __init__(self) -> None:
        self.asked: dict[str, str] = {}

    def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
        self.asked[key] = self.asked.get(key) or default or ""
        return default

    def __getitem__(self, key: str) -> str:
        self.asked.setdefault(key, "")
        raise KeyError(key)

    def __setitem__(self, key: str, value: str) -> None:
        raise AssertionError(f"{key} is set while settings are read")

    def __delitem__(self, key: str) -> None:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables, with their defaults, that the settings and gunicorn.conf.py read when imported."""
    environment = Recording()
    monkeypatch.setattr(sys, "path", list(sys.path))
    with monkeypatch.context() as patched:
        patched.setattr(os, "environ", environment)
        for file in ("dashboard/settings.py", "gunicorn.conf.py"):
            runpy.run_path(str(ROOT / file))
    return environment.asked


def asked_for(file: Path) -> set[str]:
    """Return the names of the variables that a file reads with `os.environ.get(…)` or `is_given(…)`."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    constants = {
        ast.unparse(target): node.value for node in nodes if isinstance(node, ast.Assign) for target in node.targets
    }
    first = [
        node.args[0]
        for node in nodes
        if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in {"os.environ.get", "is_given"}
    ]
    named = [constants.get(one.id) if isinstance(one, ast.Name) else one for one in first]
    return {str(one.value) for one in named if isinstance(one, ast.Constant)}


def documented(page: Path) -> dict[str, tuple[bool, str]]:
    """Return the variables of a page's tables, each with whether a file may hold it, and its "Default" column."""
    rows = _ROW.findall(page.read_text())
    names = [name for name, _, _ in rows]
    assert sorted(names) == sorted(set(names)), "a variable stands twice"
    return {name: (bool(file), default) for name, file, default in rows}


def test_configuration_has_every_variable_that_is_read_and_no_other(recorded: dict[str, str]) -> None:
    sources = [file for file in (ROOT / "dashboard").rglob("*.py") if "partner_api" not in file.parts]
    elsewhere = {name for file in sources for name in asked_for(file) if not name.startswith("PARTNER_API_")}
    files = {name for name in recorded if name.endswith("_FILE")}
    read, told = (set(recorded) - files) | elsewhere, set(documented(CONFIGURATION))
    assert (read - told, told - read) == (set(), set()), "missing in the docs; read nowhere"


def test_configuration_says_which_variables_a_file_may_hold(recorded: dict[str, str]) -> None:
    from_files = {name.removesuffix("_FILE") for name in recorded if name.endswith("_FILE")}
    assert {name for name, (file, _) in documented(CONFIGURATION).items() if file} == from_files


def test_configuration_has_the_defaults_of_the_code(recorded: dict[str, str]) -> None:
    told = documented(CONFIGURATION)
    defaults = {name: default.removeprefix(f"{ROOT}/") for name, default in recorded.items() if default}
    wrong = {name: default for name, default in defaults.items() if f"`{default}`" not in told[name][1]}
    assert wrong == {}


def test_partner_api_has_every_variable_that_is_read_and_no_other() -> None:
    sources = (ROOT / "dashboard/partner_api").rglob("*.py")
    read = {name for file in sources for name in asked_for(file)} - {"DATABASE_URL"} | set(conf.DEFAULTS)
    told = set(documented(PARTNER_API))
    assert (read - told, told - read) == (set(), set()), "missing in the docs; read nowhere"


def test_partner_api_has_the_defaults_of_the_code() -> None:
    told = documented(PARTNER_API)
    for name, default in conf.DEFAULTS.items():
        text = ",".join(map(str, default)) if isinstance(default, tuple) else str(int(default))
        assert not text or f"`{text}`" in told[name][1], name
