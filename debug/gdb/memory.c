/* SPDX-License-Identifier: MIT */
/* Packets about memory: virtual addresses of the current CPU, or with Qqemu.PhyMemMode physical ones. */
#include <string.h>

#include "debug/gdb/session.h"

void gdb_read_memory(GdbStub *stub, const char *arguments, size_t size)
{
    g_autofree uint8_t *buffer = NULL;
    uint64_t address, length;
    size_t got;

    if (!gdb_number(&arguments, &address) || !gdb_take(&arguments, ',') ||
        !gdb_number(&arguments, &length) || length > GDB_PACKET_MAX / 2) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    buffer = g_malloc(length + 1);
    gdb_begin(stub);
    got = debug_read(gdb_vcpu(stub), stub->physical, address, buffer, length, false);
    gdb_end(stub);
    if (length && !got) {
        gdb_reply(stub, GDB_EFAULT);
        return;
    }
    gdb_append_hex(stub->reply, buffer, got);
    stub->has_reply = true;
}

/* ADDRESS,LENGTH: in front of what is written. */
static bool parse_place(const char **arguments, uint64_t *address, uint64_t *length)
{
    return gdb_number(arguments, address) && gdb_take(arguments, ',') &&
           gdb_number(arguments, length) && gdb_take(arguments, ':') && *length <= GDB_PACKET_MAX;
}

static void write_memory(GdbStub *stub, uint64_t address, const void *bytes, size_t length)
{
    bool ok;

    gdb_begin(stub);
    ok = debug_write(gdb_vcpu(stub), stub->physical, address, bytes, length) == length;
    stub->written = true;
    gdb_end(stub);
    gdb_reply(stub, "%s", ok ? "OK" : GDB_EFAULT);
}

void gdb_write_memory(GdbStub *stub, const char *arguments, size_t size)
{
    const char *end = arguments + size;
    g_autofree uint8_t *bytes = NULL;
    uint64_t address, length;

    if (!parse_place(&arguments, &address, &length) || (size_t)(end - arguments) < 2 * length) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    bytes = g_malloc(length + 1);
    if (!gdb_from_hex(arguments, 2 * length, bytes)) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    write_memory(stub, address, bytes, length);
}

void gdb_write_binary(GdbStub *stub, const char *arguments, size_t size)
{
    const char *end = arguments + size;
    uint64_t address, length;

    if (!parse_place(&arguments, &address, &length) || (size_t)(end - arguments) != length) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    write_memory(stub, address, arguments, length);
}
