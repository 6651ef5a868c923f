"""Settings are checked at start; a wrong one is named and explained, a secret never shown."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.recovery.core.errors import WrongUsage
from app.routes.middleware.same_origin import host_is_ours
from app.settings import (
    Settings,
    is_loopback,
    load_settings,
    parse_tokens,
    require_audit_log,
)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"ZANITH_{name.upper()}", raising=False)


def test_defaults():
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 4321)
    assert settings.database_url is None
    assert settings.retention == timedelta(days=30)
    assert settings.lock_timeout == timedelta(seconds=2)
    assert settings.viewer_export
    assert not settings.tokens_needed


def test_environment(monkeypatch):
    for name, value in {
        "DATABASE_URL": "postgresql://u:hunter2@h/d",
        "HOST": "0.0.0.0",
        "PORT": "80",
        "AUTH_TOKEN": "alice:s3cret-0123456789, bob:t:0ken-0123456789",
        "READ_ONLY_AUTH_TOKEN": "peek-0123456789abc",
        "AUDIT_LOG": "/tmp/a.ndjson",
        "RETENTION": "never",
        "VIEWER_EXPORT": "off",
        "LOCK_TIMEOUT": "500ms",
        "LOCK_RETRIES": "0",
        "EXPORT_DIR": "/tmp",
    }.items():
        monkeypatch.setenv(f"ZANITH_{name}", value)
    settings = load_settings()
    assert settings.database_url.get_secret_value() == "postgresql://u:hunter2@h/d"
    assert [(t.name, t.secret.get_secret_value()) for t in settings.auth_token] == [
        ("alice", "s3cret-0123456789"),
        ("bob", "t:0ken-0123456789"),
    ]
    assert [t.name for t in settings.read_only_auth_token] == ["token 1"]
    assert settings.retention is None
    assert not settings.viewer_export
    assert settings.lock_timeout == timedelta(milliseconds=500)
    assert settings.audit_log == Path("/tmp/a.ndjson")
    for secret in ("hunter2", "s3cret", "0ken", "peek"):
        assert secret not in repr(settings)


def test_what_is_given_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("ZANITH_PORT", "1")
    assert load_settings(port=2).port == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("RETENTION", "soon"),
        ("LOCK_TIMEOUT", "never"),
        ("LOCK_TIMEOUT", "1h"),
        ("LOCK_RETRIES", "-1"),
        ("VIEWER_EXPORT", "perhaps"),
        ("AUTH_TOKEN", "alice:"),
        ("AUTH_TOKEN", "a:hunter2-0123456789,a:hunter3-0123456789"),
        ("AUTH_TOKEN", "a:hunter2"),
        ("READ_ONLY_AUTH_TOKEN", "h"),
        ("PUBLIC_URL", "zanith.example.com"),
        ("PUBLIC_URL", "https://zanith.example.com/?a=hunter2"),
        ("WEBHOOK_URL", "hooks.example.com/hunter2"),
        ("WEBHOOK_URL", "https://a.example/x,ftp://hooks.example.com/hunter2"),
        ("WEBHOOK_URL", "file:///hunter2"),
        ("WEBHOOK_URL", "https://hooks.example.com:port/hunter2"),
        ("WEBHOOK_URL", "https://hooks.example.com/hunter 2"),
        ("WEBHOOK_URL", "https:///hunter2"),
        ("WEBHOOK_SECRET", "hunter2"),
        ("WEBHOOK_SECRET", "whsec_hunter2"),
        ("WEBHOOK_SECRET", "whsec_aHVudGVyMg=="),
        ("VERIFY_EVERY", "1s"),
        ("VERIFY_EVERY", "soon"),
        ("VERIFY_RATE", "0"),
        ("VERIFY_RATE", "fast"),
        ("APPROVALS", "purge,everything"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"ZANITH_{name}", value)
    with pytest.raises(WrongUsage, match=f"ZANITH_{name} is wrong: .+") as error:
        load_settings()
    assert "hunter" not in str(error.value.as_dict())


@pytest.mark.parametrize("name", ["AUTH_TOKEN", "READ_ONLY_AUTH_TOKEN"])
def test_a_short_token_is_refused_with_how_to_make_one(monkeypatch, name):
    monkeypatch.setenv(f"ZANITH_{name}", "ana:hunter2-01234567,bob:x")
    with pytest.raises(WrongUsage) as error:
        load_settings()
    message = error.value.message
    assert message.startswith(f"ZANITH_{name} is wrong: the token of bob is too short")
    assert "16 characters" in message
    assert "openssl rand -hex 32" in message
    monkeypatch.setenv(f"ZANITH_{name}", "ana:hunter2-01234567")
    assert load_settings().guarded


def test_an_open_bind_needs_a_token():
    with pytest.raises(WrongUsage, match="ZANITH_AUTH_TOKEN"):
        load_settings(host="0.0.0.0")
    assert load_settings(host="0.0.0.0", auth_token="the-token-of-staff").tokens_needed
    assert load_settings(host="0.0.0.0", auth_token_file="/run/staff").guarded


@pytest.mark.parametrize(
    ("host", "closed"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.test", False),
    ],
)
def test_loopback(host, closed):
    assert is_loopback(host) is closed


def test_token_does_not_print_its_secret():
    assert "abc" not in repr(parse_tokens("me:abc0123456789def"))


def test_hosts_that_a_proxy_passes_on(monkeypatch):
    monkeypatch.setenv("ZANITH_ALLOWED_HOSTS", "Zanith.Example.com, db-studio ,")
    settings = load_settings()
    assert settings.allowed_hosts == {"zanith.example.com", "db-studio"}
    assert host_is_ours("zanith.example.com:443", settings.host, settings.allowed_hosts)
    assert not host_is_ours("evil.example", settings.host, settings.allowed_hosts)


def test_an_audit_file_that_cannot_be_written_is_refused(tmp_path):
    require_audit_log(load_settings())
    require_audit_log(load_settings(audit_log=tmp_path / "audit.ndjson"))
    with pytest.raises(WrongUsage, match=r"ZANITH_AUDIT_LOG is wrong: .*nowhere"):
        require_audit_log(load_settings(audit_log=tmp_path / "nowhere" / "audit.ndjson"))


def test_a_number_that_is_none_is_said_in_our_words(monkeypatch):
    monkeypatch.setenv("ZANITH_PORT", "x")
    with pytest.raises(WrongUsage, match="ZANITH_PORT is wrong: it must be a whole number"):
        load_settings()


def test_webhooks_show_no_address(monkeypatch):
    monkeypatch.setenv(
        "ZANITH_WEBHOOK_URL",
        " https://ana:hunter2@hooks.example.com/hunter3, https://b.example:8443/hunter4,"
        "https://b.example:8443/hunter4,http://[::1]/hunter5",
    )
    monkeypatch.setenv("ZANITH_WEBHOOK_SECRET", "whsec_" + "aHVudGVy" * 4)
    monkeypatch.setenv("ZANITH_PUBLIC_URL", "https://zanith.example.com/zanith/")
    settings = load_settings()
    hooks = settings.webhooks
    assert [one.host for one in hooks.receivers] == ["hooks.example.com", "b.example:8443", "[::1]"]
    assert hooks.secrets == (b"hunter" * 4,)
    assert hooks.page("/studio/jobs/a") == "https://zanith.example.com/zanith/studio/jobs/a"
    assert "hunter" not in repr(settings) + repr(hooks) + repr(hooks.receivers)
    assert "aHVudGVy" not in repr(settings)


def test_sizes_are_those_of_postgresql(monkeypatch):
    monkeypatch.setenv("ZANITH_VERIFY_RATE", "1.5 MB")
    assert load_settings().verify_rate == 1_572_864
    monkeypatch.setenv("ZANITH_VERIFY_EVERY", "7d")
    assert load_settings().verify_every == timedelta(days=7)
    monkeypatch.setenv("ZANITH_VERIFY_EVERY", "")
    assert load_settings().verify_every is None
