"""Its modules import one another by relative imports only: the zip holds this package under the name `jobs`."""
