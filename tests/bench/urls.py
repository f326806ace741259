"""The console's URLs, plus the simplest view that stores a request."""

from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from psycopg.types.json import Jsonb

from dashboard.urls import urlpatterns as console

TABLE = "CREATE TABLE bare (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), headers jsonb, body bytea)"


@csrf_exempt
def bare_insert(request: WSGIRequest) -> HttpResponse:
    """Insert one row with the headers and the body, and commit it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bare (headers, body) VALUES (%s, %s)", [Jsonb(list(request.headers.items())), request.body]
        )
    return JsonResponse({"received": True})


urlpatterns = [path("bare/", bare_insert), *console]
