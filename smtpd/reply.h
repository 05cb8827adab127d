/* Every reply of the server, once. Enhanced status codes (RFC 2034, RFC 3463) on all but the
 * greeting and the answers to HELO and EHLO. */
#ifndef BARID_SMTPD_REPLY_H
#define BARID_SMTPD_REPLY_H

#include "common/admission.h"
#include "common/buf.h"

enum reply_flag {
    REPLY_FAULT = 1,  /* the client's: counts towards limits.errors */
    REPLY_CLOSES = 2, /* the connection is closed after it */
};

/* R(NAME, code, enhanced, flags, text). One with an argument ends with it. What is decided about
 * somebody, and not about how he says it, is in common/admission.h. */
#define REPLIES(R)                                                                                 \
    ADMISSION_REPLIES(R)                                                                           \
    R(HELP, "214", "2.0.0", 0,                                                                     \
      "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP; see RFC 5321")   \
    R(BANNER, "220", "", 0, "")                                                                    \
    R(TLS_GO_AHEAD, "220", "2.0.0", 0, "Ready to start TLS")                                       \
    R(BYE, "221", "2.0.0", REPLY_CLOSES, "Bye")                                                    \
    R(LOGGED_IN, "235", "2.7.0", 0, "Logged in")                                                   \
    R(HELLO, "250", "", 0, "")                                                                     \
    R(DONE, "250", "2.0.0", 0, "Ok")                                                               \
    R(VERIFIED, "250", "2.1.5", 0, "")                                                             \
    R(EXPANDED, "250", "2.1.5", 0, "")                                                             \
    R(CHUNK_DONE, "250", "2.0.0", 0, "Ok, go on")                                                  \
    R(QUEUED, "250", "2.0.0", 0, "Ok: queued as ")                                                 \
    R(VRFY, "252", "2.5.0", 0, "Not verified here; try RCPT")                                      \
    R(EXPN, "252", "2.5.0", 0, "Not expanded here; mail to it is tried")                           \
    R(NOT_IN_ASCII, "252", "2.6.8", 0, "The answer needs UTF-8; ask with SMTPUTF8")                \
    R(CHALLENGE, "334", "", 0, "")                                                                 \
    R(EACH_FOLLOWS, "353", "", 0, "A reply for each recipient follows, then one for the message")  \
    R(GO_AHEAD, "354", "", 0, "End data with <CR><LF>.<CR><LF>")                                   \
    R(DRAINING, "421", "4.3.2", REPLY_CLOSES, "Service is stopping, try again later")              \
    R(TOO_BUSY, "421", "4.3.2", REPLY_CLOSES, "Too many connections, try again later")             \
    R(NO_MEMORY, "421", "4.3.0", REPLY_CLOSES, "Out of memory, try again later")                   \
    R(TIMEOUT, "421", "4.4.2", REPLY_CLOSES, "Timeout, closing the connection")                    \
    R(TOO_MANY_ERRORS, "421", "4.7.0", REPLY_CLOSES, "Too many errors")                            \
    R(PEER_TOO_MANY, "421", "4.7.0", REPLY_CLOSES, "Too many connections from your address")       \
    R(PEER_TOO_FAST, "421", "4.7.0", REPLY_CLOSES, "Too many new connections from your address")   \
    R(HOLD_FULL, "452", "4.7.1", 0, "Too much of your mail is on hold, try again later")           \
    R(USER_TOO_FAST, "450", "4.7.1", 0, "Too many messages from you, try again later")             \
    R(TOO_MANY_LOGINS, "421", "4.7.0", REPLY_CLOSES, "Too many failed logins")                     \
    R(DISK_FULL, "452", "4.3.1", 0, "Not enough room on disk, try again later")                    \
    R(TOO_MANY_RCPTS, "452", "4.5.3", 0, "Too many recipients, send the rest in a new message")    \
    R(BAD_LINE, "500", "5.5.2", REPLY_FAULT, "Syntax error")                                       \
    R(LINE_TOO_LONG, "500", "5.5.2", REPLY_FAULT, "Line too long")                                 \
    R(LINE_ENDLESS, "500", "5.5.2", REPLY_FAULT | REPLY_CLOSES, "Line too long")                   \
    R(BARE_NEWLINE, "500", "5.5.2", REPLY_FAULT | REPLY_CLOSES,                                    \
      "Bare CR or LF; lines end with CRLF")                                                        \
    R(LINE_NUL, "500", "5.5.2", REPLY_FAULT | REPLY_CLOSES, "NUL in a command")                    \
    R(UNKNOWN_COMMAND, "500", "5.5.1", REPLY_FAULT, "Command not recognised")                      \
    R(AUTH_TOO_LONG, "500", "5.5.6", REPLY_FAULT | REPLY_CLOSES,                                   \
      "Line of the authentication exchange too long")                                              \
    R(AUTH_NOT_BASE64, "501", "5.5.2", REPLY_FAULT, "Cannot decode base64")                        \
    R(AUTH_MALFORMED, "501", "5.5.2", REPLY_FAULT, "Not what the mechanism asks for")              \
    R(AUTH_CANCELLED, "501", "5.7.0", REPLY_FAULT, "Authentication cancelled")                     \
    R(BAD_ARGUMENT, "501", "5.5.4", REPLY_FAULT, "Syntax error in the arguments")                  \
    R(BAD_CHUNK, "501", "5.5.4", REPLY_FAULT | REPLY_CLOSES, "Syntax: BDAT octets [LAST]")         \
    R(NOT_IMPLEMENTED, "502", "5.5.1", REPLY_FAULT, "Command not implemented")                     \
    R(TLS_FIRST, "530", "5.7.0", REPLY_FAULT, "Must issue a STARTTLS command first")               \
    R(HELO_FIRST, "503", "5.5.1", REPLY_FAULT, "Send EHLO or HELO first")                          \
    R(LHLO_FIRST, "503", "5.5.1", REPLY_FAULT, "Send LHLO first")                                  \
    R(RCPT_FIRST, "503", "5.5.1", REPLY_FAULT, "No valid recipients")                              \
    R(TLS_ALREADY, "503", "5.5.1", REPLY_FAULT, "TLS is active already")                           \
    R(NESTED_MAIL, "503", "5.5.1", REPLY_FAULT, "Sender already given")                            \
    R(CHUNKS_BEGUN, "503", "5.5.1", REPLY_FAULT,                                                   \
      "Content comes by BDAT; end it with LAST, or RSET")                                          \
    R(MAIL_FIRST, "503", "5.5.1", REPLY_FAULT, "Send MAIL first")                                  \
    R(LOGIN_TWICE, "503", "5.5.1", REPLY_FAULT, "Already logged in")                               \
    R(NO_MECHANISM, "504", "5.5.4", REPLY_FAULT, "No such authentication mechanism")               \
    R(LOGIN_NEEDS_TLS, "538", "5.7.11", REPLY_FAULT, "Encryption required for logins")             \
    R(NO_SUCH_LIST, "550", "5.1.1", REPLY_FAULT, "No such mailing list here")                      \
    R(CONTENT_BARE, "550", "5.6.0", REPLY_FAULT,                                                   \
      "Bare CR or LF in the message; lines end with CRLF")                                         \
    R(CONTENT_NUL, "550", "5.6.0", REPLY_FAULT, "NUL in the message")                              \
    R(CONTENT_LINE, "550", "5.6.0", REPLY_FAULT, "A line of the message is too long")              \
    R(CONTENT_BAD, "550", "5.6.0", REPLY_FAULT, "The message is not lines that end with CRLF")     \
    R(NEEDS_UTF8, "553", "5.6.7", REPLY_FAULT, "This address needs SMTPUTF8")                      \
    R(HEADER_TOO_BIG, "552", "5.3.4", REPLY_FAULT, "Header section of the message too big")        \
    R(ENDLESS, "552", "5.3.4", REPLY_FAULT | REPLY_CLOSES, "Message far too big")                  \
    R(NO_RCPTS, "554", "5.5.1", REPLY_FAULT, "No valid recipients")                                \
    R(TOO_MANY_HOPS, "554", "5.4.6", REPLY_FAULT, "Too many Received fields: mail loop")           \
    R(TALKS_EARLY, "554", "5.5.0", REPLY_FAULT | REPLY_CLOSES,                                     \
      "You spoke before it was your turn")                                                         \
    R(NOT_SMTP, "554", "5.5.0", REPLY_FAULT | REPLY_CLOSES, "This is SMTP")                        \
    R(BAD_PARAMETER, "555", "5.5.4", REPLY_FAULT, "Parameter not recognised")

enum reply {
#define REPLY_ENUM(NAME, code, enhanced, flags, text) R_##NAME,
    REPLIES(REPLY_ENUM)
#undef REPLY_ENUM
        REPLY_COUNT
};

struct reply_desc {
    const char *code, *enhanced, *text;
    unsigned flags;
};

const struct reply_desc *reply_desc(enum reply r);
static inline bool reply_is_refusal(enum reply r)
{
    return reply_desc(r)->code[0] >= '4';
}
/* What the decision is said with. */
enum reply reply_of_admission(enum admission p);
/* Appends the reply, its argument (or an empty span) after the text. 0, or -1: no room. */
int reply_add(struct buf *out, enum reply r, struct span argument);
/* A line of a multi-line reply: "250-text" or, the last one, "250 text". */
int reply_add_line(struct buf *out, enum reply r, struct span text, bool is_last);
/* "550 5.1.1" for the log, into out. */
#define REPLY_CODES_MAX 16
void reply_codes(char out[REPLY_CODES_MAX], enum reply r);

#endif
