"""The networks: how they are built, what they learn from, how they are trained and used."""
