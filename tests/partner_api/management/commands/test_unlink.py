"""unlink removes a link of the install."""

from dashboard.partner_api.models import ProjectLink
from tests.partner_api.conftest import Partner, make_link
from tests.partner_api.test_tasks import command


def test_unlink_removes_the_link_and_announces_it(partner: Partner) -> None:
    link = make_link(partner, job=None)
    [line] = command("unlink", "--install", partner.install_id, "--link", link.pk)
    assert (line["link"], [event["type"] for event in line["events"]]) == (link.pk, ["project_link.removed"])
    assert ProjectLink.objects.count() == 0
