# Programs that only tests use.
