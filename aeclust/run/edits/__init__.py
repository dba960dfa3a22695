"""Corrections by hand: what each is, their file, the labels with them, and the verbs."""
