/* SPDX-License-Identifier: MIT */
/* Interrupts by descriptor: who listens to an eventfd, this program or the accelerator's kernel. */
#include "machine/irq-signal.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/watch.h"
#include "machine/private.h"

struct IrqSignal {
    Machine *machine;
    void (*heard)(void *opaque);
    void *opaque;
    int fd;
    guint watch; /* 0: the kernel listens */
    IrqMessage message;
};

void irq_signal_hear(IrqSignal *signal)
{
    uint64_t times;

    if (signal->watch && read(signal->fd, &times, sizeof times) == sizeof times) {
        signal->heard(signal->opaque);
    }
}

static gboolean signalled(gint fd, GIOCondition condition, gpointer opaque)
{
    IrqSignal *signal = opaque;
    Machine *machine = signal->machine;
    GSource *source = g_main_current_source();
    bool held = machine_lock_held(machine);

    if (!held) {
        machine_lock(machine);
    }
    if (!g_source_is_destroyed(source)) {
        irq_signal_hear(signal);
    }
    if (!held) {
        machine_unlock(machine);
    }
    return G_SOURCE_CONTINUE;
}

static void listen_here(IrqSignal *signal)
{
    if (!signal->watch) {
        signal->watch = watch_descriptor(signal->fd, G_IO_IN, signalled, signal);
    }
}

static void listen_no_more(IrqSignal *signal)
{
    if (signal->watch) {
        g_source_remove(signal->watch);
        signal->watch = 0;
    }
}

IrqSignal *irq_signal_new(Machine *machine, void (*heard)(void *opaque), void *opaque,
                          GError **error)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    IrqSignal *signal;

    if (fd < 0) {
        error_fail_errno(error, errno, "cannot make a descriptor for interrupts");
        return NULL;
    }
    signal = g_new0(IrqSignal, 1);
    *signal = (IrqSignal){ .machine = machine, .heard = heard, .opaque = opaque, .fd = fd };
    listen_here(signal);
    return signal;
}

static bool tell(IrqSignal *signal, const IrqMessage *message)
{
    const IrqSignalState *state = &signal->machine->private->irq_signals;

    return state->hook && state->hook(state->opaque, signal->fd, message);
}

void irq_signal_set_message(IrqSignal *signal, const IrqMessage *message)
{
    bool direct = irq_signal_is_direct(signal);

    if (message ? direct && message->address == signal->message.address &&
                      message->data == signal->message.data
                : !direct) {
        return;
    }
    /* One listener at a time: each of two would take some of the signals. */
    listen_no_more(signal);
    if (message && tell(signal, message)) {
        signal->message = *message;
        return;
    }
    if (direct && !message) {
        tell(signal, NULL);
    }
    listen_here(signal);
}

bool irq_signal_is_direct(const IrqSignal *signal)
{
    return !signal->watch;
}

int irq_signal_fd(const IrqSignal *signal)
{
    return signal->fd;
}

void irq_signal_free(IrqSignal *signal)
{
    if (signal) {
        irq_signal_set_message(signal, NULL);
        listen_no_more(signal);
        close(signal->fd);
        g_free(signal);
    }
}

void irq_signal_set_hook(Machine *machine, IrqSignalHook *hook, void *opaque)
{
    machine->private->irq_signals = (IrqSignalState){ hook, opaque };
}
