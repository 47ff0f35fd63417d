/* SPDX-License-Identifier: MIT */
/*
 * The accelerator "qtest" and the server of its protocol. A request is a line of words; the answer is "OK", with a value
 * where there is one, or "FAIL" and why. Numbers are decimal, octal or hexadecimal as in C. Between answers come
 * "IRQ raise N" and "IRQ lower N" when lines of an intercepted device change.
 */
#include "accel/qtest/qtest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/qtest/private.h"
#include "base/error.h"
#include "machine/accelerator.h"

enum { LINE_MOST = 64 << 20 };

static void log_line(Qtest *qtest, const char *direction, const char *text)
{
    if (qtest->log) {
        fprintf(qtest->log, "[%s +%.6f] %s", direction,
                (double)(g_get_monotonic_time() - qtest->start_us) / G_USEC_PER_SEC, text);
        fputs(g_str_has_suffix(text, "\n") ? "" : "\n", qtest->log);
        fflush(qtest->log);
    }
}

/* What the peer does not take at once waits here. */
static void flush_output(void *opaque)
{
    Qtest *qtest = opaque;
    size_t done = chardev_write(qtest->chardev, qtest->output->str, qtest->output->len);

    g_string_erase(qtest->output, 0, (gssize)done);
}

void qtest_send(Qtest *qtest, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    log_line(qtest, "S", text);
    g_string_append(qtest->output, text);
    g_string_append_c(qtest->output, '\n');
    flush_output(qtest);
}

static void run_line(Qtest *qtest, const char *line)
{
    g_auto(GStrv) split = g_strsplit_set(line, " \t\r", -1);
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    for (char **word = split; *word; word++) {
        if (**word) {
            g_ptr_array_add(words, *word);
        }
    }
    g_ptr_array_add(words, NULL);
    log_line(qtest, "R", line);
    if (words->len > 1) {
        qtest_run(qtest, (const char *const *)words->pdata, words->len - 1);
    }
}

static size_t can_receive(void *opaque)
{
    return 65536;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    Qtest *qtest = opaque;
    char *end;

    g_string_append_len(qtest->input, (const char *)data, (gssize)size);
    while ((end = memchr(qtest->input->str, '\n', qtest->input->len))) {
        g_autofree char *line = g_strndup(qtest->input->str, (gsize)(end - qtest->input->str));

        g_string_erase(qtest->input, 0, end + 1 - qtest->input->str);
        run_line(qtest, line);
    }
    if (qtest->input->len > LINE_MOST) {
        g_string_truncate(qtest->input, 0);
        qtest_send(qtest, "FAIL a line of more than %d MiB", LINE_MOST >> 20);
    }
}

/* A new peer begins anew: it knows no levels. */
static void event(void *opaque, ChardevEvent what)
{
    Qtest *qtest = opaque;

    if (what == CHARDEV_OPENED) {
        g_string_truncate(qtest->input, 0);
        g_string_truncate(qtest->output, 0);
        qtest_forget_levels(qtest);
        log_line(qtest, "I", "OPENED");
    } else if (what == CHARDEV_CLOSED) {
        log_line(qtest, "I", "CLOSED");
    }
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
    .can_write = flush_output,
};

static void qtest_free(void *opaque)
{
    Qtest *qtest = opaque;

    if (qtest->log && qtest->log != stderr) {
        fclose(qtest->log);
    }
    g_string_free(qtest->input, true);
    g_string_free(qtest->output, true);
    qtest_free_intercepts(qtest);
    g_free(qtest);
}

bool qtest_start(Machine *machine, Chardev *chardev, const char *log, GError **error)
{
    Qtest *qtest = g_new0(Qtest, 1);

    qtest->machine = machine;
    qtest->chardev = chardev;
    qtest->start_us = g_get_monotonic_time();
    qtest->input = g_string_new(NULL);
    qtest->output = g_string_new(NULL);
    machine_on_free(machine, qtest_free, qtest);
    if (log && strcmp(log, "none") != 0) {
        qtest->log = fopen(log, "w");
        if (!qtest->log) {
            return error_fail_errno(error, errno, "-qtest-log: cannot write '%s'", log);
        }
    }
    return chardev_attach(chardev, &frontend, qtest, error);
}

/* Nothing stores past the functions that note what is written. */
static const MemoryWatchHooks no_unseen_stores;

static bool qtest_init(Machine *machine, void *state, GError **error)
{
    clock_set_manual(machine);
    memory_set_watch_hooks(machine, &no_unseen_stores, NULL);
    return true;
}

/* No vcpu_run: CPUs exist, and never run. */
static const Accelerator qtest_accelerator = {
    .name = "qtest",
    .summary = "no guest code runs; a test drives the machine (-qtest)",
    .abilities = ACCELERATOR_SMM,
    .init = qtest_init,
};
ACCELERATOR(qtest_accelerator);
