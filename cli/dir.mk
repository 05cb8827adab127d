# Sources of cli/ and its unit tests.
