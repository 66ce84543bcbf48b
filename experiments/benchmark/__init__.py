"""A benchmark of the world: measured series of public packages, rivals of other libraries, and their scores."""
