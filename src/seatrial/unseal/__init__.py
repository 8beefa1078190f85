"""Secrets that may lie in Git: ciphertext in, plaintext out, in memory only. Nothing else sees keys.

sealing        the hybrid encryption of SealedSecrets: bytes under a public key, bound to a name
sealedsecret   a Secret into a SealedSecret and back                          (pure)
keys           the sealing keys, as Secrets in the cluster
controller     keeps the Secret of every SealedSecret
sops           files that SOPS encrypted for age keys
"""
