# Sources of barid/ and its unit tests.
