"""Template tags for controls: a submit button with a spinner, links and buttons from presenters, a confirm form, and
what ties a form field to its help and its error.
"""

from typing import Any

from django import template
from django.forms import BoundField
from django.template import Context
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.inclusion_tag("components/_button.html")
def button(
    label: str, *, icon: str = "", look: str = "", name: str = "", value: str = "", aside: str = "", called: str = ""
) -> dict[str, Any]:
    """Draw a submit button with a spinner that turns until the response arrives.

    `look` holds more classes beside "btn". `name` and `value` identify the pressed button of a form. For screen
    readers, `aside` extends the label and `called` replaces it.
    """
    return {
        "label": label, "icon_name": icon, "look": look, "name": name, "value": value, "aside": aside, "called": called
    }  # fmt: skip


@register.inclusion_tag("components/_control.html")
def control(control: object) -> dict[str, Any]:
    """Draw a `Link` or a `Button` of presenters/controls.py, which decide what the user may do."""
    return {"control": control}


@register.simple_block_tag(takes_context=True)
def confirm(
    context: Context,
    content: str,
    *,
    action: str,
    button: str,
    cancel: str,
    look: str = "btn-danger",
    icon: str = "",
    operation: object = None,
    stays: str = "Cancel",
    stack: bool = False,
) -> SafeString:
    """Draw a form that confirms an action, with a link to cancel beside it.

    The block holds more form fields. `action` is the form's URL, `operation` the operation's ID, `cancel` the URL of
    the cancel link, and `stays` its label. `stack` puts the fields above the buttons.
    """
    values = {
        "action": action,
        "button_label": button,
        "cancel": cancel,
        "look": look,
        "icon_name": icon,
        "operation": operation,
        "stays": stays,
        "stack": stack,
        "fields": content,
        "csrf_token": context.get("csrf_token"),
    }
    return render_to_string("components/_confirm.html", values)


@register.simple_tag
def described(field: BoundField | str, *, help: str = "", invalid: bool = True) -> SafeString:  # noqa: A002 - the page's word
    """Return the attributes that tie a form field to its help and its error.

    `help` is the ID of the element with the field's help. `field_error` draws the error. A group of choices is
    described by its error, but only a single field can be `invalid`. "" is a field that the page's form has not.
    """
    error = _error_id(field) if isinstance(field, BoundField) and field.errors else ""
    ids = " ".join(filter(None, [help, error]))
    return format_html(
        "{}{}",
        format_html(' aria-invalid="{}"', "true") if error and invalid else "",
        format_html(' aria-describedby="{}"', ids) if ids else "",
    )


@register.simple_tag
def field_error(field: BoundField | str, *, more: str = "") -> SafeString:
    """Draw what is wrong with a form field, for `described` to refer to; nothing if it is right. `more` follows."""
    if not isinstance(field, BoundField) or not field.errors:
        return SafeString("")
    words = " ".join([*field.errors, more]).strip()
    return format_html('<p class="field-error" id="{}">{}</p>', _error_id(field), words)


def _error_id(field: BoundField) -> str:
    return f"{field.auto_id}-error"
