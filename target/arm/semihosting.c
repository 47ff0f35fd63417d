/* SPDX-License-Identifier: MIT */
#include "target/arm/semihosting.h"

#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/log.h"
#include "machine/clock.h"
#include "machine/semihosting.h"
#include "target/arm/exception.h"

enum {
    WORDS_MAX = 4,
    TEXT_MAX = 64 << 10, /* a name, a command, a text for the console */
    CHUNK = 16 << 10,
};

/* Why a program ends (ADP_Stopped_ApplicationExit); any other reason is a failure. */
#define APPLICATION_EXIT 0x20026

typedef struct {
    ArmCpu *cpu;
    Semihosting *host;
    uint64_t parameter; /* x1: a block of words, or what the operation says */
    uint64_t words[WORDS_MAX];
    bool again;
} Call;

/* --- the guest's memory --- */

static bool copy(ArmCpu *cpu, uint64_t guest_virt, void *buffer, size_t size, bool write)
{
    uint8_t *bytes = buffer;

    while (size) {
        size_t part = MIN(size, 4096 - (guest_virt & 4095));
        AddressSpace *space = cpu->vcpu.memory;
        uint64_t guest_phys;
        MemoryResult result;

        if (!cpu->vcpu.target->translate_debug(&cpu->vcpu, guest_virt, &guest_phys)) {
            return false;
        }
        result =
            write
                ? address_space_write_bytes(space, guest_phys, bytes, part, (MemoryAttributes){ 0 })
                : address_space_read_bytes(space, guest_phys, bytes, part, (MemoryAttributes){ 0 });
        if (result != MEMORY_OK) {
            return false;
        }
        guest_virt += part;
        bytes += part;
        size -= part;
    }
    return true;
}

static bool read_words(Call *call, unsigned count)
{
    uint8_t bytes[8 * WORDS_MAX];

    if (!copy(call->cpu, call->parameter, bytes, 8 * count, false)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        call->words[i] = load_le64(bytes + 8 * i);
    }
    return true;
}

/* A text of known length; NULL: it is too long or not there. Caller frees. */
static char *read_text(Call *call, uint64_t guest_virt, uint64_t length)
{
    char *text;

    if (length >= TEXT_MAX) {
        return NULL;
    }
    text = g_malloc0(length + 1);
    if (!copy(call->cpu, guest_virt, text, length, false)) {
        g_clear_pointer(&text, g_free);
    }
    return text;
}

/* --- operations --- */

static int64_t sys_open(Call *call)
{
    g_autofree char *name = read_text(call, call->words[0], call->words[2]);

    return name ? semihosting_open(call->host, name, call->words[1]) : -1;
}

static int64_t sys_close(Call *call)
{
    return semihosting_close(call->host, call->words[0]);
}

static int64_t sys_writec(Call *call)
{
    uint8_t byte;

    if (copy(call->cpu, call->parameter, &byte, 1, false)) {
        semihosting_put(call->host, &byte, 1);
    }
    return 0;
}

static int64_t sys_write0(Call *call)
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    uint8_t byte;

    while (text->len < TEXT_MAX && copy(call->cpu, call->parameter + text->len, &byte, 1, false) &&
           byte) {
        g_byte_array_append(text, &byte, 1);
    }
    semihosting_put(call->host, text->data, text->len);
    return 0;
}

/* How many bytes are left. */
static int64_t sys_write(Call *call)
{
    uint64_t left = call->words[2];
    uint8_t bytes[CHUNK];

    while (left) {
        size_t part = MIN(left, CHUNK);
        int64_t done;

        if (!copy(call->cpu, call->words[1] + (call->words[2] - left), bytes, part, false)) {
            break;
        }
        done = semihosting_write(call->host, call->words[0], bytes, part);
        if (done == SEMIHOSTING_WAIT) {
            call->again = left == call->words[2];
            break;
        }
        if (done <= 0) {
            break;
        }
        left -= (uint64_t)done;
    }
    return (int64_t)left;
}

static int64_t sys_read(Call *call)
{
    uint64_t left = call->words[2];
    uint8_t bytes[CHUNK];

    while (left) {
        int64_t done = semihosting_read(call->host, call->words[0], bytes, MIN(left, CHUNK));

        if (done == SEMIHOSTING_WAIT) {
            call->again = left == call->words[2];
            break;
        }
        if (done <= 0 ||
            !copy(call->cpu, call->words[1] + (call->words[2] - left), bytes, (size_t)done, true)) {
            break;
        }
        left -= (uint64_t)done;
    }
    return (int64_t)left;
}

static int64_t sys_readc(Call *call)
{
    int64_t byte = semihosting_get(call->host);

    call->again = byte == SEMIHOSTING_WAIT;
    return byte;
}

static int64_t sys_iserror(Call *call)
{
    return (int64_t)call->words[0] < 0;
}

static int64_t sys_istty(Call *call)
{
    return semihosting_is_terminal(call->host, call->words[0]);
}

static int64_t sys_seek(Call *call)
{
    return semihosting_seek(call->host, call->words[0], call->words[1]);
}

static int64_t sys_flen(Call *call)
{
    return semihosting_length(call->host, call->words[0]);
}

static int64_t sys_tmpnam(Call *call)
{
    g_autofree char *name =
        g_strdup_printf("%s/kaso-%d-%u", g_get_tmp_dir(), getpid(), (unsigned)call->words[1] & 255);
    size_t size = strlen(name) + 1;

    return size <= call->words[2] && copy(call->cpu, call->words[0], name, size, true) ? 0 : -1;
}

