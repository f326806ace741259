"""What gunicorn serves: the console and the receiver."""

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
_django = get_wsgi_application()


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve one request.

    A Content-Type's extended parameters go first: of `charset*=utf-8''%00` Django makes a NUL before any view or
    middleware is there to refuse it, and that is an error of ours. Nobody who is let in sends them.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if "*" in content_type:
        environ["CONTENT_TYPE"] = content_type.partition(";")[0]
    return _django(environ, start_response)
