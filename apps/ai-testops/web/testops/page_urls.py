from django.contrib.auth import views as accounts
from django.urls import path

from testops.pages import projects, runs, specifications
from testops.pages.forms import SignInForm

urlpatterns = [
    path("", projects.dashboard, name="dashboard"),
    path("accounts/login/", accounts.LoginView.as_view(authentication_form=SignInForm), name="login"),
    path("accounts/logout/", accounts.LogoutView.as_view(), name="logout"),
    path("projects/new", projects.new_project, name="new-project"),
    path("projects/<int:pk>", projects.project, name="project"),
    path("projects/<int:pk>/edit", projects.edit_project, name="edit-project"),
    path("projects/<int:pk>/delete", projects.delete_project, name="delete-project"),
    path("projects/<int:pk>/import", projects.import_specification, name="import"),
    path("specifications/<int:pk>", specifications.specification, name="specification"),
    path("specifications/<int:pk>/generate", specifications.generate, name="generate"),
    path("specifications/<int:pk>/run", specifications.start, name="start"),
    path("specifications/<int:pk>/delete", projects.delete_specification, name="delete-specification"),
    path("cases/<int:pk>", specifications.case, name="case"),
    path("cases/<int:pk>/active", specifications.activate, name="activate"),
    path("runs/<int:pk>", runs.run, name="run"),
    path("runs/<int:pk>/progress", runs.progress, name="progress"),
    path("runs/<int:pk>/cancel", runs.cancel, name="cancel"),
    path("results/<int:pk>", runs.result, name="result"),
]
