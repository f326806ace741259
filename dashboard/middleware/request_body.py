"""Reading a request's body up to a limit."""

from django.core.handlers.wsgi import WSGIRequest

_PIECE = 64 * 1024
_READ_ON = 4
"""An oversized body is read up to this multiple of its limit, then abandoned."""


def read_body(request: WSGIRequest, *, limit: int) -> tuple[bytes, bool]:
    """Return the body, or `limit` + 1 bytes of a larger one, and whether it is complete.

    Django reads nothing without Content-Length, so a chunked body is read from the server's stream if the server marks
    its end. The rest of an oversized body is read for a while and dropped: a response sent while the client is still
    sending is lost with the connection.
    """
    chunked = "HTTP_TRANSFER_ENCODING" in request.META and request.environ.get("wsgi.input_terminated")
    stream = request.environ["wsgi.input"] if chunked else request
    body, size = bytearray(), 0
    try:
        while size <= _READ_ON * limit and (piece := stream.read(_PIECE)):
            size += len(piece)
            body += piece[: max(limit + 1 - len(body), 0)]
    except Exception:  # noqa: BLE001 - a closed connection or broken chunks: each server raises its own
        return bytes(body), False
    announced = request.META.get("CONTENT_LENGTH") or ""
    return bytes(body), len(body) > limit or not announced.isdecimal() or len(body) >= int(announced)
