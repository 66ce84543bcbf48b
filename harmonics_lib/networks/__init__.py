"""The neural forecasters, one class each."""
