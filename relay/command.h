/* The commands of one mail's transaction by their numbers: 0 is MAIL, 1 to n the RCPTs, n + 1 DATA.
 */
#ifndef BARID_RELAY_COMMAND_H
#define BARID_RELAY_COMMAND_H

#include "relay/client.h"
#include "relay/offer.h"

#define COMMAND_MAX (ADDRESS_MAX + ORCPT_MAX + ENVID_MAX + 128) /* a line with its CRLF */

/* As it is sent, with the parameters that are offered (RFC 1870, 3461, 4954, 6152, 6531, 8689). */
void command_format(char out[COMMAND_MAX], const struct client_mail *m, const struct offer *o,
                    size_t command);
/* For people: "RCPT TO". */
const char *command_name(const struct client_mail *m, size_t command);
/* Octets of content, dots not counted (RFC 1870 3). */
uint64_t command_content_size(const struct client_mail *m);

#endif
