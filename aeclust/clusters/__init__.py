"""From latents to clusters: reduction, clusterers, consensus, confidence, scores."""
