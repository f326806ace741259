"""What readers call the handler."""

import pytest

from dashboard.rules.handler_names import THE_HANDLER, YOUR_HANDLER, calling


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "The handler returned 503 to HEAD. Repair the handler.",
            "Your handler returned 503 to HEAD. Repair your handler.",
        ),
        ("Check the handler's logs.", "Check your handler's logs."),
        ("Handler returned 503", "Handler returned 503"),
        (
            "The handler failed. OpenTrain: “The handler said no”. Ask the handler: “the handler is…",
            "Your handler failed. OpenTrain: “The handler said no”. Ask your handler: “the handler is…",
        ),
    ],
)
def test_partner_reads_of_their_own_handler_and_support_of_the_handler(text: str, said: str) -> None:
    assert calling(text, YOUR_HANDLER) == said
    assert calling(text, THE_HANDLER) == text
