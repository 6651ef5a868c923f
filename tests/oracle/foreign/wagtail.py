"""Wagtail: its core, its contrib apps, and the many page types of the site that its tests use."""

from __future__ import annotations

import os
import sys

from tests.oracle.foreign.sites import database_settings

if __name__ == "__main__":
    import django
    from django.core.management import call_command

    for name, value in database_settings(sys.argv[1]).items():
        os.environ[f"DATABASE_{name}"] = value
    os.environ["DJANGO_SETTINGS_MODULE"] = "wagtail.test.settings"
    django.setup()
    call_command("migrate", verbosity=0)
