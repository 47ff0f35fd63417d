/* SPDX-License-Identifier: MIT */
/* Packets: $DATA#SUM with acknowledgements, escapes and repetition. */
#include <stdio.h>
#include <string.h>

#include "debug/gdb/session.h"

enum { INTERRUPT = 3, ESCAPE = '}', ESCAPE_FLIP = 0x20 };

void gdb_flush(GdbStub *stub)
{
    bool was_full = stub->pending->len > GDB_PENDING_MAX;

    while (stub->pending->len) {
        size_t n = chardev_write(stub->chardev, stub->pending->str, stub->pending->len);

        if (!n) {
            break;
        }
        g_string_erase(stub->pending, 0, (gssize)n);
    }
    if (was_full && stub->pending->len <= GDB_PENDING_MAX) {
        chardev_accept_input(stub->chardev);
    }
}

static void write_bytes(GdbStub *stub, const char *data, size_t size)
{
    g_string_append_len(stub->pending, data, (gssize)size);
    gdb_flush(stub);
}

void gdb_send(GdbStub *stub, const char *data, size_t size)
{
    GString *out = stub->last;
    uint8_t sum = 0;

    g_string_assign(out, "$");
    for (size_t i = 0; i < size; i++) {
        if (strchr("$#}*", data[i]) && data[i]) {
            g_string_append_c(out, ESCAPE);
            g_string_append_c(out, (char)(data[i] ^ ESCAPE_FLIP));
        } else {
            g_string_append_c(out, data[i]);
        }
    }
    for (size_t i = 1; i < out->len; i++) {
        sum = (uint8_t)(sum + (uint8_t)out->str[i]);
    }
    g_string_append_printf(out, "#%02x", sum);
    write_bytes(stub, out->str, out->len);
}

void gdb_reply(GdbStub *stub, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_string_append_vprintf(stub->reply, format, arguments);
    va_end(arguments);
    stub->has_reply = true;
}

/* Undoes escapes, in place. */
static void unescape(GString *packet)
{
    size_t to = 0;

    for (size_t i = 0; i < packet->len; i++) {
        char c = packet->str[i];

        if (c == ESCAPE && i + 1 < packet->len) {
            c = (char)(packet->str[++i] ^ ESCAPE_FLIP);
        }
        packet->str[to++] = c;
    }
    g_string_truncate(packet, to);
}

static void end_packet(GdbStub *stub, bool good)
{
    if (!stub->no_ack) {
        write_bytes(stub, good ? "+" : "-", 1);
    }
    if (!good) {
        return;
    }
    g_string_truncate(stub->reply, 0);
    stub->has_reply = false;
    if (stub->overlong) {
        gdb_reply(stub, GDB_EINVAL);
    } else {
        unescape(stub->packet);
        gdb_handle(stub, stub->packet->str, stub->packet->len);
    }
    if (stub->has_reply) {
        gdb_send(stub, stub->reply->str, stub->reply->len);
    }
}

static void receive_idle(GdbStub *stub, uint8_t byte)
{
    if (byte == '$') {
        g_string_truncate(stub->packet, 0);
        stub->sum = 0;
        stub->overlong = false;
        stub->state = GDB_PACKET;
    } else if (byte == '-' && !stub->no_ack) {
        write_bytes(stub, stub->last->str, stub->last->len);
    } else if (byte == INTERRUPT && stub->waiting) {
        /* Also when another debugger has stopped it, and would let it go on. */
        machine_stop(stub->machine, STOP_PAUSED);
    }
}

static void receive_data(GdbStub *stub, uint8_t byte)
{
    if (byte == '#') {
        stub->state = GDB_CHECKSUM_HIGH;
        return;
    }
    if (byte == '$') {
        /* The rest of the last one was lost. */
        receive_idle(stub, byte);
        return;
    }
    stub->sum = (uint8_t)(stub->sum + byte);
    if (stub->packet->len < GDB_PACKET_MAX) {
        g_string_append_c(stub->packet, (char)byte);
    } else {
        stub->overlong = true;
    }
}

static void receive_checksum(GdbStub *stub, uint8_t byte)
{
    int digit = g_ascii_xdigit_value((char)byte);

    if (stub->state == GDB_CHECKSUM_HIGH) {
        stub->sum_high = (uint8_t)digit;
        stub->state = GDB_CHECKSUM_LOW;
        return;
    }
    stub->state = GDB_IDLE;
    end_packet(stub,
               digit >= 0 && stub->sum_high < 16 && (stub->sum_high << 4 | digit) == stub->sum);
}

void gdb_receive(GdbStub *stub, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (stub->state == GDB_IDLE) {
            receive_idle(stub, data[i]);
        } else if (stub->state == GDB_PACKET) {
            receive_data(stub, data[i]);
        } else {
            receive_checksum(stub, data[i]);
        }
    }
}
