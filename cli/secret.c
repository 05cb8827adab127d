/* Passwords come from stdin or the terminal, never from the command line, where all users could
 * read them. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <termios.h>

#define PASSWORD_MAX 1024

static volatile sig_atomic_t is_interrupted;

static void interrupted(int number)
{
    (void)number;
    is_interrupted = 1;
}

/* A line without its end. 0, or -1 and e. */
static int read_line(int fd, struct secret_text *out, struct error *e)
{
    out->n = 0;
    while (out->n < sizeof out->octets) {
        ssize_t got = read(fd, out->octets + out->n, 1);
        if (got < 0 && errno == EINTR && !is_interrupted)
            continue;
        if (got < 0)
            return error_set(e, "cannot read the password: %s", strerror(errno));
        if (got == 0 || out->octets[out->n] == '\n')
            break;
        out->n++;
    }
    if (out->n > 0 && out->octets[out->n - 1] == '\r')
        out->n--;
    if (out->n > PASSWORD_MAX)
        return error_set(e, "a password has at most %d octets", PASSWORD_MAX);
    return 0;
}

/* Without echo; an interrupt must not leave the terminal mute. */
static int ask_once(int tty, const char *prompt, struct secret_text *out, struct error *e)
{
    struct termios before, quiet;
    struct sigaction on_interrupt = {.sa_handler = interrupted}, saved;
    if (tcgetattr(tty, &before) < 0)
        return error_set(e, "cannot speak to the terminal: %s", strerror(errno));
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (write(tty, prompt, strlen(prompt)) < 0 || tcsetattr(tty, TCSAFLUSH, &quiet) < 0)
        return error_set(e, "cannot speak to the terminal: %s", strerror(errno));
    sigaction(SIGINT, &on_interrupt, &saved);
    int rc = read_line(tty, out, e);
    sigaction(SIGINT, &saved, NULL);
    tcsetattr(tty, TCSAFLUSH, &before);
    return write(tty, "\n", 1) == 1 ? rc : -1;
}

static int ask_twice(int tty, struct secret_text *out, struct error *e)
{
    struct secret_text again = {.n = 0};
    int rc = ask_once(tty, "Password: ", out, e);
    if (rc == 0 && out->n > 0)
        rc = ask_once(tty, "Again: ", &again, e);
    if (rc == 0 && (again.n != out->n || sodium_memcmp(again.octets, out->octets, out->n) != 0))
        rc = error_set(e, "the two passwords differ: type the same one twice");
    sodium_memzero(&again, sizeof again);
    return rc;
}

int secret_read(const struct cli *cli, struct secret_text *out, struct error *e)
{
    out->n = 0;
    int rc = 0;
    if (cli->password_stdin) {
        rc = read_line(STDIN_FILENO, out, e);
        if (rc == 0 && out->n == 0)
            rc = error_set(e, "no password came on stdin");
    } else if (isatty(STDIN_FILENO)) {
        int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
        rc = tty < 0 ? error_set(e, "cannot open the terminal: %s", strerror(errno))
                     : ask_twice(tty, out, e);
        if (tty >= 0)
            close(tty);
    }
    if (rc == 0 && out->n == 0 && cli->command->secret == SECRET_REQUIRED)
        rc = error_set(e, "a password is needed: give it with --password-stdin");
    return rc;
}
