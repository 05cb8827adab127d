# Sources of authd/ and its unit tests.
