"""The colours of states in app.css: each can be read, and be told from the others, by colour-blind eyes too."""

import math
import re
from itertools import combinations
from pathlib import Path

import pytest

from dashboard.rules.deliveries import StateKind
from dashboard.rules.endpoints import HealthKind
from dashboard.templatetags.redeliver import LOOKS

CSS = (Path(__file__).resolve().parents[1] / "static/css/app.css").read_text()
TONES = ("ok", "warn", "risk", "bad", "info", "idle")
STATES = ("ok", "warn", "risk", "bad")
"""Tones that mean how an endpoint or a delivery is: from healthy to failed."""
SURFACES = {"light": ("#ffffff", "#fafafa"), "dark": ("#262626", "#171717")}
"""What is behind words outside chips: cards and the page, as Tabler's variables are in each theme."""
READABLE, SEEN = 4.5, 3
"""Contrast of words, and of areas. Source: WCAG 2.2, 1.4.3 and 1.4.11."""
DIFFERENT, DIFFERENT_BLIND = 20, 10
"""Least difference (CIEDE2000) of two states, to most eyes and to those of people with a colour vision deficiency."""

Vector = tuple[float, float, float]
_EYES: dict[str, tuple[Vector, Vector, Vector]] = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)
    ),
}  # fmt: skip
"""What eyes make of linear RGB. Source: Machado, Oliveira, Fernandes 2009, severity 1.0."""


_BRIGHT: Vector = (0.2126729, 0.7151522, 0.0721750)
"""How bright each part of linear RGB is."""


def linear(colour: str) -> Vector:
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return (_linear(red), _linear(green), _linear(blue))


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def times(matrix: tuple[Vector, Vector, Vector], vector: Vector) -> Vector:
    one, two, three = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return (one, two, three)


def contrast(one: str, other: str) -> float:
    dark, light = sorted(
        0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in map(linear, (one, other))
    )
    return (light + 0.05) / (dark + 0.05)


def lab(colour: Vector) -> Vector:
    """Return linear RGB as CIELAB, for the white of daylight (D65)."""
    x, y, z = times(
        ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041)),
        colour,
    )
    fx, fy, fz = (
        part ** (1 / 3) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116
        for part in (x / 0.95047, y, z / 1.08883)
    )
    return (116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz))


def difference(one: Vector, other: Vector) -> float:
    """Return CIEDE2000 of two colours in CIELAB. Source: Sharma, Wu, Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    grey = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = a1 * (1 + grey), a2 * (1 + grey)
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = math.degrees(math.atan2(b1, a1)) % 360, math.degrees(math.atan2(b2, a2)) % 360
    turn = (h2 - h1 + 180) % 360 - 180 if c1 * c2 else 0.0
    hue = (h1 + turn / 2) % 360 if c1 * c2 else h1 + h2
    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    by_hue = (
        1 - 0.17 * math.cos(math.radians(hue - 30)) + 0.24 * math.cos(math.radians(2 * hue))
        + 0.32 * math.cos(math.radians(3 * hue + 6)) - 0.2 * math.cos(math.radians(4 * hue - 63))
    )  # fmt: skip
    d_l = (l2 - l1) / (1 + 0.015 * (lightness - 50) ** 2 / math.sqrt(20 + (lightness - 50) ** 2))
    d_c = (c2 - c1) / (1 + 0.045 * chroma)
    d_h = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2)) / (1 + 0.015 * chroma * by_hue)
    rotation = -2 * math.sqrt(chroma**7 / (chroma**7 + 25**7))
    rotation *= math.sin(math.radians(60 * math.exp(-(((hue - 275) / 25) ** 2))))
    return math.sqrt(d_l**2 + d_c**2 + d_h**2 + rotation * d_c * d_h)


def seen(colour: str, eyes: str) -> Vector:
    red, green, blue = (min(max(part, 0.0), 1.0) for part in times(_EYES[eyes], linear(colour)))
    return lab((red, green, blue))


def colours(theme: str) -> dict[str, str]:
    start = ":root {" if theme == "light" else '[data-bs-theme="dark"] {'
    block = CSS[CSS.index(start) :].partition("}")[0]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_difference_is_that_of_the_published_examples(one: Vector, other: Vector, expected: float) -> None:
    assert difference(one, other) == pytest.approx(expected, abs=0.0001)


def test_contrast_and_sight_are_those_of_known_colours() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert lab(linear("#ffffff")) == pytest.approx((100, 0, 0), abs=0.01)
    red, green = "#cc4444", "#5a8a3a"
    assert difference(seen(red, "usual"), seen(green, "usual")) > 50
    assert difference(seen(red, "deuteranopia"), seen(green, "deuteranopia")) < 12


def test_browns_and_reds_of_before_would_not_pass() -> None:
    """Failing and at risk were one colour to people with protanopia, at risk and disabled nearly so."""
    assert difference(seen("#7a5200", "protanopia"), seen("#a03f00", "protanopia")) < 2
    assert difference(seen("#a03f00", "deuteranopia"), seen("#b3202c", "deuteranopia")) < 5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("tone", TONES)
def test_words_and_areas_of_a_state_are_readable_on_what_is_behind_them(theme: str, tone: str) -> None:
    found = colours(theme)
    for behind in (found[f"{tone}-bg"], *SURFACES[theme]):
        assert contrast(found[tone], behind) >= READABLE, behind
    assert contrast(found[f"{tone}-fill"], SURFACES[theme][0]) >= SEEN


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("part", ["", "-fill"])
@pytest.mark.parametrize("eyes", ["usual", "protanopia", "deuteranopia"])
def test_states_are_told_apart(theme: str, part: str, eyes: str) -> None:
    found = colours(theme)
    least = DIFFERENT if eyes == "usual" else DIFFERENT_BLIND
    for one, other in combinations(STATES, 2):
        apart = difference(seen(found[one + part], eyes), seen(found[other + part], eyes))
        assert apart >= least, (one, other, round(apart, 1))


def test_every_state_of_endpoints_and_deliveries_has_an_icon_of_its_own() -> None:
    icons = [LOOKS[kind].icon for kind in (*HealthKind, *StateKind)]
    assert len(icons) == len(set(icons))


def test_waiting_at_risk_and_failed_have_tones_of_their_own() -> None:
    kinds = (StateKind.DELIVERED, StateKind.RETRYING, HealthKind.AT_RISK, HealthKind.DISABLED)
    assert [LOOKS[kind].tone for kind in kinds] == list(STATES)
    assert LOOKS[StateKind.FAILED].tone == LOOKS[HealthKind.DISABLED].tone
