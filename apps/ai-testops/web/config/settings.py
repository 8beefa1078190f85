"""Django's settings, all of them from the environment (README.md lists the variables)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from groundwork import environment

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = environment.text("SECRET_KEY")
CREDENTIALS_KEY = environment.text("CREDENTIALS_KEY", SECRET_KEY)
DEBUG = environment.flag("DEBUG")
ALLOWED_HOSTS = list(environment.words("ALLOWED_HOSTS", "localhost,127.0.0.1"))
CSRF_TRUSTED_ORIGINS = list(environment.words("CSRF_TRUSTED_ORIGINS"))

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "testops",
]

MIDDLEWARE = [
    # First: the kubelet and Prometheus call by address, which is in nobody's ALLOWED_HOSTS.
    "config.probes.ProbeMiddleware",
    "config.metrics.MetricsMiddleware",
    "config.limits.BodyLimitMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.headers.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Every page is for those who are signed in, but for those that say otherwise. The API has permissions of its own.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def database(url: str) -> dict:
    """DATABASE_URL as Django wants it; a password that is not in it is taken from PGPASSWORD by the driver."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise environment.MissingSetting("DATABASE_URL must start with postgresql://")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # A server that vanished without a word is noticed within half a minute, not after the kernel's two hours.
        "OPTIONS": {
            "connect_timeout": 3,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,
        },
    }


DATABASES = {"default": database(environment.text("DATABASE_URL"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"

# Behind an Ingress that ends TLS, COOKIE_SECURE=true makes browsers send the cookies over https only.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.flag("COOKIE_SECURE")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SESSION_COOKIE_SECURE else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static-collected"
WHITENOISE_USE_FINDERS = DEBUG or not STATIC_ROOT.exists()  # a checkout that has not run `collectstatic`

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "testops.api.paging.Pages",
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "testops.api.explain",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AI TestOps",
    "DESCRIPTION": "Turns an API description into tests, runs them, and keeps the results.",
    "VERSION": "1.0.0",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "COMPONENT_SPLIT_REQUEST": True,
}

KAFKA_BOOTSTRAP_SERVERS = environment.text("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
GENERATOR = environment.text("GENERATOR", "offline")  # for who does not name one
TARGET_ALLOWED_HOSTS = environment.words("TARGET_ALLOWED_HOSTS")
MAX_CASES_PER_SPECIFICATION = int(environment.number("MAX_CASES_PER_SPECIFICATION", 20_000))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": environment.text("LOG_LEVEL", "INFO")},
}
