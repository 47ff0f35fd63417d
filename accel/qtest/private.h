/* SPDX-License-Identifier: MIT */
/* What the server and the commands of the protocol share. */
#ifndef ACCEL_QTEST_PRIVATE_H
#define ACCEL_QTEST_PRIVATE_H

#include <stdio.h>

#include "machine/chardev.h"
#include "machine/machine.h"

typedef struct {
    Machine *machine;
    Chardev *chardev;
    FILE *log; /* or NULL */
    gint64 start_us;
    GString *input, *output;
    Device *intercepted;   /* by irq_intercept_in or _out; NULL: none */
    GPtrArray *intercepts; /* Intercept * */
} Qtest;

/* One line to the peer. */
void qtest_send(Qtest *qtest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Carries out a request of `count` words (NULL-terminated, at least one) and answers. */
void qtest_run(Qtest *qtest, const char *const *words, unsigned count);

/* intercept.c: the lines that the peer wants to hear of. */
void qtest_irq_intercept_in(Qtest *qtest, const char *const *words);
void qtest_irq_intercept_out(Qtest *qtest, const char *const *words);
void qtest_set_irq_in(Qtest *qtest, const char *const *words);
void qtest_forget_levels(Qtest *qtest);
void qtest_free_intercepts(Qtest *qtest);

/* A number as C writes it; false: it is none, and the peer has been told. */
bool qtest_number(Qtest *qtest, const char *word, uint64_t *value);

#endif
