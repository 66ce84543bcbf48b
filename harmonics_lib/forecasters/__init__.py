"""The classical methods, one family a file, and what every forecaster is."""
