/* What came of TLS with a mail exchanger, told to queue for the reports that domains ask for (RFC
 * 8460), if [relay] tls_reports is on. Not for servers that the configuration names, nor for
 * reports themselves, nor for kept connections, which were told of when they were made. */
#ifndef BARID_RELAY_TALLY_H
#define BARID_RELAY_TALLY_H

#include "common/tlsrpt.h"
#include "relay/job_state.h"

/* r: of the connection that the plan of j was at (client_tls_result). */
void tally(const struct job *j, enum tlsrpt_result r);

#endif
