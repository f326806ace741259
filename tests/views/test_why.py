"""“Why didn't it come?”: what the page answers for an ID, and to whom."""

from tests.views.conftest import Browser


def test_page_without_an_id_has_the_field(ana: Browser) -> None:
    assert 'id="why-q" name="q"' in ana.read("/why/")
