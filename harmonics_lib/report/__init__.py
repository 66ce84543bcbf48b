"""The machinery of the report: what notebooks find and draw, the prose that quotes it, the runner.

Matplotlib, IPython and papermill live here; the science in ``harmonics_lib`` knows none of them.
"""
