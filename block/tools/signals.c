/* SPDX-License-Identifier: MIT */
/*
 * SIGINT, SIGTERM and SIGHUP of kaso-img. A thread takes them: the others may be in long system calls.
 * While an image is open for writing the first one only asks the command to stop, so that the image is
 * closed in good order, without waiting for limits or for servers that do not answer; the second one, or any
 * before that, ends the program at once.
 */
#include "block/tools/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000 }; /* more than a server is waited for */

struct ToolSignals {
    const char *program;
    pthread_t thread;
    sigset_t set;
    int signal_fd, end_fd;
    int caught; /* atomic */
    GMutex lock;
    bool patient; /* the command asks whether it shall stop */
    BlockGraph *graph;
    char *outcome;
};

static void say(ToolSignals *s, const char *text)
{
    fprintf(stderr, "%s: interrupted by SIG%s: %s\n", s->program, sigabbrev_np(s->caught), text);
}

/* As if the signal had not been caught. */
static void die_by(ToolSignals *s, int number)
{
    pthread_sigmask(SIG_UNBLOCK, &s->set, NULL);
    raise(number);
}

static void on_signal(ToolSignals *s, int number)
{
    bool again = g_atomic_int_get(&s->caught) != 0;

    g_atomic_int_set(&s->caught, number);
    g_mutex_lock(&s->lock);
    if (!s->patient || again) {
        say(s, s->outcome ? s->outcome : "nothing was changed");
        die_by(s, number);
    }
    if (s->graph) {
        block_graph_hasten(s->graph);
    }
    g_mutex_unlock(&s->lock);
}

static void *watch(void *opaque)
{
    ToolSignals *s = opaque;
    struct pollfd fds[] = { { .fd = s->signal_fd, .events = POLLIN },
                            { .fd = s->end_fd, .events = POLLIN } };
    bool told = false;

    while (!fds[1].revents) {
        struct signalfd_siginfo info;
        int ready = poll(fds, 2, tool_signals_caught(s) && !told ? PATIENCE_MS : -1);

        if (ready == 0) {
            say(s, "waiting for what has been begun; a second signal ends it at once");
            told = true;
        }
        if (ready > 0 && fds[0].revents &&
            read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            on_signal(s, (int)info.ssi_signo);
        }
    }
    return NULL;
}

ToolSignals *tool_signals_start(const char *program)
{
    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
    ToolSignals *s = g_new0(ToolSignals, 1);

    s->program = program;
    g_mutex_init(&s->lock);
    sigemptyset(&s->set);
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        struct sigaction old;

        /* What nohup or a shell in the background has turned off stays off. */
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaddset(&s->set, numbers[i]);
        }
    }
    pthread_sigmask(SIG_BLOCK, &s->set, NULL);
    s->signal_fd = signalfd(-1, &s->set, SFD_CLOEXEC);
    s->end_fd = eventfd(0, EFD_CLOEXEC);
    if (s->signal_fd < 0 || s->end_fd < 0 || pthread_create(&s->thread, NULL, watch, s)) {
        pthread_sigmask(SIG_UNBLOCK, &s->set, NULL);
        g_free(s);
        return NULL;
    }
    return s;
}

void tool_signals_outcome(ToolSignals *s, char *outcome)
{
    if (!s) {
        g_free(outcome);
        return;
    }
    g_mutex_lock(&s->lock);
    g_free(s->outcome);
    s->outcome = outcome;
    g_mutex_unlock(&s->lock);
}

void tool_signals_wait(ToolSignals *s, BlockGraph *graph)
{
    if (s) {
        g_mutex_lock(&s->lock);
        s->patient = graph != NULL;
        s->graph = graph;
        g_mutex_unlock(&s->lock);
    }
}

bool tool_signals_caught(ToolSignals *s)
{
    return s && g_atomic_int_get(&s->caught) != 0;
}

void tool_signals_end(ToolSignals *s)
{
    uint64_t one = 1;

    if (!s) {
        return;
    }
    if (write(s->end_fd, &one, sizeof one) == (ssize_t)sizeof one) {
        pthread_join(s->thread, NULL);
    }
    if (s->caught) {
        say(s, s->outcome ? s->outcome : "what was asked for was not done");
        die_by(s, s->caught);
    }
    close(s->signal_fd);
    close(s->end_fd);
    g_mutex_clear(&s->lock);
    g_free(s->outcome);
    g_free(s);
}
