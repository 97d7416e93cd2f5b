"""How good the answers are; serving never imports this."""
