/* SPDX-License-Identifier: MIT */
/* Which packet means what, and what all of them are made of. */
#include <string.h>

#include "base/hex.h"
#include "debug/gdb/session.h"
#include "machine/accelerator.h"

bool gdb_take(const char **text, char c)
{
    if (**text != c) {
        return false;
    }
    ++*text;
    return true;
}

bool gdb_number(const char **text, uint64_t *value)
{
    unsigned digits = 0;

    *value = 0;
    for (; g_ascii_isxdigit(**text) && digits < 17; digits++) {
        *value = *value << 4 | (uint64_t)g_ascii_xdigit_value(*(*text)++);
    }
    return digits >= 1 && digits <= 16;
}

bool gdb_from_hex(const char *text, size_t digits, uint8_t *bytes)
{
    return digits % 2 == 0 && hex_decode(text, digits / 2, bytes) == digits / 2;
}

void gdb_append_hex(GString *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        g_string_append_c(out, digits[bytes[i] >> 4]);
        g_string_append_c(out, digits[bytes[i] & 15]);
    }
}

/* A number, or -1 for all. */
static bool thread_part(const char **text, uint64_t *value)
{
    if (g_str_has_prefix(*text, "-1")) {
        *text += 2;
        *value = UINT64_MAX;
        return true;
    }
    return gdb_number(text, value);
}

bool gdb_thread(GdbStub *stub, const char **text, unsigned *index)
{
    uint64_t process = 1, thread = UINT64_MAX;

    if (gdb_take(text, 'p')) {
        if (!thread_part(text, &process) || (gdb_take(text, '.') && !thread_part(text, &thread))) {
            return false;
        }
    } else if (!thread_part(text, &thread)) {
        return false;
    }
    if (process > 1 && process != UINT64_MAX) {
        return false;
    }
    *index =
        thread == 0 || thread == UINT64_MAX ? UINT_MAX : (unsigned)MIN(thread - 1, UINT_MAX - 1);
    return *index == UINT_MAX || *index < stub->machine->vcpus->len;
}

char *gdb_thread_name(const GdbStub *stub, unsigned vcpu)
{
    return g_strdup_printf(stub->multiprocess ? "p01.%02x" : "%02x", vcpu + 1);
}

Vcpu *gdb_vcpu(const GdbStub *stub)
{
    return stub->machine->vcpus->pdata[stub->vcpu];
}

void gdb_begin(GdbStub *stub)
{
    machine_exclusive_begin(stub->machine);
    vcpu_sync(gdb_vcpu(stub), VCPU_SYNC_FROM_ACCELERATOR);
}

void gdb_end(GdbStub *stub)
{
    machine_exclusive_end(stub->machine);
}

static void reply_stop(GdbStub *stub, const char *arguments, size_t size)
{
    if (machine_running(stub->machine)) {
        machine_stop(stub->machine, STOP_PAUSED);
    }
    stub->waiting = false;
    gdb_append_stop(stub, stub->reply, debug_last_stop(stub->machine));
    /* Whoever asks has just come: it was stopped for him. */
    stub->reply->str[2] = '5';
    stub->reply->str[1] = '0';
    stub->has_reply = true;
}

/* gdb has come anew and asks why all stands still: what it had inserted before is not its any more. */
static void reply_first_stop(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_remove_points(stub);
    reply_stop(stub, arguments, size);
}

static void say_ok(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "OK");
}

static void detach(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_remove_points(stub);
    gdb_reply(stub, "OK");
    stub->physical = false;
    machine_start(stub->machine);
}

static void kill_machine(GdbStub *stub, const char *arguments, size_t size)
{
    machine_request_stop(stub->machine, STOP_USER_QUIT, "killed by gdb");
}

static void kill_process(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "OK");
    kill_machine(stub, arguments, size);
}

static void restart(GdbStub *stub, const char *arguments, size_t size)
{
    machine_request_reset(stub->machine, "host-qmp-system-reset");
}

static void choose_thread(GdbStub *stub, const char *arguments, size_t size)
{
    char what = *arguments;
    unsigned index;

    if ((what != 'g' && what != 'c') || (arguments++, !gdb_thread(stub, &arguments, &index)) ||
        *arguments) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    if (what == 'c') {
        stub->resume_vcpu = index;
    } else if (index != UINT_MAX) {
        stub->vcpu = index;
    }
    gdb_reply(stub, "OK");
}

static void is_alive(GdbStub *stub, const char *arguments, size_t size)
{
    unsigned index;

    gdb_reply(stub, "%s",
              gdb_thread(stub, &arguments, &index) && index != UINT_MAX ? "OK" : GDB_EINVAL);
}

static void vcont_actions(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "vCont;c;C;s;S;t;r");
}

/* By what the packet begins with; the first that fits. */
static const struct {
    const char *name;
    GdbHandler *handle;
    bool whole; /* nothing may follow */
} commands[] = {
    { "vCont?", vcont_actions, true },
    { "vCont;", gdb_vcont },
    { "vKill;", kill_process },
    { "vAttach;", reply_stop },
    { "q", gdb_query },
    { "Q", gdb_set },
    { "?", reply_first_stop, true },
    { "!", say_ok, true },
    { "c", gdb_continue },
    { "C", gdb_continue_signal },
    { "s", gdb_step },
    { "S", gdb_step_signal },
    { "g", gdb_read_registers, true },
    { "G", gdb_write_registers },
    { "p", gdb_read_register },
    { "P", gdb_write_register },
    { "m", gdb_read_memory },
    { "M", gdb_write_memory },
    { "X", gdb_write_binary },
    { "Z", gdb_insert_point },
    { "z", gdb_remove_point },
    { "H", choose_thread },
    { "T", is_alive },
    { "D", detach },
    { "k", kill_machine, true },
    { "R", restart },
};

void gdb_handle(GdbStub *stub, const char *packet, size_t size)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        size_t length = strlen(commands[i].name);

        if (size >= length && memcmp(packet, commands[i].name, length) == 0 &&
            (!commands[i].whole || size == length)) {
            commands[i].handle(stub, packet + length, size - length);
            return;
        }
    }
    gdb_reply(stub, "%s", ""); /* not known */
}
