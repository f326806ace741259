"""Other installs of the same organization and app: a customer who connected again may have got another install ID."""

from dashboard.models import Install, User
from dashboard.models.installs import InstallQuerySet


def also_connected_as(*, install: Install, user: User) -> InstallQuerySet:
    """Return the other installs of the install's organization and app that the user may see, oldest first.

    Whether one replaces another is not known: OpenTrain does not document whether an install's ID survives when the
    customer connects again. So nothing is moved between them.
    """
    same = Install.objects.visible_to(user).filter(organization_id=install.organization_id, app_id=install.app_id)
    return same.exclude(pk=install.pk).defer("token").order_by("created_at", "pk")
