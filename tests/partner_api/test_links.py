"""The four operations on project links, as a partner's client sees them."""

from datetime import timedelta

import pytest

from dashboard.partner_api import links
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.models import Event, Install, ProjectLink
from tests.partner_api.conftest import THEN, Partner, bodies_of, make_job, make_link
from tests.partner_api.test_errors import problem, refused

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

BODY = {
    "externalProjectId": "42",
    "externalProjectName": "Traffic signs batch 3",
    "externalProjectUrl": "https://your-platform.example.com/projects/42",
}
UNKNOWN = (404, "NOT_FOUND", "There is no such project link on this install.", {})


def wire(link: ProjectLink, **changed: object) -> dict[str, object]:
    """The JSON of a link that was created at THEN."""
    expected = {
        "id": link.pk,
        "jobId": link.job_id,
        "externalProjectId": link.external_project_id,
        "externalProjectName": None,
        "externalProjectUrl": None,
        "provisioningMode": "PARTNER_WEBHOOK",
        "createdAt": "2026-06-12T10:00:00.000Z",
    }
    return expected | changed


def test_create_answers_the_link_and_announces_it(partner: Partner) -> None:
    job = make_job(partner)
    answer = partner.call("POST", "/project-links", BODY | {"jobId": job.pk, "provisioningMode": "MANAGED_ADAPTER"})
    stored = ProjectLink.objects.get()
    created_at = answer.json["projectLink"]["createdAt"]
    assert answer.status == 200
    assert answer.json == {
        "projectLink": wire(stored, **BODY, provisioningMode="MANAGED_ADAPTER", createdAt=created_at)
    }
    [body] = bodies_of("project_link.created")
    assert (body["resourceId"], body["jobId"], body["data"]) == (stored.pk, job.pk, answer.json)


def test_create_with_the_least_has_no_job(partner: Partner) -> None:
    answer = partner.call("POST", "/project-links", {"externalProjectId": "7"})
    created_at = answer.json["projectLink"]["createdAt"]
    assert answer.json == {"projectLink": wire(ProjectLink.objects.get(), jobId=None, createdAt=created_at)}
    assert [body["jobId"] for body in bodies_of("project_link.created")] == [None]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"externalProjectName": "x"}, "externalProjectId", "is missing"),
        ({"externalProjectId": ""}, "externalProjectId", "must not be empty"),
        ({"externalProjectId": "x" * 201}, "externalProjectId", "is too long"),
        ({"externalProjectId": None}, "externalProjectId", "must be a string"),
        (BODY | {"externalProjectName": "x" * 301}, "externalProjectName", "is too long"),
        (BODY | {"externalProjectUrl": "x" * 2049}, "externalProjectUrl", "is too long"),
        (BODY | {"jobId": None}, "jobId", "must be a string"),
        (BODY | {"provisioningMode": "X"}, "provisioningMode", "must be 'PARTNER_WEBHOOK' or 'MANAGED_ADAPTER'"),
    ],
)
def test_create_with_a_bad_field_names_it(partner: Partner, body: object, field: str, words: str) -> None:
    assert problem(partner.call("POST", "/project-links", body)) == refused(field, words)
    assert (ProjectLink.objects.count(), Event.objects.count()) == (0, 0)


def test_create_takes_the_longest_of_each_field(partner: Partner) -> None:
    body = {"externalProjectId": "ä" * 200, "externalProjectName": "ä" * 300, "externalProjectUrl": "x" * 2048}
    answer = partner.call("POST", "/project-links", body)
    assert (answer.status, body.items() <= answer.json["projectLink"].items()) == (200, True)


@pytest.mark.parametrize("job_id", ["job_" + "0" * 32, "nonsense", "theirs"])
def test_a_job_of_another_employer_answers_404(partner: Partner, outsider: Partner, job_id: str) -> None:
    sent = make_job(outsider).pk if job_id == "theirs" else job_id
    answer = partner.call("POST", "/project-links", BODY | {"jobId": sent})
    message = "This install's employer has no such job."
    assert problem(answer) == (404, "NOT_FOUND", message, {"fields": {"jobId": "unknown"}})
    assert ProjectLink.objects.count() == 0


def test_a_project_is_linked_once_on_an_install_and_again_after_its_link_is_gone(
    partner: Partner, outsider: Partner
) -> None:
    first = make_link(partner, job=None)
    make_link(outsider, job=None)
    status, code, _, details = problem(partner.call("POST", "/project-links", BODY))
    assert (status, code, details) == (409, "CONFLICT", {"fields": {"externalProjectId": "is linked"}})
    partner.call("DELETE", f"/project-links/{first.pk}")
    assert partner.call("POST", "/project-links", BODY).status == 200


def test_links_have_a_limit(partner: Partner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MOST", 1)
    make_link(partner, job=None, project="1")
    status, code, _, details = problem(partner.call("POST", "/project-links", BODY))
    assert (status, code, details) == (409, "CONFLICT", {"limit": 1})


def test_list_answers_own_links_newest_first_and_get_answers_one(partner: Partner, outsider: Partner) -> None:
    older = make_link(partner, job=make_job(partner), project="1")
    newer = make_link(partner, job=None, project="2", now=THEN + timedelta(seconds=1))
    make_link(outsider, job=None)
    answer = partner.call("GET", "/project-links")
    assert answer.json == {"projectLinks": [wire(newer, createdAt="2026-06-12T10:00:01.000Z"), wire(older)]}
    assert partner.call("GET", f"/project-links/{older.pk}").json == {"projectLink": wire(older)}


def test_delete_answers_and_announces_the_last_snapshot(partner: Partner) -> None:
    job = make_job(partner)
    link = make_link(partner, job=job)
    answer = partner.call("DELETE", f"/project-links/{link.pk}")
    assert (answer.status, answer.json) == (200, {"projectLink": wire(link), "deleted": True})
    [body] = bodies_of("project_link.removed")
    assert (body["resourceId"], body["jobId"], body["data"]) == (link.pk, job.pk, {"projectLink": wire(link)})
    assert ProjectLink.objects.count() == 0
    assert problem(partner.call("DELETE", f"/project-links/{link.pk}")) == UNKNOWN


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_link_of_another_install_answers_exactly_like_an_unknown_one(
    partner: Partner, outsider: Partner, method: str
) -> None:
    link = make_link(partner, job=None)
    paths = (link.pk, "plk_" + "0" * 32, "a%00b")
    assert [problem(outsider.call(method, f"/project-links/{path}")) for path in paths] == [UNKNOWN] * 3
    assert ProjectLink.objects.filter(pk=link.pk).exists()


def test_an_install_that_is_not_active_hears_nothing(partner: Partner) -> None:
    link = make_link(partner, job=None)
    Install.objects.update(status="SUSPENDED")
    announcer = Announcer()
    links.remove(install_id=partner.install_id, link_id=link.pk, announcer=announcer, now=THEN)
    assert (announcer.emitted, announcer.lost, ProjectLink.objects.count()) == ([], [], 0)
