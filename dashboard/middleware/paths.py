"""Which hosts a request is answered for, which its path decides before its view."""

from django.http import HttpRequest, HttpResponse
from django.middleware.common import CommonMiddleware

from dashboard.rules.site_paths import PROBES


class HostCheck(CommonMiddleware):
    """Django's CommonMiddleware, which refuses hosts that are not in ALLOWED_HOSTS, except for probes."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        if request.path_info in PROBES:
            return None
        return super().process_request(request)
