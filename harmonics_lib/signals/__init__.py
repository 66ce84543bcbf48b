"""Sums of sinusoids in noise, and their spectra."""
