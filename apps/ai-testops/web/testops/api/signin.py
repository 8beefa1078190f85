"""A token for a name and a password."""

from __future__ import annotations

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from testops import attempts


class SignInRequest(serializers.Serializer):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False, style={"input_type": "password"})


class SignInAnswer(serializers.Serializer):
    token = serializers.CharField()


class SignIn(APIView):
    """The token goes into every other request: `Authorization: Token <token>`."""

    authentication_classes = []
    permission_classes = [AllowAny]

    def get_authenticate_header(self, request) -> str:
        return "Token"  # so that a wrong password is a 401

    @extend_schema(request=SignInRequest, responses={200: SignInAnswer}, tags=["sign-in"])
    def post(self, request) -> Response:
        given = SignInRequest(data=request.data)
        given.is_valid(raise_exception=True)
        name = given.validated_data["username"]
        if wait := attempts.wait(name):
            raise Throttled(wait)
        user = authenticate(request, username=name, password=given.validated_data["password"])
        if user is None:
            raise AuthenticationFailed("the name or the password is wrong")
        token, _ = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})


class SignOut(APIView):
    """The token is worth nothing from now on."""

    @extend_schema(request=None, responses={204: None}, tags=["sign-in"])
    def post(self, request) -> Response:
        Token.objects.filter(user=request.user).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
