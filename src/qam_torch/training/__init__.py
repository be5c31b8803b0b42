"""Training: `fit` composes data, algorithm, Trainer and callbacks from a configuration and runs them."""
