"""Pictures and the page: arrays in, figures and HTML out."""
