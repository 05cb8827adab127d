/* What some numbers in the messages of proto.h mean: reasons, kinds, flags. */
#ifndef BARID_PROTO_VALUES_H
#define BARID_PROTO_VALUES_H

/* Why the queue did not take a message, so that the reply text stays with the SMTP server. */
enum intake_reason {
    INTAKE_OK = 0,
    INTAKE_FAULT,      /* ours: 451 4.3.0 */
    INTAKE_DISK,       /* no room on disk: 452 4.3.1 */
    INTAKE_QUOTA,      /* a mailbox is full: 452 4.2.2 */
    INTAKE_TOO_BIG,    /* 552 5.3.4 */
    INTAKE_STALE,      /* a resolved address is too old or from before a restart: 451 4.3.0 */
    INTAKE_RELAYING,   /* a foreign recipient from a peer that may not relay: 550 5.7.1 */
    INTAKE_CONTENT,    /* not CRLF lines, NUL: 550 5.6.0 */
    INTAKE_RATE,       /* a user of this machine sends too much: 450 4.7.1 */
    INTAKE_LOGIN,      /* the ticket does not hold (any more): 421 4.7.0 */
    INTAKE_SENDER,     /* not an address of the user who logged in: 553 5.7.1 */
    INTAKE_NOBODY,     /* of a backup's domain, and not known at its own host: 550 5.1.1 */
    INTAKE_UNVERIFIED, /* the same, but it cannot be found out now: 450 4.1.1 */
    INTAKE_HELD,       /* too much of its sender waits for its time (RFC 4865): 452 4.7.1 */
};

/* What authd says an address is. */
/* Who may send to an alias. */
enum post_rule {
    POST_ANYONE = 0,
    POST_MEMBERS, /* to whom it leads, by the address in MAIL FROM */
    POST_USERS,   /* who logs in, sends from this machine or from a network of allow_from */
    POST_RULES
};

enum address_kind {
    ADDRESS_LOCAL = 0,   /* `sealed` holds where it goes */
    ADDRESS_FOREIGN = 1, /* not our domain */
    ADDRESS_UNKNOWN = 2, /* our domain, nobody there: 550 5.1.1 */
};

/* What the parent opens for a child. */
enum file_kind {
    FILE_CERTIFICATE, /* of a [tls] section, with its chain */
    FILE_KEY,
    FILE_CLIENT_CA,
    FILE_TRUST,      /* of the machine: who signs the certificates of other servers */
    FILE_SECRET,     /* smarthost_secret: of [relay] (section 0), of the nth [route] (n + 1) */
    FILE_RECIPIENTS, /* recipients of the nth [route] (n + 1) */
    FILE_KINDS
};

/* How to sign: SignatureScheme of RFC 8446 4.2.3. */
enum key_scheme {
    KEY_RSA_PKCS1_SHA256 = 0x0401,
    KEY_RSA_PKCS1_SHA384 = 0x0501,
    KEY_RSA_PKCS1_SHA512 = 0x0601,
    KEY_ECDSA_SHA256 = 0x0403,
    KEY_ECDSA_SHA384 = 0x0503,
    KEY_ECDSA_SHA512 = 0x0603,
    KEY_RSA_PSS_SHA256 = 0x0804,
    KEY_RSA_PSS_SHA384 = 0x0805,
    KEY_RSA_PSS_SHA512 = 0x0806,
    KEY_ED25519 = 0x0807,
};

enum content_flag {
    CONTENT_8BIT = 1,     /* has octets over 127 */
    CONTENT_DOTS = 2,     /* has a line that starts with a dot */
    CONTENT_LONGLINE = 4, /* has a line over 1000 octets with its CRLF (RFC 5321 4.5.3.1.6) */
    CONTENT_HEADER8 = 8,  /* has octets over 127 in its header section */
    CONTENT_UTF8 = 16, /* its client said SMTPUTF8 (RFC 6531): the envelope's, not the content's */
    CONTENT_BARE = 32, /* imported: no Return-Path is put in front of it */
    CONTENT_REQUIRETLS = 64,    /* its client said REQUIRETLS (RFC 8689): the envelope's too */
    CONTENT_TLS_OPTIONAL = 128, /* says "TLS-Required: No" (RFC 8689 3): goes however TLS fails */
};

enum login_service {
    SERVICE_POP3 = 1,
    SERVICE_SUBMISSION = 2,
};

enum login_reason {
    LOGIN_OK = 0,
    LOGIN_WRONG,     /* user or password */
    LOGIN_THROTTLED, /* too many failures from there */
    LOGIN_DISABLED,
    LOGIN_BUSY,         /* could not decide */
    LOGIN_RECEIVE_ONLY, /* may fetch mail, not send it */
    LOGIN_EXPIRED,      /* of a user whom PAM checks: the account, or its password */
};

/* What PAM says of a login. */
enum pam_reason {
    PAM_REASON_OK = 0,
    PAM_REASON_WRONG,   /* login or password, or it may not be used here or now */
    PAM_REASON_EXPIRED, /* the account, or its password, which would have to be changed first */
    PAM_REASON_BUSY,    /* could not decide */
};

/* What a ticket is good for. */
enum ticket_reason {
    TICKET_GOOD = 0,
    TICKET_GONE,   /* unknown, ended, of another session; authd may have been started anew: later */
    TICKET_SENDER, /* the user may not use that sender address: never */
};

/* What an attempt says about its destination, besides the recipients. */
enum reach {
    REACH_UNKNOWN = 0, /* nothing */
    REACH_OK,          /* it took a message */
    REACH_SLOW,        /* it refused a message as a whole for now: fewer at a time */
    REACH_LOST,        /* it said 421, hung up or fell silent on the way: also a pause */
    REACH_DOWN,        /* nothing of it could be reached */
};

/* What an attempt saw of the TLS of a mail exchanger, where it was free to go without. */
enum secured {
    SECURED_UNKNOWN = 0,
    SECURED_NOT,
    SECURED_TLS,      /* whatever the certificate */
    SECURED_VERIFIED, /* with a good one */
};

/* In this order. Nothing that the copy of the store names is removed until the end. */
enum backup_phase {
    BACKUP_STORE,   /* a copy of the store, once */
    BACKUP_FILES,   /* queue: content in files */
    BACKUP_REMOVED, /* queue: content whose message was removed meanwhile */
};

enum box_reason {
    BOX_OK = 0,
    BOX_IN_USE,
    BOX_FAULT,
    BOX_TOO_SOON, /* within [pop3] login_delay of the last time */
};

#endif
