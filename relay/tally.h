/* What came of TLS with a mail exchanger, told to queue for the reports that domains ask for (RFC
 * 8460), if [relay] tls_reports is on. Not for servers that the configuration names, nor for
 * reports themselves, nor for kept connections, which were told of when they were made. */
#ifndef BARID_RELAY_TALLY_H
#define BARID_RELAY_TALLY_H

#include "common/tlsrpt.h"
#include "relay/job_state.h"

/* r: of the connection that the plan of j was at (client_tls_result). */
void tally(const struct job *j, enum tlsrpt_result r);
/* After each answer of the resolver: one that is false is a session that did not come about. */
void tally_answer(const struct job *j);
/* What r means for who went by these facts, and by which policy that was. */
enum tlsrpt_result tally_judge(const struct policy_facts *f, enum tlsrpt_result r,
                               enum tlsrpt_policy *policy);

#endif
