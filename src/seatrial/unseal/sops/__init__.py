"""Files that SOPS encrypted for age recipients, decrypted: what `sops decrypt` prints.

document   a file of some format, as trees of values and the metadata in it
metadata   which values are encrypted, and the data key, encrypted for each recipient
cipher     one value
decrypt    all of it, and the check that nothing was changed
"""
