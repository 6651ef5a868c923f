"""Four eyes: what a person asks for, what another person sees of it, and the decision."""
