"""Every key and preset: config.yaml and its groups; Hydra composes them."""
