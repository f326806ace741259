"""Check the layout: each folder holds what its name says, and the tests mirror the modules. `make lint` runs this.

The tests of dashboard/a/b.py are in tests/a/test_b.py, or in several files with longer names (test_b_tls.py). Tests
of a whole package are named after the package.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Modules allowed at the top of dashboard/: the entry points, and what every layer imports.
TOP = {"apps", "dev_settings", "settings", "tasks", "urls", "wsgi"}
TOP |= {"addresses", "logs", "metrics", "signatures", "vault"}
# Modules with declarations only, which need no tests of their own. Django, gunicorn, or Python loads them by these
# fixed names, and any test that opens a page, reads a setting, or starts a process loads them first.
ENTRY_POINTS = {"__main__", "apps", "dev_settings", "settings", "urls", "wsgi"}
# Test folders that cover the whole product instead of one module.
WHOLE_PRODUCT = {"attacks", "bench", "contract", "docs", "faults", "journeys"}
NAMELESS = {"common", "helpers", "utils"}


def problems(root: Path) -> list[str]:
    """Return one sentence for each misplaced module or test, and for each module without tests."""
    return [*misplaced_modules(root), *modules_without_tests(root), *tests_without_module(root)]


def misplaced_modules(root: Path) -> Iterator[str]:
    dashboard = root / "dashboard"
    routed = imported_from(dashboard / "urls.py", package="dashboard.views")
    for module in modules(root):
        if set(module.parts) & NAMELESS:
            yield f"dashboard/{module}.py: rename it for what it holds; this name fits anything"
        if len(module.parts) == 1 and module.name not in TOP:
            yield f"dashboard/{module}.py: move it to the folder of its layer; the top of dashboard/ is full"
        if module.parts[0] == "views" and module.name not in routed:
            yield f"dashboard/{module}.py: urls.py routes nothing to it; move it to presenters/ or forms/"
        if module.parts[0] == "models" and not defines_model(dashboard / f"{module}.py"):
            yield f"dashboard/{module}.py: it defines no model; move it to queries/, rules/, or db/"


def modules_without_tests(root: Path) -> Iterator[str]:
    every = modules(root)
    tested = {module_of(test, every) for test in mirrored_tests(root)}
    for module in every:
        if module not in tested and module.name not in ENTRY_POINTS:
            place = module.parent / f"test_{module.name}.py"
            yield f"dashboard/{module}.py: it has no tests; write them in tests/{place}"


def tests_without_module(root: Path) -> Iterator[str]:
    every = [*modules(root), *packages(root)]
    for test in mirrored_tests(root):
        # The top folder also has tests of the whole project, such as the weight of its pages.
        if len(test.parts) > 1 and not module_of(test, every):
            folder = f"dashboard/{test.parent}/"
            yield f"tests/{test}.py: no module of this name in {folder}; move it to the module that it tests"


def module_of(test: Path, every: Iterable[Path]) -> Path | None:
    """Return the module or package that a test covers: the one with the longest name that starts the test's name."""
    named = [path for path in every if path.parent == test.parent and f"{test.name}_".startswith(f"test_{path.name}_")]
    return max(named, key=lambda path: len(path.name), default=None)


def modules(root: Path) -> list[Path]:
    """Return the modules below dashboard/, without `.py`; not the migrations, which no module imports."""
    found = python_files(root / "dashboard")
    return [path for path in found if path.name != "__init__" and "migrations" not in path.parts]


def packages(root: Path) -> list[Path]:
    return [path.parent for path in python_files(root / "dashboard") if path.name == "__init__"]


def mirrored_tests(root: Path) -> list[Path]:
    found = python_files(root / "tests")
    return [path for path in found if path.name.startswith("test_") and path.parts[0] not in WHOLE_PRODUCT]


def python_files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py"))


def imported_from(path: Path, *, package: str) -> set[str]:
    """Return the names that a file imports from the package."""
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in imports if node.module == package for alias in node.names}


def defines_model(path: Path) -> bool:
    """Return whether a file defines a model: a class based on Django's Model or AbstractUser."""
    classes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    return any(ast.unparse(base) in {"models.Model", "AbstractUser"} for node in classes for base in node.bases)


if __name__ == "__main__":
    sys.exit("\n".join(problems(ROOT)) or None)
