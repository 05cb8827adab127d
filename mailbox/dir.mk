# Sources of mailbox/ and its unit tests.
