"""`demo_story` sets the scene in the demo's folder."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from dashboard.management.commands import demo_story


def test_story_is_told_of_the_demos_folder(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    told: list[Path] = []
    monkeypatch.setattr(demo_story, "tell", lambda *, folder: told.append(folder))
    settings.DEMO_FOLDER = str(tmp_path)
    call_command("demo_story")
    assert told == [tmp_path]
