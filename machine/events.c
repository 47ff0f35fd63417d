/* SPDX-License-Identifier: MIT */
/* Events of devices that any thread may have: they are told in the main loop, or before the answer of a command that made them. */
#include "machine/machine.h"
#include "machine/private.h"

typedef struct {
    const char *event;
    char *data;
} LateEvent;

static LateEvent *next_event(MachinePrivate *private)
{
    LateEvent *late;

    g_mutex_lock(&private->request_lock);
    late = g_queue_pop_head(&private->late_events);
    g_mutex_unlock(&private->request_lock);
    return late;
}

static void late_event_free(gpointer opaque)
{
    LateEvent *late = opaque;

    g_free(late->data);
    g_free(late);
}

void machine_tell_events(Machine *machine)
{
    LateEvent *late;

    while ((late = next_event(machine->private))) {
        machine_event(machine, late->event, late->data);
        late_event_free(late);
    }
}

static void tell(void *opaque)
{
    machine_tell_events(opaque);
}

void machine_event_soon(Machine *machine, const char *event, char *json_data)
{
    LateEvent *late = g_new(LateEvent, 1);

    *late = (LateEvent){ event, json_data };
    g_mutex_lock(&machine->private->request_lock);
    g_queue_push_tail(&machine->private->late_events, late);
    g_mutex_unlock(&machine->private->request_lock);
    machine_defer(machine, tell, machine);
}

void machine_forget_events(Machine *machine)
{
    g_queue_clear_full(&machine->private->late_events, late_event_free);
}
