"""Test sets, scores and intervals."""
