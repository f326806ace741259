"""Requests before they reach Django."""

from wsgiref.util import setup_testing_defaults

import pytest

from dashboard.wsgi import application


@pytest.mark.django_db(transaction=True)  # Django closes open connections when a request starts
@pytest.mark.parametrize("content_type", ["application/json; charset*=utf-8''%00", "text/plain;charset*=x'%FF", "*/*"])
def test_content_type_with_extended_parameters_is_no_error_of_ours(content_type: str) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/hooks/!/",
        "CONTENT_TYPE": content_type,
        "HTTP_HOST": "localhost",
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    body = b"".join(application(environ, lambda status, _headers, _error=None: statuses.append(status)))
    assert (statuses, body) == (["404 Not Found"], b'{"error": "Not found."}')
