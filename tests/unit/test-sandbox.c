/* SPDX-License-Identifier: MIT */
/* The system call filter: what it kills for, what it refuses, and what goes on. Each case is a process of its own. */
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "main/sandbox.h"

enum { FINE = 10, REFUSED, OTHER, NO_FILTER };

/* Arguments that do no harm where the call is let through. */
static int try_call(long number)
{
    pid_t child = 0;

    if (number == SYS_fork) {
        child = fork();
        if (child == 0) {
            _exit(0);
        }
        return child > 0 ? FINE : errno == EPERM ? REFUSED : OTHER;
    }
    return syscall(number, -1, NULL, NULL, NULL, NULL) >= 0 ? FINE
           : errno == EPERM                                 ? REFUSED
                                                            : OTHER;
}

static void *idle(void *opaque)
{
    return opaque;
}

/* The status of a process that enters the sandbox and then makes the call, or (number -1) threads. */
static int status_under(const char *options, long number)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        g_autoptr(GError) error = NULL;
        pthread_t thread;
        Sandbox sandbox;

        prctl(PR_SET_DUMPABLE, 0);
        if (!sandbox_parse(&sandbox, options, &error) || !sandbox_enter(&sandbox, &error)) {
            _exit(NO_FILTER);
        }
        if (number < 0) {
            _exit(pthread_create(&thread, NULL, idle, NULL) == 0 && pthread_join(thread, NULL) == 0
                      ? FINE
                      : OTHER);
        }
        _exit(try_call(number));
    }
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    return status;
}

static bool is_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

#define ALL_DENIED "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

static void test_dangerous(void)
{
    static const long calls[] = { SYS_swapon, SYS_mount,  SYS_ptrace,
                                  SYS_setns,  SYS_uselib, SYS_init_module };
    int status = status_under("on", -1);

    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER) {
        g_test_skip("the host lets nobody have a filter");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_test_message("call %ld", calls[i]);
        g_assert_true(is_killed(status_under("on", calls[i])));
        g_assert_true(WIFEXITED(status_under("off", calls[i])));
    }
    g_assert_true(WIFEXITED(status_under("on,obsolete=allow", SYS_uselib)));
}

static void test_groups(void)
{
    static const struct {
        const char *options;
        long call;
        int wanted; /* 0: killed */
    } cases[] = {
        { "on", SYS_fork, FINE },
        { "on,spawn=deny", SYS_fork, REFUSED },
        { "on,spawn=deny", SYS_execve, REFUSED },
        { "on,spawn=deny", -1, FINE },
        { ALL_DENIED, -1, FINE },
        { ALL_DENIED, SYS_setpriority, REFUSED },
        { "on", SYS_setpriority, OTHER },
        { ALL_DENIED, SYS_setuid, 0 },
        { "on,elevateprivileges=deny", SYS_setgid, 0 },
        { "on,elevateprivileges=children", SYS_getuid, FINE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int status = status_under(cases[i].options, cases[i].call);

        if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER) {
            g_test_skip("the host lets nobody have a filter");
            return;
        }
        g_test_message("%s, call %ld: %#x", cases[i].options, cases[i].call, status);
        if (cases[i].wanted) {
            g_assert_true(WIFEXITED(status));
            g_assert_cmpint(WEXITSTATUS(status), ==, cases[i].wanted);
        } else {
            g_assert_true(is_killed(status));
        }
    }
}

static void test_option(void)
{
    static const char *const wrong[] = { "maybe", "on,spawn=perhaps", "on,spwan=deny",
                                         "on,obsolete=children" };
    Sandbox sandbox;

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(sandbox_parse(&sandbox, wrong[i], &error));
        g_assert_nonnull(error);
    }
    g_assert_true(sandbox_parse(&sandbox, "off", NULL) && !sandbox.on);
    g_assert_true(sandbox_parse(&sandbox, "on", NULL) && sandbox.on && !sandbox.deny_spawn);
    g_assert_true(sandbox_parse(&sandbox, "enable=on,elevateprivileges=children", NULL));
    g_assert_true(sandbox.deny_children && !sandbox.deny_privileges && sandbox.deny_obsolete);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/option", test_option);
    g_test_add_func("/dangerous", test_dangerous);
    g_test_add_func("/groups", test_groups);
    return g_test_run();
}
