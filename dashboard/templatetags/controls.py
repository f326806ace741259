"""What people press: one button that shows that it works, and one form that asks before harm."""

from typing import Any

from django import template
from django.template import Context
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

register = template.Library()


@register.inclusion_tag("components/_button.html")
def button(
    label: str, *, icon: str = "", look: str = "", name: str = "", value: str = "", aside: str = "", called: str = ""
) -> dict[str, Any]:
    """Draw the button that sends its form, with the spinner that turns while the answer is awaited.

    `look` holds further classes beside "btn". `name` and `value` say which button of a form was pressed. `aside` ends
    the label for those who do not see the page; `called` replaces it for them.
    """
    return {
        "label": label, "icon_name": icon, "look": look, "name": name, "value": value, "aside": aside, "called": called
    }  # fmt: skip


@register.inclusion_tag("components/_control.html")
def control(control: object) -> dict[str, Any]:
    """Draw a `Link` or a `Button` of presenters/controls.py: what they decided that a person may do here."""
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
    """Draw the form that does what its page asks about, and the way out beside it.

    The block holds further fields. `action` is where the form goes, `operation` the name of what it does, `stays` the
    words of the link to `cancel`, and `stack` says that fields stand above the buttons.
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
