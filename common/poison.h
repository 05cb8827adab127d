/* Included before every file: functions that have no safe use here do not compile. */
#ifndef BARID_POISON_H
#define BARID_POISON_H

/* System headers that mention the names below must be read before they are poisoned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Some C libraries make a macro of it. */
#undef strncat
#undef strncpy
#undef strcpy
#undef strcat
#undef stpcpy
#undef sprintf
#undef vsprintf
#undef strtok

#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf gets strtok
#pragma GCC poison atoi atol atoll atof system popen tmpnam tempnam mktemp
#pragma GCC poison asctime ctime gmtime localtime srand
/* OpenSSL's headers have parameters of this name, so only the call is forbidden. */
#define rand() use_randombytes_of_libsodium

#endif
