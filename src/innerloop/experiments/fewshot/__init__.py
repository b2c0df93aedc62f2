"""How few-shot methods are trained."""
