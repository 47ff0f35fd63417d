/* SPDX-License-Identifier: MIT */
/*
 * Character back end "stdio": standard input and output. On a terminal, characters go through one
 * by one and without echo; the terminal gets its mode back, and what the guest did to it (colours,
 * scroll region …) is undone, however the process ends, short of SIGKILL.
 */
#include <fcntl.h>
#include <signal.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "backends/char/fd-stream.h"
#include "backends/char/terminal-state.h"
#include "base/error.h"

typedef struct {
    Chardev chardev;
    FdStream stream;
    bool signal; /* property */
    int own_out; /* reopened standard output, -1: we use the original */
    bool raw;
    bool tracked;     /* what is written is looked through for changes of the terminal */
    guint size_watch; /* SIGWINCH */
} StdioChardev;

/*
 * The controlling terminal is the process's, not a machine's, and signal handlers can find it only
 * here. Written before `active` is set, constant until it is cleared.
 */
static struct {
    volatile sig_atomic_t active;
    struct termios saved, raw;
    TerminalState output; /* what the guest has done to the terminal on standard output */
} stdio_terminal;

static const int stdio_fatal_signals[] = { SIGABRT, SIGBUS, SIGFPE,  SIGILL, SIGSEGV,
                                           SIGQUIT, SIGINT, SIGTERM, SIGHUP };

static void stdio_restore_terminal(void)
{
    terminal_state_undo(&stdio_terminal.output, STDOUT_FILENO);
    if (stdio_terminal.active) {
        stdio_terminal.active = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &stdio_terminal.saved);
    }
}

static void stdio_fatal_signal(int number)
{
    stdio_restore_terminal();
    signal(number, SIG_DFL);
    raise(number);
}

/* The shell set its own mode while we were stopped. */
static void stdio_continued(int number)
{
    if (stdio_terminal.active) {
        tcsetattr(STDIN_FILENO, TCSANOW, &stdio_terminal.raw);
    }
}

/* Leaves signals alone that the program already handles: its way out closes us. */
static void stdio_catch_signals(void)
{
    struct sigaction action = { .sa_handler = stdio_fatal_signal }, old;

    for (size_t i = 0; i < G_N_ELEMENTS(stdio_fatal_signals); i++) {
        if (sigaction(stdio_fatal_signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
            sigaction(stdio_fatal_signals[i], &action, NULL);
        }
    }
    action.sa_handler = stdio_continued;
    action.sa_flags = SA_RESTART;
    sigaction(SIGCONT, &action, NULL);
    atexit(stdio_restore_terminal);
    at_quick_exit(stdio_restore_terminal);
}

/*
 * A background job must not touch the terminal: the shell would stop it. A terminal that is no controlling terminal of ours, as a
 * program that drives us has made it, stops nobody.
 */
static bool stdio_owns_terminal(void)
{
    pid_t foreground = tcgetpgrp(STDIN_FILENO);

    return isatty(STDIN_FILENO) && (foreground < 0 || foreground == getpgrp());
}

static void stdio_set_raw(StdioChardev *s)
{
    struct termios mode;

    if (!stdio_owns_terminal() || tcgetattr(STDIN_FILENO, &mode) < 0) {
        return;
    }
    stdio_terminal.saved = mode;
    mode.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    mode.c_oflag |= OPOST;
    mode.c_lflag &= ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!s->signal) {
        mode.c_lflag &= ~ISIG;
    }
    mode.c_cflag = (mode.c_cflag & ~(CSIZE | PARENB)) | CS8;
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    stdio_terminal.raw = mode;
    stdio_terminal.active = 1;
    s->raw = true;
    stdio_catch_signals();
    tcsetattr(STDIN_FILENO, TCSANOW, &mode);
}

static gboolean stdio_take_size(gpointer opaque)
{
    StdioChardev *s = opaque;
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
        chardev_resize(&s->chardev, size.ws_col, size.ws_row);
    }
    return G_SOURCE_CONTINUE;
}

static bool stdio_open(Chardev *chardev, GError **error)
{
    StdioChardev *s = (StdioChardev *)chardev;
    GPtrArray *others = machine_chardevs(chardev->machine);

    for (guint i = 0; others && i < others->len; i++) {
        const Chardev *other = others->pdata[i];

        if (other != chardev && other->type == chardev->type) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "stdio is already used by '%s'; share it with mux=on or 'mon:stdio'",
                              other->id);
        }
    }
    stdio_set_raw(s);
    s->own_out = fd_stream_reopen(STDOUT_FILENO, O_WRONLY);
    chardev->open = true;
    s->tracked = isatty(STDOUT_FILENO);
    if (s->tracked) {
        stdio_take_size(s);
        s->size_watch = g_unix_signal_add(SIGWINCH, stdio_take_size, s);
        stdio_catch_signals();
    }
    fd_stream_start(&s->stream, chardev, STDIN_FILENO,
                    s->own_out >= 0 ? s->own_out : STDOUT_FILENO);
    return true;
}

static void stdio_close(Chardev *chardev)
{
    StdioChardev *s = (StdioChardev *)chardev;

    g_clear_handle_id(&s->size_watch, g_source_remove);
    fd_stream_stop(&s->stream, 1000);
    if (s->own_out >= 0) {
        close(s->own_out);
    }
    if (s->raw || s->tracked) {
        stdio_restore_terminal();
    }
}

static size_t stdio_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    StdioChardev *s = (StdioChardev *)chardev;
    size_t taken = fd_stream_write(&s->stream, data, size);

    if (s->tracked) {
        terminal_state_track(&stdio_terminal.output, data, taken);
    }
    return taken;
}

static void stdio_accept_input(Chardev *chardev)
{
    fd_stream_accept_input(&((StdioChardev *)chardev)->stream);
}

static char *stdio_describe(Chardev *chardev)
{
    return g_strdup("stdio");
}

static const Property stdio_properties[] = {
    { "signal", PROPERTY_BOOL, offsetof(StdioChardev, signal),
      "Ctrl-C, Ctrl-\\ and Ctrl-Z act on us, not on the guest", "on" },
    { NULL },
};

static const ChardevType stdio_type = {
    .name = "stdio",
    .summary = "Standard input and output",
    .instance_size = sizeof(StdioChardev),
    .properties = stdio_properties,
    .open = stdio_open,
    .close = stdio_close,
    .write = stdio_write,
    .accept_input = stdio_accept_input,
    .describe = stdio_describe,
};
CHARDEV_TYPE(stdio_type);