static int64_t sys_remove(Call *call)
{
    g_autofree char *name = read_text(call, call->words[0], call->words[1]);

    return name ? semihosting_remove(call->host, name) : -1;
}

static int64_t sys_rename(Call *call)
{
    g_autofree char *from = read_text(call, call->words[0], call->words[1]);
    g_autofree char *to = read_text(call, call->words[2], call->words[3]);

    return from && to ? semihosting_rename(call->host, from, to) : -1;
}

/* Hundredths of a second. */
static int64_t sys_clock(Call *call)
{
    return clock_now_ns(call->cpu->vcpu.machine) / 10000000;
}

static int64_t sys_time(Call *call)
{
    return time(NULL);
}

static int64_t sys_system(Call *call)
{
    g_autofree char *command = read_text(call, call->words[0], call->words[1]);

    return command ? semihosting_system(call->host, command) : -1;
}

static int64_t sys_errno(Call *call)
{
    return semihosting_errno(call->host);
}

static int64_t sys_get_cmdline(Call *call)
{
    const char *text = semihosting_command_line(call->host);
    uint64_t length = strlen(text);
    uint8_t bytes[8];

    store_le64(bytes, length);
    return length < call->words[1] &&
                   copy(call->cpu, call->words[0], (void *)text, length + 1, true) &&
                   copy(call->cpu, call->parameter + 8, bytes, 8, true)
               ? 0
               : -1;
}

/* Heap and stack grow towards each other in the RAM behind the program. */
static int64_t sys_heapinfo(Call *call)
{
    uint64_t start, end;
    uint8_t bytes[32];

    semihosting_free_memory(call->host, &start, &end);
    store_le64(bytes, start);
    store_le64(bytes + 8, end);
    store_le64(bytes + 16, end);
    store_le64(bytes + 24, start);
    return copy(call->cpu, call->words[0], bytes, sizeof bytes, true) ? 0 : -1;
}

static int64_t sys_exit(Call *call)
{
    ArmCpu *cpu = call->cpu;
    bool ordinary = call->words[0] == APPLICATION_EXIT;

    machine_request_end(cpu->vcpu.machine, STOP_GUEST_POWEROFF,
                        ordinary ? NULL : "the program stopped by semihosting, not by its own end",
                        ordinary ? (int)(call->words[1] & 0xff) : 1);
    arm_stop_here(cpu);
    return 0;
}

static int64_t sys_elapsed(Call *call)
{
    uint8_t bytes[8];

    store_le64(bytes, (uint64_t)clock_now_ns(call->cpu->vcpu.machine));
    return copy(call->cpu, call->parameter, bytes, 8, true) ? 0 : -1;
}

static int64_t sys_tickfreq(Call *call)
{
    return 1000000000;
}

static const struct {
    int64_t (*run)(Call *call);
    unsigned words; /* of its parameter block */
} operations[] = {
    [0x01] = { sys_open, 3 },        [0x02] = { sys_close, 1 },    [0x03] = { sys_writec, 0 },
    [0x04] = { sys_write0, 0 },      [0x05] = { sys_write, 3 },    [0x06] = { sys_read, 3 },
    [0x07] = { sys_readc, 0 },       [0x08] = { sys_iserror, 1 },  [0x09] = { sys_istty, 1 },
    [0x0a] = { sys_seek, 2 },        [0x0c] = { sys_flen, 1 },     [0x0d] = { sys_tmpnam, 3 },
    [0x0e] = { sys_remove, 2 },      [0x0f] = { sys_rename, 4 },   [0x10] = { sys_clock, 0 },
    [0x11] = { sys_time, 0 },        [0x12] = { sys_system, 2 },   [0x13] = { sys_errno, 0 },
    [0x15] = { sys_get_cmdline, 2 }, [0x16] = { sys_heapinfo, 1 }, [0x18] = { sys_exit, 2 },
    [0x20] = { sys_exit, 2 },        [0x30] = { sys_elapsed, 0 },  [0x31] = { sys_tickfreq, 0 },
};

static int64_t run(Call *call, uint32_t number)
{
    if (number >= ARRAY_SIZE(operations) || !operations[number].run) {
        log_guest_error("semihosting", "unknown operation %#x", number);
        return -1;
    }
    if (!read_words(call, operations[number].words)) {
        log_guest_error("semihosting", "operation %#x: no parameters at %#" PRIx64, number,
                        call->parameter);
        return -1;
    }
    return operations[number].run(call);
}

SemihostingAnswer arm_semihosting_call(ArmCpu *cpu, bool privileged)
{
    Machine *machine = cpu->vcpu.machine;
    Call call = { cpu, .parameter = cpu->x[1] };
    SemihostingAnswer answer = SEMIHOSTING_REFUSED;

    machine_lock(machine);
    call.host = semihosting_of(machine);
    if (call.host && (privileged || semihosting_userspace(call.host))) {
        int64_t result = run(&call, (uint32_t)cpu->x[0]);

        if (!call.again) {
            cpu->x[0] = (uint64_t)result;
        }
        answer = call.again ? SEMIHOSTING_AGAIN : SEMIHOSTING_DONE;
    }
    machine_unlock(machine);
    return answer;
}
