# Sources of queue/ and its unit tests.
