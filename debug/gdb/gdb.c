/* SPDX-License-Identifier: MIT */
/* Life of a gdb stub, between a character device and the machine's debugger interface. */
#include "debug/gdb/gdb.h"

#include "base/error.h"
#include "debug/gdb/session.h"

static size_t can_receive(void *opaque)
{
    const GdbStub *stub = opaque;

    return stub->pending->len > GDB_PENDING_MAX ? 0 : 4096;
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    gdb_receive(opaque, data, size);
}

/* Who comes finds nothing of who was there before. */
static void begin_session(GdbStub *stub)
{
    stub->state = GDB_IDLE;
    stub->connected = true;
    stub->no_ack = stub->multiprocess = stub->swbreak = stub->hwbreak = false;
    stub->physical = stub->waiting = false;
    stub->vcpu = 0;
    stub->resume_vcpu = UINT_MAX;
    g_string_truncate(stub->last, 0);
    g_string_truncate(stub->pending, 0);
    g_clear_pointer(&stub->description, g_free);
    if (machine_running(stub->machine)) {
        machine_stop(stub->machine, STOP_PAUSED);
    }
}

/* Without a farewell: the machine stays as it is, running or not, and gdb may come back. */
static void end_session(GdbStub *stub)
{
    stub->connected = stub->waiting = false;
    g_string_truncate(stub->pending, 0);
    gdb_remove_points(stub);
}

static void event(void *opaque, ChardevEvent what)
{
    GdbStub *stub = opaque;

    if (what == CHARDEV_OPENED) {
        begin_session(stub);
    } else if (what == CHARDEV_CLOSED) {
        end_session(stub);
    }
}

static void can_write(void *opaque)
{
    gdb_flush(opaque);
}

static const ChardevFrontend frontend = {
    .can_receive = can_receive,
    .receive = receive,
    .event = event,
    .can_write = can_write,
};

/* [vcpu] */
static bool reached(DebugClient *client, const DebugStop *stop)
{
    const GdbStub *stub = (const GdbStub *)client;
    const uint64_t *range = stub->ranges[stop->vcpu->index];

    return stop->kind != DEBUG_STOP_STEP || stop->pc < range[0] || stop->pc >= range[1];
}

static void stopped(DebugClient *client, const DebugStop *stop)
{
    gdb_tell_stop((GdbStub *)client, stop);
}

static void ended(void *opaque)
{
    GdbStub *stub = opaque;

    if (stub->chardev && stub->connected && stub->waiting) {
        gdb_send(stub, "W00", 3);
    }
}

static void free_stub(void *opaque)
{
    GdbStub *stub = opaque;

    if (stub->chardev) {
        chardev_detach(stub->chardev, stub);
    }
    gdb_remove_points(stub);
    debug_remove_client(&stub->client);
    g_ptr_array_unref(stub->points);
    g_string_free(stub->packet, TRUE);
    g_string_free(stub->last, TRUE);
    g_string_free(stub->pending, TRUE);
    g_string_free(stub->reply, TRUE);
    g_free(stub->description);
    g_free(stub->ranges);
    g_free(stub);
}

GdbStub *gdb_start(Machine *machine, Chardev *chardev, GdbMonitor *monitor, GError **error)
{
    GdbStub *stub;

    if (!machine->vcpus->len) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "a machine without CPUs has nothing for gdb");
        return NULL;
    }
    stub = g_new0(GdbStub, 1);
    stub->client = (DebugClient){ .name = "gdb", .reached = reached, .stopped = stopped };
    stub->machine = machine;
    stub->monitor = monitor;
    stub->packet = g_string_new(NULL);
    stub->last = g_string_new(NULL);
    stub->pending = g_string_new(NULL);
    stub->reply = g_string_new(NULL);
    stub->points = g_ptr_array_new_with_free_func(g_free);
    stub->ranges = g_malloc0_n(machine->vcpus->len, sizeof *stub->ranges);
    stub->resume_vcpu = UINT_MAX;
    debug_add_client(machine, &stub->client);
    stub->chardev = chardev;
    if (!chardev_attach(chardev, &frontend, stub, error)) {
        stub->chardev = NULL;
        free_stub(stub);
        return NULL;
    }
    machine_on_free(machine, free_stub, stub);
    machine_on_end(machine, ended, stub);
    return stub;
}

void gdb_stop(GdbStub *stub)
{
    machine_forget_on_free(stub->machine, stub);
    machine_forget_on_end(stub->machine, stub);
    free_stub(stub);
}

Chardev *gdb_chardev(const GdbStub *stub)
{
    return stub->chardev;
}
