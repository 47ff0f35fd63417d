/* SPDX-License-Identifier: MIT */
/* Packets that let CPUs go, and what gdb is told when they have stopped. */
#include <string.h>

#include "debug/gdb/session.h"
#include "machine/accelerator.h"

/* Signals as the protocol numbers them. */
enum {
    SIGNAL_INTERRUPT = 2,
    SIGNAL_QUIT = 3,
    SIGNAL_TRAP = 5,
    SIGNAL_ABORT = 6,
    SIGNAL_IO = 23,
    SIGNAL_UNKNOWN = 143,
};

void gdb_resume(GdbStub *stub)
{
    Machine *machine = stub->machine;

    stub->waiting = true;
    if (stub->written) {
        stub->written = false;
        for (unsigned i = 0; i < machine->vcpus->len; i++) {
            vcpu_sync(machine->vcpus->pdata[i], VCPU_SYNC_TO_ACCELERATOR);
        }
    }
    if (machine_running(machine)) {
        return; /* something else has started it; gdb waits for the next stop */
    }
    machine_start(machine);
    if (!machine_running(machine) && !debug_last_stop(machine)) {
        /* It cannot go on: it has ended, or sleeps. */
        gdb_tell_stop(stub, NULL);
    }
}

static void set_moves(GdbStub *stub, DebugMove all)
{
    for (unsigned i = 0; i < stub->machine->vcpus->len; i++) {
        stub->ranges[i][0] = stub->ranges[i][1] = 0;
        debug_set_move(stub->machine->vcpus->pdata[i], all, &stub->client);
    }
}

static unsigned chosen_vcpu(const GdbStub *stub)
{
    return stub->resume_vcpu == UINT_MAX ? stub->vcpu : stub->resume_vcpu;
}

/* An address to go on at, if there is one. false: it is malformed. */
static bool set_address(GdbStub *stub, const char *arguments)
{
    Vcpu *vcpu = stub->machine->vcpus->pdata[chosen_vcpu(stub)];
    uint64_t address;

    if (!*arguments) {
        return true;
    }
    if (!gdb_number(&arguments, &address) || *arguments || machine_running(stub->machine)) {
        return false;
    }
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    vcpu->target->set_pc(vcpu, address);
    vcpu_sync(vcpu, VCPU_SYNC_TO_ACCELERATOR);
    return true;
}

static void resume(GdbStub *stub, const char *arguments, bool step)
{
    if (!set_address(stub, arguments)) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    set_moves(stub, step ? DEBUG_HOLD : DEBUG_RUN);
    if (step) {
        debug_set_move(stub->machine->vcpus->pdata[chosen_vcpu(stub)], DEBUG_STEP, &stub->client);
    }
    gdb_resume(stub);
}

void gdb_continue(GdbStub *stub, const char *arguments, size_t size)
{
    resume(stub, arguments, false);
}

void gdb_step(GdbStub *stub, const char *arguments, size_t size)
{
    resume(stub, arguments, true);
}

/* SIGNAL[;ADDRESS]: a bare machine knows no signals. */
static const char *skip_signal(const char *arguments)
{
    uint64_t signal;

    return gdb_number(&arguments, &signal) && gdb_take(&arguments, ';') ? arguments : "";
}

void gdb_continue_signal(GdbStub *stub, const char *arguments, size_t size)
{
    resume(stub, skip_signal(arguments), false);
}

void gdb_step_signal(GdbStub *stub, const char *arguments, size_t size)
{
    resume(stub, skip_signal(arguments), true);
}

typedef struct {
    DebugMove move;
    uint64_t start, end;
    unsigned vcpu; /* UINT_MAX: all */
} Action;

static bool parse_action(GdbStub *stub, const char **text, Action *action)
{
    char kind = *(*text)++;
    uint64_t signal;

    *action = (Action){ .vcpu = UINT_MAX };
    switch (kind) {
    case 'C':
    case 'S':
        if (!gdb_number(text, &signal)) {
            return false;
        }
        action->move = kind == 'S' ? DEBUG_STEP : DEBUG_RUN;
        break;
    case 'c':
        action->move = DEBUG_RUN;
        break;
    case 's':
        action->move = DEBUG_STEP;
        break;
    case 't':
        action->move = DEBUG_HOLD;
        break;
    case 'r':
        action->move = DEBUG_STEP;
        if (!gdb_number(text, &action->start) || !gdb_take(text, ',') ||
            !gdb_number(text, &action->end)) {
            return false;
        }
        break;
    default:
        return false;
    }
    return !gdb_take(text, ':') || gdb_thread(stub, text, &action->vcpu);
}

