"""Images of the pipeline: built, pushed, made from the Debian archive, and compared with what is known of them."""
