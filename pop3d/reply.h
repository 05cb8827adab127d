/* Every reply text, once. Response codes: RFC 2449 8, RFC 3206. Texts with % are formats of
 * session_sayf; all are constants, what a client sent is never repeated to it. */
#ifndef BARID_POP3D_REPLY_H
#define BARID_POP3D_REPLY_H

/* No <…> in the greeting: that would offer APOP (RFC 1939 7). */
#define REPLY_GREETING "+OK POP3 server ready"
#define REPLY_BYE      "+OK bye"
#define REPLY_OK       "+OK"

/* Before a session begins; sent as they are. */
#define REPLY_FULL     "-ERR [SYS/TEMP] too many connections, try again later\r\n"
#define REPLY_TOO_MANY "-ERR [SYS/TEMP] too many connections from your address\r\n"
#define REPLY_TOO_FAST                                                                             \
    "-ERR [SYS/TEMP] too many new connections from your address, wait a minute\r\n"

/* Lines that are no commands. */
#define REPLY_UNKNOWN    "-ERR unknown command"
#define REPLY_STATE      "-ERR command not possible now"
#define REPLY_ARGUMENT   "-ERR wrong arguments"
#define REPLY_TOO_LONG   "-ERR line too long"
#define REPLY_NOT_A_LINE "-ERR lines end with CRLF and hold no NUL; closing"
#define REPLY_NOT_POP3   "-ERR this is a POP3 server; closing"
#define REPLY_EARLY      "-ERR you spoke before it was your turn; closing"
#define REPLY_ERRORS     "-ERR too many errors; closing"

/* STLS (RFC 2595 4). */
#define REPLY_STLS        "+OK begin TLS now"
#define REPLY_NO_TLS      "-ERR TLS is not possible on this server"
#define REPLY_TLS_ALREADY "-ERR TLS is active already"

/* Login. */
#define REPLY_USER           "+OK now PASS"
#define REPLY_NO_USER        "-ERR USER comes first"
#define REPLY_NEEDS_TLS      "-ERR login is not possible without TLS on this server"
#define REPLY_WRONG          "-ERR [AUTH] wrong user name or password"
#define REPLY_FAILURES       "-ERR [AUTH] too many failed logins; closing"
#define REPLY_THROTTLED      "-ERR [SYS/TEMP] too many failed logins from your address, try again later"
#define REPLY_DISABLED       "-ERR [AUTH] this account is disabled"
#define REPLY_EXPIRED        "-ERR [AUTH] the account, or its password, has expired"
#define REPLY_CAPA_SASL      "SASL %s"
#define REPLY_NO_MECHANISM   "-ERR no such authentication mechanism"
#define REPLY_AUTH_CANCELLED "-ERR authentication cancelled"
#define REPLY_AUTH_MALFORMED "-ERR not what the mechanism asks for"
#define REPLY_LOGIN_BUSY     "-ERR [SYS/TEMP] cannot check the login now, try again later"
#define REPLY_IN_USE         "-ERR [IN-USE] the mailbox is open in another session"
#define REPLY_NO_BOX         "-ERR [SYS/TEMP] cannot open the mailbox now, try again later"
#define REPLY_OPEN           "+OK maildrop has %zu messages (%llu octets)"

#define REPLY_TOO_SOON "-ERR [LOGIN-DELAY] the mailbox was just opened, wait before the next login"
#define REPLY_NOT_UTF8 "-ERR a user name or password that is no UTF-8"

#define REPLY_CAPA "+OK capabilities follow"
/* What is true in both states (RFC 2449 6, RFC 3206 6, RFC 6856 2 and 3). */
#define REPLY_CAPA_LINES                                                                           \
    "TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUTF8 USER\r\nLANG"
#define REPLY_CAPA_USER           "USER"
#define REPLY_CAPA_STLS           "STLS"
#define REPLY_CAPA_DELAY          "LOGIN-DELAY %llu"
#define REPLY_CAPA_EXPIRE         "EXPIRE %llu%s"
#define REPLY_CAPA_NEVER          "EXPIRE NEVER"
#define REPLY_CAPA_VARIES         " USER"
#define REPLY_CAPA_IMPLEMENTATION "IMPLEMENTATION barid"

#define REPLY_UTF8      "+OK UTF-8 it is"
#define REPLY_LANGS     "+OK languages follow"
#define REPLY_LANG      "+OK %s this is the language of the texts now"
#define REPLY_LANG_LINE "%s %s"
#define REPLY_LANG_NONE "-ERR no texts in that language"

/* Mail. */
#define REPLY_STAT        "+OK %zu %llu"
#define REPLY_LIST        "+OK %zu messages (%llu octets)"
#define REPLY_LIST_ONE    "+OK %llu %llu"
#define REPLY_UIDL        "+OK unique ids follow"
#define REPLY_UIDL_ONE    "+OK %llu %.*s"
#define REPLY_RETR        "+OK %llu octets"
#define REPLY_TOP         "+OK top of message follows"
#define REPLY_DELETED     "+OK marked as deleted"
#define REPLY_NOT_MARKED  "-ERR [SYS/TEMP] cannot mark it now"
#define REPLY_NO_MESSAGE  "-ERR no such message"
#define REPLY_WAS_DELETED "-ERR message is already deleted"
#define REPLY_UNREADABLE  "-ERR [SYS/TEMP] cannot read this message now"
#define REPLY_NOT_REMOVED "-ERR [SYS/TEMP] some deleted messages not removed"

/* The end of a session that the client did not ask for. */
#define REPLY_BOX_GONE "-ERR [SYS/TEMP] mailbox not available now; closing"
#define REPLY_STOPPING "-ERR [SYS/TEMP] server is stopping; closing"

#endif
