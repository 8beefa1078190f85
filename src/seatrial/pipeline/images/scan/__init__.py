"""`image scan`: what is in an image, compared with what is known; what could not be compared is said."""
