"""Secrets that may lie in Git: ciphertext in, plaintext out, in memory only. Nothing else sees keys."""
