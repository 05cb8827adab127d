/* Octets between a program on stdin and stdout and a socket, until either is over (sendmail -bs).
 * LF alone becomes CRLF on the way to the socket: programs and people write it so. */
#ifndef BARID_PUMP_H
#define BARID_PUMP_H

/* 0 when the socket is at its end, or -1 (errno). */
int pump(int in, int out, int socket);

#endif
