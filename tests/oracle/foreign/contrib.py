"""Django: all of `django.contrib` that has tables."""

from __future__ import annotations

from tests.oracle.foreign.sites import migrate

APPS = ("admin", "auth", "contenttypes", "flatpages", "redirects", "sessions", "sites")


def fill() -> None:
    """Put in what a site has after its first day."""
    from django.contrib.admin.models import LogEntry
    from django.contrib.auth.models import Group, Permission, User
    from django.contrib.sessions.backends.db import SessionStore

    group = Group.objects.create(name="staff")
    group.permissions.set(Permission.objects.all()[:5])
    for n in range(5):
        user = User.objects.create_user(f"user{n}", f"u{n}@example.org", first_name="Ünï" * n)
        user.groups.add(group)
        user.user_permissions.set(Permission.objects.all()[n : n + 2])
        LogEntry.objects.create(
            user=user, object_repr=f"thing {n}", action_flag=1, content_type_id=1
        )
        SessionStore().save()


if __name__ == "__main__":
    migrate([f"django.contrib.{app}" for app in APPS])
    fill()
