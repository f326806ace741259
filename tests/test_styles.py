"""The served part of Tabler: which rules it keeps, and that it is up to date."""

from tests.styles import USED, make, used

CSS = """@charset "UTF-8";/*! of Tabler */:root{--a:url("data:image/svg+xml,{;}")}.btn,.dull{color:red}
.btn .dull{color:red}.btn:not(.dull,.other):is(.also){top:0}@media (min-width:1px){.dull{top:0}.btn{top:1px}}
@media print{.dull{top:0}}a[title=","]{top:2px}@keyframes turn{to{top:0}}@keyframes idle{from{top:0}to{top:1px}}
.card{animation:turn 1s}@font-face{font-family:x}"""


def test_rule_is_kept_where_its_classes_are_used() -> None:
    assert used(css=CSS, names={"btn", "card"}).split("\n") == [
        ':root{--a:url("data:image/svg+xml,{;}")}',
        ".btn{color:red}",
        ".btn:not(.dull,.other):is(.also){top:0}",
        "@media (min-width:1px){.btn{top:1px}",
        "}",
        'a[title=","]{top:2px}',
        "@keyframes turn{to{top:0}}",
        "",
        ".card{animation:turn 1s}",
        "@font-face{font-family:x}",
        "",
    ]


def test_served_part_is_up_to_date() -> None:
    assert USED.read_text() == make(), "a template names other classes than before: run `make styles`"
