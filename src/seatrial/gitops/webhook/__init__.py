"""Webhooks: what a Git server says was pushed, believed if it is signed, and which sources it concerns."""
