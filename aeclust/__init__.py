"""aeclust."""
