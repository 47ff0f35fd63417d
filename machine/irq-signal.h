/* SPDX-License-Identifier: MIT */
/*
 * Interrupts by descriptor (irqfd), the other way of doorbells: whoever has no place in this program's main loop, as a kernel's
 * vhost has none, signals an eventfd, and the interrupt follows. The accelerator has the kernel do that where it can; elsewhere the
 * main loop hears the signal and tells the owner. No signal is lost when one way takes over from the other. All of it with the machine
 * lock.
 */
#ifndef MACHINE_IRQ_SIGNAL_H
#define MACHINE_IRQ_SIGNAL_H

#include "machine/machine.h"

typedef struct {
    uint64_t address;
    uint32_t data;
} IrqMessage;

typedef struct IrqSignal IrqSignal;

/*
 * heard: it was signalled, and no kernel made an interrupt of it. On the main loop's thread, with the machine lock; it may free the
 * signal. NULL with an error: the host gives no descriptor.
 */
IrqSignal *irq_signal_new(Machine *machine, void (*heard)(void *opaque), void *opaque,
                          GError **error);
/* NULL: nothing happens. */
void irq_signal_free(IrqSignal *signal);
/* The eventfd. It stays the same one, and is open until the signal is freed. */
int irq_signal_fd(const IrqSignal *signal);
/* What a signal is from now on; NULL: the owner is told. The same once more costs nothing. */
void irq_signal_set_message(IrqSignal *signal, const IrqMessage *message);
/* What was signalled and not heard yet is heard now: who saves the machine does not wait for the main loop. Not from `heard`. */
void irq_signal_hear(IrqSignal *signal);
/* Whether a kernel makes the interrupt, so that `heard` is not called. */
bool irq_signal_is_direct(const IrqSignal *signal);

/*
 * For accelerators: signals of fd become the message; a second call for a descriptor changes it; NULL ends it. false: the main
 * loop is to listen, and the kernel does not.
 */
typedef bool IrqSignalHook(void *opaque, int fd, const IrqMessage *message);
/* NULL: from now on nobody does, as when a kernel goes away. Before any signal is made, or behind the last. */
void irq_signal_set_hook(Machine *machine, IrqSignalHook *hook, void *opaque);

#endif
