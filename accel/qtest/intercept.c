/* SPDX-License-Identifier: MIT */
/* Interrupt lines: a device's outputs or inputs are overheard, and go on to where they went; inputs can be set. */
#include <string.h>

#include "accel/qtest/private.h"
#include "machine/irq-tap.h"

typedef struct {
    Qtest *qtest;
    IrqHandler *handler; /* where the line went; NULL: nowhere */
    void *opaque;
    int number; /* there */
    int shown;  /* what the peer calls the line */
    bool level; /* as the peer knows it */
} Intercept;

static void show(Intercept *intercept, int level)
{
    if (intercept->level != (level != 0)) {
        intercept->level = level != 0;
        qtest_send(intercept->qtest, "IRQ %s %d", level ? "raise" : "lower", intercept->shown);
    }
}

static void overheard(void *opaque, int number, int level)
{
    Intercept *intercept = opaque;

    if (intercept->handler) {
        intercept->handler(intercept->opaque, intercept->number, level);
    }
    show(intercept, level);
}

static void intercept_line(Qtest *qtest, IrqLine *line, int shown)
{
    Intercept *intercept = g_new0(Intercept, 1);

    *intercept = (Intercept){ .qtest = qtest,
                              .handler = line->handler,
                              .opaque = line->opaque,
                              .number = line->number,
                              .shown = shown };
    g_ptr_array_add(qtest->intercepts, intercept);
    irq_connect(line, overheard, intercept, line->number);
}

static Device *find_device(Qtest *qtest, const char *path)
{
    Device *device = device_find(qtest->machine, path);

    if (!device) {
        qtest_send(qtest, "FAIL Unknown device");
    }
    return device;
}

/* Whether a device can be intercepted now; answers in any other case. */
static bool may_intercept(Qtest *qtest, Device *device)
{
    if (!qtest->intercepted) {
        qtest->intercepted = device;
        qtest->intercepts = g_ptr_array_new_with_free_func(g_free);
        return true;
    }
    if (qtest->intercepted == device) {
        qtest_send(qtest, "OK");
    } else {
        qtest_send(qtest, "FAIL IRQ intercept already enabled");
    }
    return false;
}

void qtest_irq_intercept_out(Qtest *qtest, const char *const *words)
{
    Device *device = find_device(qtest, words[1]);

    if (!device || !may_intercept(qtest, device)) {
        return;
    }
    for (unsigned i = 0; i < device->irq_count; i++) {
        intercept_line(qtest, device->irqs[i], (int)i);
    }
    qtest_send(qtest, "OK");
}

static void heard_input(void *opaque, int number, int level)
{
    Qtest *qtest = opaque;
    Intercept *intercept;

    for (unsigned i = 0; i < qtest->intercepts->len; i++) {
        intercept = qtest->intercepts->pdata[i];
        if (intercept->shown == number) {
            show(intercept, level);
            return;
        }
    }
    intercept = g_new0(Intercept, 1);
    *intercept = (Intercept){ .qtest = qtest, .shown = number };
    g_ptr_array_add(qtest->intercepts, intercept);
    show(intercept, level);
}

void qtest_irq_intercept_in(Qtest *qtest, const char *const *words)
{
    Device *device = find_device(qtest, words[1]);

    if (device && may_intercept(qtest, device)) {
        device_tap_inputs(device, heard_input, qtest);
        qtest_send(qtest, "OK");
    }
}

void qtest_set_irq_in(Qtest *qtest, const char *const *words)
{
    Device *device = find_device(qtest, words[1]);
    uint64_t number, level;

    if (!device || !qtest_number(qtest, words[3], &number) ||
        !qtest_number(qtest, words[4], &level)) {
        return;
    }
    if (!device->type->input) {
        qtest_send(qtest, "FAIL %s has no inputs", device->type->name);
        return;
    }
    device_input(device, (int)number, (int)level);
    qtest_send(qtest, "OK");
}

void qtest_forget_levels(Qtest *qtest)
{
    for (unsigned i = 0; qtest->intercepts && i < qtest->intercepts->len; i++) {
        ((Intercept *)qtest->intercepts->pdata[i])->level = false;
    }
}

void qtest_free_intercepts(Qtest *qtest)
{
    g_clear_pointer(&qtest->intercepts, g_ptr_array_unref);
}
