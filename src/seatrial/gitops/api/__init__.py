"""The kinds of `argoproj.io/v1alpha1` and the words of their annotations and options."""
