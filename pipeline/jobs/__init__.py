"""The programs that run inside SageMaker jobs: `python -m pipeline.jobs COMMAND …`, or `python3 jobs.zip COMMAND …`.

Its modules import one another by relative imports only: the zip holds this package under the name `jobs`.
"""
