"""Receiver keys stay out of the log."""

import io
import logging
import logging.config

import pytest
from django.conf import settings
from django.test import Client


@pytest.mark.django_db
def test_unknown_receiver_key_is_not_logged(client: Client) -> None:
    handlers = logging.getLogger().handlers
    stream = io.StringIO()
    logging.config.dictConfig(settings.LOGGING)
    logging.getLogger().handlers[0].setStream(stream)
    try:
        response = client.post("/hooks/a-key-that-nobody-may-read/", b"{}", content_type="application/json")
    finally:
        logging.getLogger().handlers[:] = handlers
    assert response.status_code == 404
    assert "/hooks/[key]/" in stream.getvalue()
    assert "a-key-that-nobody-may-read" not in stream.getvalue()
