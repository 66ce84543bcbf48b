"""Forecasts of plain series: reading, gaps, the index, candidates, their average and its intervals."""

from harmonics_lib.series.forecasts import forecast

__all__ = ["forecast"]
