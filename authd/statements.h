/* The schema of users.db, and every SQL statement about people. Only users*.c include this. */
#ifndef BARID_AUTHD_STATEMENTS_H
#define BARID_AUTHD_STATEMENTS_H

#include "common/sql.h"

/* S(name, sql): one statement, prepared at the start and kept. */
#define STATEMENTS(S)                                                                              \
    S(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    S(COMMIT, "COMMIT")                                                                            \
    S(ROLLBACK, "ROLLBACK")                                                                        \
    S(ALL_DOMAINS, "SELECT number, name, postmaster FROM domain ORDER BY number")                  \
    S(ALL_USERS,                                                                                   \
      "SELECT box, address, quota, disabled, last_login, receive_only, pam <> '' FROM user"        \
      " ORDER BY box")                                                                             \
    S(SET_POST, "UPDATE alias SET post = ?2 WHERE address = ?1")                                   \
    S(ALL_TARGETS, "SELECT a.address, t.target, a.post FROM alias a JOIN alias_target t "          \
                   "ON t.alias = a.number ORDER BY a.number, t.target")                            \
    S(ADD_DOMAIN, "INSERT INTO domain (name, postmaster) VALUES (?1, ?2)")                         \
    S(SET_POSTMASTER, "UPDATE domain SET postmaster = ?2 WHERE number = ?1")                       \
    S(REMOVE_DOMAIN, "DELETE FROM domain WHERE number = ?1")                                       \
    S(COUNT, "SELECT (SELECT count(*) FROM user WHERE domain = ?1),"                               \
             " (SELECT count(*) FROM alias WHERE domain = ?1)")                                    \
    S(ADD_USER, "INSERT INTO user (address, domain, hash, quota, created, receive_only, salt,"     \
                " iterations, stored_key, server_key, pam)"                                        \
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")                          \
    S(SET_SECRETS, "UPDATE user SET hash = ?2, salt = ?3, iterations = ?4, stored_key = ?5,"       \
                   " server_key = ?6, pam = '' WHERE box = ?1")                                    \
    S(SET_PAM, "UPDATE user SET pam = ?2, hash = '', stored_key = x'', server_key = x''"           \
               " WHERE box = ?1")                                                                  \
    S(FORGET_KEYS, "UPDATE user SET stored_key = x'', server_key = x'' WHERE stored_key <> x''")   \
    S(SET_SALT, "UPDATE user SET salt = ?2, iterations = ?3 WHERE box = ?1")                       \
    S(SET_DISABLED, "UPDATE user SET disabled = ?2, reason = ?3 WHERE box = ?1")                   \
    S(SET_RECEIVE_ONLY, "UPDATE user SET receive_only = ?2 WHERE box = ?1")                        \
    S(SECRET, "SELECT octets FROM secret")                                                         \
    S(ADD_APP, "INSERT INTO app_password (box, name, device, stored_key, server_key, created)"     \
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                                 \
    S(REMOVE_APP, "DELETE FROM app_password WHERE box = ?1 AND name = ?2")                         \
    S(ALL_APPS, "SELECT credential, name, device, stored_key, server_key, created, last_used"      \
                " FROM app_password WHERE box = ?1 ORDER BY credential")                           \
    S(DEVICE_NEWS, "INSERT INTO device_news (box, version) VALUES (?1, 1)"                         \
                   " ON CONFLICT (box) DO UPDATE SET version = version + 1")                       \
    S(NEXT_NEWS, "SELECT box, version FROM device_news WHERE box > ?1 ORDER BY box LIMIT 1")       \
    S(NEWS_TOLD, "DELETE FROM device_news WHERE box = ?1 AND version = ?2")                        \
    S(SET_USED, "UPDATE app_password SET last_used = ?2 WHERE credential = ?1")                    \
    S(SET_QUOTA, "UPDATE user SET quota = ?2 WHERE box = ?1")                                      \
    S(SET_LOGIN, "UPDATE user SET last_login = ?2 WHERE box = ?1")                                 \
    S(DOMAIN_OF_BOX, "SELECT domain FROM user WHERE box = ?1")                                     \
    S(REMOVE_FORWARD, "DELETE FROM alias"                                                          \
                      " WHERE address = (SELECT address FROM user WHERE box = ?1)")                \
    S(REMOVE_USER, "DELETE FROM user WHERE box = ?1")                                              \
    S(FORGET, "INSERT INTO forgotten (box, since, address)"                                        \
              "SELECT box, ?2, address FROM user WHERE box = ?1")                                  \
    S(SECRETS, "SELECT hash, salt, iterations, stored_key, server_key, pam FROM user"              \
               " WHERE box = ?1")                                                                  \
    S(ADD_ALIAS, "INSERT INTO alias (address, domain) VALUES (?1, ?2) ON CONFLICT DO NOTHING")     \
    S(ADD_TARGET, "INSERT INTO alias_target (alias, target)"                                       \
                  " SELECT number, ?2 FROM alias WHERE address = ?1 ON CONFLICT DO NOTHING")       \
    S(REMOVE_TARGET, "DELETE FROM alias_target WHERE target = ?2"                                  \
                     " AND alias = (SELECT number FROM alias WHERE address = ?1)")                 \
    S(REMOVE_ALIAS, "DELETE FROM alias WHERE address = ?1")                                        \
    S(REMOVE_EMPTY_ALIAS, "DELETE FROM alias WHERE address = ?1 AND NOT EXISTS"                    \
                          " (SELECT 1 FROM alias_target t WHERE t.alias = alias.number)")          \
    S(NEXT_FORGOTTEN, "SELECT box, address FROM forgotten WHERE box > ?1 ORDER BY box LIMIT 1")    \
    S(FORGOTTEN_DONE, "DELETE FROM forgotten WHERE box = ?1")                                      \
    S(LIST_DOMAINS,                                                                                \
      "SELECT number, name, postmaster, 0, 0, 0, '', 0, 0, '' FROM domain WHERE number > ?1"       \
      " ORDER BY number LIMIT ?2")                                                                 \
    S(LIST_USERS,                                                                                  \
      "SELECT box, address, '', quota, disabled, created, reason, receive_only, (SELECT count(*) " \
      "FROM app_password a WHERE a.box = user.box), pam FROM user WHERE box > ?1"                  \
      " ORDER BY box LIMIT ?2")                                                                    \
    S(LIST_ALIASES,                                                                                \
      "SELECT number, address, '', 0, 0, 0, '', 0, 0, '' FROM alias WHERE number > ?1"             \
      " ORDER BY number LIMIT ?2")

enum statement {
#define STATEMENT_ENUM(name, sql) Q_##name,
    STATEMENTS(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        N_STATEMENTS
};

struct users {
    sqlite3 *db;
    sqlite3_stmt *q[N_STATEMENTS];
    enum sql_fault fault;
};

/* Remembers what went wrong, since a rollback after it would hide it; -1. */
int users_failed(struct users *u);
/* 0, or -1. */
int users_run(struct users *u, enum statement which);
/* Ends a transaction: COMMIT, or ROLLBACK if rc is not 0. 0, or -1. */
int users_end(struct users *u, int rc);

#endif
