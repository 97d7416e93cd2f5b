"""Movies come in."""
