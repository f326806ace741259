"""Buttons and links as rendered HTML."""

import re
import uuid

import pytest
from django import forms
from django.template import Context, Template

from dashboard.presenters.controls import Button, Link
from dashboard.templatetags.redeliver import as_outcome, outcome_icon

OPERATION = uuid.UUID("6f1d5f54-28a5-4b5e-9a1f-6a0d4f0a7b11")


def drawn(template: str, **context: object) -> str:
    """Render the template with a CSRF token; collapse whitespace to single spaces."""
    html = Template("{% load controls %}" + template).render(Context({"csrf_token": "token", **context}))
    return re.sub(r">\s+<", "><", " ".join(html.split()))


def test_button_has_its_spinner_and_hides_its_icon_meanwhile() -> None:
    html = drawn('{% button "Recover" icon="tool" look="btn-primary" %}')
    assert html.startswith('<button type="submit" class="btn btn-primary"><span class="idle"><svg class="icon"')
    assert html.endswith('</svg></span><span class="spinner" aria-hidden="true"></span> Recover </button>')


def test_button_says_more_to_those_who_do_not_see_the_page() -> None:
    html = drawn('{% button "End" look="btn-sm" aside="the session of Firefox" %}')
    assert 'End<span class="visually-hidden"> the session of Firefox</span>' in html
    assert 'aria-label="Grant Acme"' in drawn('{% button "Grant" called="Grant Acme" %}')


def test_button_that_is_one_of_several_says_which_was_pressed() -> None:
    assert '<button type="submit" class="btn" name="handler" value="break">' in drawn(
        '{% button "Break" name="handler" value="break" %}'
    )


def test_button_shows_hostile_words_as_words() -> None:
    assert "&lt;b&gt;" in drawn("{% button label %}", label="<b>")


def test_control_that_is_a_link_is_drawn_as_one() -> None:
    html = drawn("{% control one %}", one=Link("Open", "/endpoints/1/", look="btn-primary", called="Open it"))
    assert html == '<a class="btn btn-primary" href="/endpoints/1/" aria-label="Open it"> Open </a>'


def test_control_that_answers_in_place_is_a_form_with_and_without_a_script() -> None:
    one = Button("Re-enable", "/endpoints/1/enable/", operation=OPERATION, target="#answer", id="endpoint-enable-1")
    html = drawn("{% control one %}", one=one)
    assert '<form method="post" action="/endpoints/1/enable/"' in html
    assert 'id="endpoint-enable-1" hx-post="/endpoints/1/enable/" hx-target="#answer"' in html
    assert 'hx-disabled-elt="find button" hx-sync="this:drop" data-action>' in html
    assert '<input type="hidden" name="csrfmiddlewaretoken" value="token">' in html
    assert f'name="operation" value="{OPERATION}"' in html


def test_control_that_leads_to_a_page_has_no_htmx_and_carries_its_fields() -> None:
    html = drawn("{% control one %}", one=Button("Go on", "/go/", fields=(("unproven", "yes"),)))
    assert "hx-" not in html
    assert '<input type="hidden" name="unproven" value="yes">' in html
    assert 'name="operation"' not in html


def test_control_that_is_none_draws_nothing() -> None:
    assert drawn("{% control one %}", one=None) == ""


def test_confirm_is_a_form_with_what_it_does_its_fields_and_the_way_out() -> None:
    html = drawn(
        '{% confirm action="/delete/" cancel="/back/" operation=operation button="Delete it" stays="Keep it" %}'
        '<input name="word">{% endconfirm %}',
        operation=OPERATION,
    )
    assert html.startswith('<form method="post" action="/delete/" data-action novalidate>')
    assert 'name="csrfmiddlewaretoken" value="token"' in html
    assert f'name="operation" value="{OPERATION}"' in html
    assert '<input name="word">' in html
    assert '<button type="submit" class="btn btn-danger">' in html
    assert html.endswith('<a class="btn" href="/back/">Keep it</a></div></form>')


def test_confirm_escapes_what_its_block_shows() -> None:
    html = drawn('{% confirm action="/" cancel="/" button="Do" %}{{ word }}{% endconfirm %}', word="<i>")
    assert "&lt;i&gt;" in html
    assert "<i>" not in html


@pytest.mark.parametrize(("phase", "kind"), [("unknown", "unknown_outcome"), ("done", "done"), ("refused", "refused")])
def test_outcome_that_is_not_known_is_not_drawn_as_a_health(phase: str, kind: str) -> None:
    assert as_outcome(phase) == kind


@pytest.mark.parametrize(
    ("kind", "icon"),
    [("done", "circle-check"), ("refused", "circle-x"), ("unavailable", "alert-triangle"), ("unknown", "help-circle")],
)
def test_outcome_has_its_icon(kind: str, icon: str) -> None:
    assert outcome_icon(kind) == icon


class _Form(forms.Form):
    name = forms.CharField(error_messages={"required": "Enter a <name>."})


def test_field_without_an_error_is_described_by_its_help_alone() -> None:
    html = drawn('<input{% described form.name help="name-help" %}>{% field_error form.name %}', form=_Form())
    assert html == '<input aria-describedby="name-help">'
    assert drawn("<input{% described form.name %}>", form=_Form()) == "<input>"


def test_field_with_an_error_is_described_by_the_error_too() -> None:
    html = drawn('<input{% described form.name help="name-help" %}>{% field_error form.name %}', form=_Form({}))
    assert html == (
        '<input aria-invalid="true" aria-describedby="name-help id_name-error">'
        '<p class="field-error" id="id_name-error">Enter a &lt;name&gt;.</p>'
    )


def test_group_of_choices_is_described_but_not_invalid() -> None:
    html = drawn("<fieldset{% described form.name invalid=False %}>", form=_Form({}))
    assert html == '<fieldset aria-describedby="id_name-error">'


def test_error_of_a_field_says_more_where_the_page_does() -> None:
    html = drawn('{% field_error form.name more="Nothing was deleted." %}', form=_Form({}))
    assert "Enter a &lt;name&gt;. Nothing was deleted.</p>" in html


def test_field_that_the_form_has_not_is_drawn_without_an_error() -> None:
    html = drawn('<input{% described form.other help="other-help" %}>{% field_error form.other %}', form=_Form({}))
    assert html == '<input aria-describedby="other-help">'
