"""Container images: from a name in a pod to directories that overlayfs can mount.

reference    what the name means                    policy     pull it or use what is here; when to try again
credentials  who we are to that registry            platform   which of its variants runs here
registry     manifests and blobs over HTTP          manifest   what they say
blobs        verified bytes, by digest              layers     unpacked trees, by chain id
index        which image a name stands for          garbage    what may go
puller, loader   a registry, an archive -> store    store      all of it under one directory
manager      what the kubelet asks: "make sure this image is here"
"""
