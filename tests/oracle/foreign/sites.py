"""What the projects of Django share: settings made from the address of a database."""

from __future__ import annotations

import sys
from urllib.parse import parse_qs, unquote, urlsplit


def database_settings(url: str) -> dict[str, str]:
    """Return Django's settings for `postgresql://user@/name?host=…&port=…`."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "HOST": query["host"][0],
        "PORT": query["port"][0],
    }


def migrate(apps: list[str], **settings: object) -> None:
    """Run the migrations of the apps against the database that the command line names."""
    import django
    from django.conf import settings as configured
    from django.core.management import call_command

    configured.configure(
        INSTALLED_APPS=apps,
        DATABASES={"default": database_settings(sys.argv[1])},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="for a test",
        SITE_ID=1,
        USE_TZ=True,
        **settings,
    )
    django.setup()
    call_command("migrate", verbosity=0)
