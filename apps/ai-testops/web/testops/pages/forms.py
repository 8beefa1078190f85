"""What people fill in."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import AuthenticationForm

from testops import attempts, projects
from testops.errors import Refusal
from testops.models import BASE_URL, FailureGroup, Kind, Project, Result

LARGEST_SEED = 2**63 - 1
KINDS = [("", "all"), *((kind.value, kind.value) for kind in Kind)]


class SignInForm(AuthenticationForm):
    def clean(self):
        if seconds := attempts.wait(self.cleaned_data.get("username") or ""):
            raise forms.ValidationError(f"Too many wrong passwords: try again in {seconds} seconds.", code="throttled")
        return super().clean()


class ProjectForm(forms.ModelForm):
    base_url = forms.CharField(
        max_length=500, label="Base URL", validators=[BASE_URL], help_text="where the API under test listens"
    )
    credentials = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text="One a line, as “security scheme: secret”. They are kept encrypted and never shown again.",
    )
    forget = forms.BooleanField(required=False, label="Forget the stored credentials")

    class Meta:
        model = Project
        fields = ["name", "base_url"]

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        if not self.instance.sealed_credentials:
            del self.fields["forget"]
            return
        stored = projects.credential_names(self.instance)
        names = "which can no longer be read" if stored is None else ", ".join(stored)
        self.fields["credentials"].help_text += f" Stored: {names}. What is given here replaces them."

    def clean(self) -> dict:
        given = super().clean()
        try:
            self.credentials = self._credentials(given)
            if self.instance.pk and "base_url" in given:
                projects.check_move(self.instance, given["base_url"], self.credentials)
        except Refusal as refusal:
            self.add_error(refusal.field, refusal.message)
        return given

    def _credentials(self, given: dict) -> dict[str, str] | None:
        """None: leave the stored ones as they are."""
        found = {}
        for number, line in enumerate((given.get("credentials") or "").splitlines(), 1):
            name, colon, secret = (part.strip() for part in line.partition(":"))
            if not colon and name:
                raise Refusal("credentials", f"line {number}: “security scheme: secret” was expected")
            if colon:
                found[name] = secret
        projects.check_credentials(found)
        return found if found or given.get("forget") else None

    def save(self, commit: bool = True) -> Project:
        if self.credentials is not None:
            self.instance.credentials = self.credentials
        return super().save(commit)


class ImportForm(forms.Form):
    file = forms.FileField(required=False, help_text="OpenAPI 3.0, 3.1 or Swagger 2.0, as JSON or YAML")
    url = forms.CharField(
        required=False, max_length=1000, label="or URL", help_text="where it can be read", empty_value=None
    )

    def clean(self) -> dict:
        given = super().clean()
        if not self.errors and bool(given.get("file")) == bool(given.get("url")):
            self.add_error("file", "Either a file or a URL was expected.")
        return given


class GenerateForm(forms.Form):
    generator = forms.ChoiceField(choices=[("offline", "offline"), ("llm", "language model")])
    seed = forms.IntegerField(
        min_value=0, max_value=LARGEST_SEED, initial=0, help_text="the same seed makes the same cases"
    )


class RunForm(forms.Form):
    note = forms.CharField(required=False, max_length=1000, help_text="what this run is for, if you like")


class CaseFilterForm(forms.Form):
    kind = forms.ChoiceField(choices=KINDS, required=False)
    active = forms.ChoiceField(choices=[("", "all"), ("true", "active"), ("false", "not active")], required=False)
    operation = forms.CharField(required=False, max_length=300, label="operation contains")

    def apply(self, queryset):
        if not self.is_valid():
            return queryset.none()
        given = self.cleaned_data
        lookups = {"kind": given["kind"], "operation__icontains": given["operation"]}
        if given["active"]:
            lookups["active"] = given["active"] == "true"
        return queryset.filter(**{lookup: value for lookup, value in lookups.items() if value != ""})


class ResultFilterForm(forms.Form):
    outcome = forms.ChoiceField(choices=[("", "all"), *((o, o) for o in Result.Outcome.values)], required=False)
    kind = forms.ChoiceField(choices=KINDS, required=False)
    group = forms.ModelChoiceField(
        FailureGroup.objects.none(), required=False, empty_label="all", label="failure group"
    )

    def __init__(self, data, groups) -> None:
        super().__init__(data)
        self.fields["group"].queryset = groups
        self.fields["group"].label_from_instance = lambda group: f"{group.size} × {group.label}"[:80]

    def apply(self, queryset):
        if not self.is_valid():
            return queryset.none()
        given = self.cleaned_data
        lookups = {"outcome": given["outcome"], "case__kind": given["kind"], "group": given["group"]}
        return queryset.filter(**{lookup: value for lookup, value in lookups.items() if value})
