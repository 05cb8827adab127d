# Sources of pop3d/ and its unit tests.
