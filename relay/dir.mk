# Sources of relay/ and its unit tests.
