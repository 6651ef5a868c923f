"""Oscar: a shop with catalogue, orders, vouchers and stock."""

from __future__ import annotations

from tests.oracle.foreign.sites import migrate

MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]

if __name__ == "__main__":
    import oscar
    import oscar.defaults

    shop = {name: getattr(oscar.defaults, name) for name in dir(oscar.defaults) if name.isupper()}
    migrate(
        oscar.INSTALLED_APPS,
        MIDDLEWARE=MIDDLEWARE,
        HAYSTACK_CONNECTIONS={
            "default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}
        },
        **shop,
    )
