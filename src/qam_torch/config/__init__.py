"""From Hydra's words to a composed configuration."""