/* Of each CPU, the first action that names it counts; one that none names stays as it is. */
static void apply(GdbStub *stub, const Action *action, bool *decided)
{
    for (unsigned i = 0; i < stub->machine->vcpus->len; i++) {
        if ((action->vcpu == UINT_MAX || action->vcpu == i) && !decided[i]) {
            decided[i] = true;
            stub->ranges[i][0] = action->start;
            stub->ranges[i][1] = action->end;
            debug_set_move(stub->machine->vcpus->pdata[i], action->move, &stub->client);
        }
    }
}

void gdb_vcont(GdbStub *stub, const char *arguments, size_t size)
{
    g_autofree bool *decided = g_new0(bool, stub->machine->vcpus->len);
    bool moves = false;

    if (machine_running(stub->machine)) {
        gdb_resume(stub);
        return;
    }
    set_moves(stub, DEBUG_HOLD);
    do {
        static const char known[] = "cCsStr";
        Action action;

        if (!*arguments || !strchr(known, *arguments)) {
            gdb_reply(stub, "%s", ""); /* not known */
            break;
        }
        if (!parse_action(stub, &arguments, &action)) {
            gdb_reply(stub, GDB_EINVAL);
            break;
        }
        apply(stub, &action, decided);
        moves |= action.move != DEBUG_HOLD;
    } while (gdb_take(&arguments, ';'));
    if (stub->has_reply || *arguments || !moves) {
        set_moves(stub, DEBUG_RUN);
        if (!stub->has_reply) {
            gdb_reply(stub, GDB_EINVAL);
        }
        return;
    }
    gdb_resume(stub);
}

/* --- stop replies ------------------------------------------------------------------------------ */

static unsigned signal_of(const GdbStub *stub, const DebugStop *stop)
{
    if (stop && stop->kind != DEBUG_STOP_NONE) {
        return SIGNAL_TRAP;
    }
    switch (atomic_load(&stub->machine->stop_reason)) {
    case STOP_PAUSED:
        return SIGNAL_INTERRUPT;
    case STOP_DEBUG:
        return SIGNAL_TRAP;
    case STOP_GUEST_POWEROFF:
    case STOP_GUEST_RESET:
        return SIGNAL_QUIT;
    case STOP_IO_ERROR:
        return SIGNAL_IO;
    case STOP_ERROR:
        return SIGNAL_ABORT;
    default:
        return SIGNAL_UNKNOWN;
    }
}

static void append_point(GdbStub *stub, GString *out, const DebugStop *stop)
{
    static const char *const watches[] = { [2] = "watch", [3] = "rwatch", [4] = "awatch" };
    const GdbPoint *point = container_of(stop->point, GdbPoint, point);

    if (point->type >= 2) {
        g_string_append_printf(out, "%s:%" G_GINT64_MODIFIER "x;", watches[point->type],
                               stop->address);
    } else if (point->type == 0 && stub->swbreak) {
        g_string_append(out, "swbreak:;");
    } else if (point->type == 1 && stub->hwbreak) {
        g_string_append(out, "hwbreak:;");
    }
}

void gdb_append_stop(GdbStub *stub, GString *out, const DebugStop *stop)
{
    g_autofree char *thread = NULL;

    if (stop && stop->vcpu) {
        stub->vcpu = stop->vcpu->index;
    }
    thread = gdb_thread_name(stub, stub->vcpu);
    g_string_append_printf(out, "T%02xthread:%s;", signal_of(stub, stop), thread);
    if (stop && stop->point && stop->client == &stub->client) {
        append_point(stub, out, stop);
    }
}

void gdb_tell_stop(GdbStub *stub, const DebugStop *stop)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (!stub->waiting) {
        return;
    }
    stub->waiting = false;
    stub->resume_vcpu = UINT_MAX;
    gdb_append_stop(stub, out, stop);
    gdb_send(stub, out->str, out->len);
}
