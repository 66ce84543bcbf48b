"""Training that a kill cannot harm: runs, their folders, one loop."""
