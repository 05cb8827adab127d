# Sources of smtpd/ and its unit tests.
