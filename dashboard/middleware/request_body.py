"""A request's body, read as far as it is wanted and no further."""

from django.core.handlers.wsgi import WSGIRequest

_PIECE = 64 * 1024
_READ_ON = 4
"""A body that is too large is read on to so many times its limit, and then left."""


def read_body(request: WSGIRequest, *, limit: int) -> tuple[bytes, bool]:
    """Return the body, or `limit` + 1 bytes of a larger one, and whether it came whole.

    Django reads nothing where Content-Length is absent, so a chunked body is taken from the server's own stream, which
    says that it knows where it ends. What is too large is read on a while and dropped: an answer that is sent while the
    other side is still sending is lost with the connection.
    """
    chunked = "HTTP_TRANSFER_ENCODING" in request.META and request.environ.get("wsgi.input_terminated")
    stream = request.environ["wsgi.input"] if chunked else request
    body, size = bytearray(), 0
    try:
        while size <= _READ_ON * limit and (piece := stream.read(_PIECE)):
            size += len(piece)
            body += piece[: max(limit + 1 - len(body), 0)]
    except Exception:  # noqa: BLE001 - the sender went away or its chunks are broken, and each server words it its own way
        return bytes(body), False
    announced = request.META.get("CONTENT_LENGTH") or ""
    return bytes(body), len(body) > limit or not announced.isdecimal() or len(body) >= int(announced)
