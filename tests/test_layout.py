"""The layout check finds each kind of misplaced module or test, and names the right place."""

from pathlib import Path

import pytest

from tests.layout import ROOT, modules, problems

SOUND = {
    "dashboard/__init__.py": "",
    "dashboard/urls.py": "from dashboard.views import (\n    inbox,\n    probes as operating,\n)\n",
    "dashboard/vault.py": "",
    "dashboard/migrations/0001_initial.py": "",
    "dashboard/models/__init__.py": "",
    "dashboard/models/members.py": "class User(AbstractUser):\n    pass\n",
    "dashboard/models/runs.py": "class Run(models.Model):\n    pass\n",
    "dashboard/rules/__init__.py": "",
    "dashboard/rules/doctor/__init__.py": "",
    "dashboard/rules/doctor/header.py": "",
    "dashboard/rules/doctor/header_lines.py": "",
    "dashboard/views/__init__.py": "",
    "dashboard/views/inbox.py": "",
    "dashboard/views/probes.py": "",
    "tests/conftest.py": "",
    "tests/test_vault.py": "",
    "tests/test_weight.py": "",
    "tests/faults/test_killed.py": "",
    "tests/models/test_members.py": "",
    "tests/models/test_runs.py": "",
    "tests/rules/test_doctor.py": "",
    "tests/rules/doctor/test_header_spaces.py": "",
    "tests/rules/doctor/test_header_lines.py": "",
    "tests/views/test_inbox.py": "",
    "tests/views/test_probes.py": "",
    "tests/views/conftest.py": "",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, SOUND)
    assert problems(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "at", "told"),
    [
        ("dashboard/rules/silence.py", "", "dashboard/rules/silence.py", "tests/rules/test_silence.py"),
        ("dashboard/views/rows.py", "", "dashboard/views/rows.py", "urls.py"),
        ("dashboard/models/needs.py", "class Needs:\n    pass\n", "dashboard/models/needs.py", "no model"),
        ("dashboard/needs.py", "", "dashboard/needs.py", "layer"),
        ("dashboard/rules/utils.py", "", "dashboard/rules/utils.py", "rename"),
        ("dashboard/common/times.py", "", "dashboard/common/times.py", "rename"),
        ("dashboard/views/helpers.py", "", "dashboard/views/helpers.py", "rename"),
        ("tests/rules/test_silence.py", "", "tests/rules/test_silence.py", "dashboard/rules/"),
        ("tests/views/test_headers.py", "", "tests/views/test_headers.py", "dashboard/views/"),
    ],
)
def test_what_stands_in_the_wrong_place_is_told_with_where_it_belongs(
    root: Path, name: str, text: str, at: str, told: str
) -> None:
    write(root, {name: text})
    found = problems(root)
    assert [one for one in found if one.startswith(f"{at}: ") and told in one] != []
    assert [one for one in found if not one.startswith(f"{at}: ")] == []


def test_module_is_not_tested_by_the_tests_of_one_with_a_longer_name(root: Path) -> None:
    (root / "tests/rules/doctor/test_header_spaces.py").unlink()
    [found] = problems(root)
    assert found.startswith("dashboard/rules/doctor/header.py: ")
    assert found.endswith("tests/rules/doctor/test_header.py")


def test_module_is_not_tested_by_the_tests_of_the_whole_product(root: Path) -> None:
    (root / "tests/test_vault.py").rename(root / "tests/faults/test_vault.py")
    assert len(problems(root)) == 1


@pytest.mark.parametrize("name", ["apps", "settings", "wsgi"])
def test_entry_points_need_no_tests_of_their_own(root: Path, name: str) -> None:
    write(root, {f"dashboard/{name}.py": ""})
    assert problems(root) == []


def test_the_check_sees_this_project() -> None:
    assert {Path("vault"), Path("rules/doctor/header"), Path("partner_api/engine")} <= set(modules(ROOT))
