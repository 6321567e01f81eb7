"""Training of encoders and decoders, and the report's experiments. See ``python -m training.fit --help``."""
