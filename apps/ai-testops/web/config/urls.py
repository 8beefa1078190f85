from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    # One way in, where guessing passwords is slowed down.
    path("admin/login/", login_not_required(RedirectView.as_view(pattern_name="login", query_string=True))),
    path("admin/", admin.site.urls),
    path("api/", include("testops.api_urls")),
    path("", include("testops.page_urls")),
]

handler404 = "testops.pages.errors.not_found"
handler500 = "testops.pages.errors.failed"
