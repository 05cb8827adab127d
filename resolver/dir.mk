# Sources of resolver/ and its unit tests.
