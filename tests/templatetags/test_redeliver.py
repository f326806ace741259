"""What templates say of a value."""

import pytest

from dashboard.templatetags.redeliver import breakable


@pytest.mark.parametrize(
    ("address", "drawn"),
    [
        ("https://acme.example.com/hooks/", "https://<wbr>acme.example.com/<wbr>hooks/"),
        ("America/Argentina/Buenos_Aires", "America/<wbr>Argentina/<wbr>Buenos_Aires"),
        ("oncall@example.com", "oncall@example.com"),
        ("https://x/<b>&", "https://<wbr>x/<wbr>&lt;b&gt;&amp;"),
        ("", ""),
    ],
)
def test_address_breaks_where_its_parts_meet_and_nowhere_else(address: str, drawn: str) -> None:
    assert breakable(address) == drawn
