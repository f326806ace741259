"""A client signed in as Ana, and an endpoint that she can see."""

import pytest

from dashboard.models import Endpoint, Install, User
from tests.factories import make_endpoint
from tests.views.conftest import Browser, browser_of


@pytest.fixture
def ana(support: User) -> Browser:
    return browser_of(support)


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)
