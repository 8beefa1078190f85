from django.apps import AppConfig


class TestOpsConfig(AppConfig):
    name = "testops"
    verbose_name = "AI TestOps"
