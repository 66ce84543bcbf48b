"""The report: findings and figures of notebooks, the prose with their numbers, and the runner.

Only this package imports Matplotlib, IPython and papermill.
"""
