from django.apps import AppConfig


class TestOpsConfig(AppConfig):
    name = "testops"
    verbose_name = "AI TestOps"

    def ready(self) -> None:
        from testops import attempts

        attempts.watch()
