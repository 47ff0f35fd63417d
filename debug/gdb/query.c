/* SPDX-License-Identifier: MIT */
/* Packets that begin with q and Q. */
#include <string.h>

#include "base/version.h"
#include "debug/gdb/session.h"

typedef struct {
    const char *name;   /* what the packet begins with, behind the q or Q */
    GdbHandler *handle; /* arguments: what follows the name */
    bool whole;         /* nothing may follow */
} Query;

static void run_query(GdbStub *stub, const Query *table, const char *text, size_t size)
{
    for (const Query *query = table; query->name; query++) {
        size_t length = strlen(query->name);

        if (size >= length && memcmp(text, query->name, length) == 0 &&
            (!query->whole || size == length)) {
            query->handle(stub, text + length, size - length);
            return;
        }
    }
    gdb_reply(stub, "%s", ""); /* not known */
}

static void supported(GdbStub *stub, const char *arguments, size_t size)
{
    g_auto(GStrv) features = g_strsplit(arguments, ";", 64);

    for (char **feature = features; *feature; feature++) {
        const char *name = *feature[0] == ':' ? *feature + 1 : *feature;

        stub->multiprocess |= strcmp(name, "multiprocess+") == 0;
        stub->swbreak |= strcmp(name, "swbreak+") == 0;
        stub->hwbreak |= strcmp(name, "hwbreak+") == 0;
    }
    gdb_reply(stub,
              "PacketSize=%x;qXfer:features:read+;qXfer:threads:read+;qXfer:memory-map:read+;"
              "QStartNoAckMode+;vContSupported+;multiprocess+;swbreak+;hwbreak+",
              GDB_PACKET_MAX);
}

/* Behind OFFSET,LENGTH: the piece of an object that gdb asked for. */
static void transfer(GdbStub *stub, const char *arguments, const char *object)
{
    size_t whole = strlen(object);
    uint64_t offset, length;

    if (!gdb_number(&arguments, &offset) || !gdb_take(&arguments, ',') ||
        !gdb_number(&arguments, &length) || *arguments) {
        gdb_reply(stub, GDB_EINVAL);
    } else if (offset > whole) {
        gdb_reply(stub, "E00");
    } else {
        size_t part = MIN(MIN(length, whole - offset), GDB_PACKET_MAX / 2);

        gdb_reply(stub, "%c%.*s", offset + part < whole ? 'm' : 'l', (int)part, object + offset);
    }
}

static void features(GdbStub *stub, const char *arguments, size_t size)
{
    const char *colon = strchr(arguments, ':');

    if (!colon) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    if (strncmp(arguments, "target.xml:", strlen("target.xml:")) != 0) {
        gdb_reply(stub, "E00");
        return;
    }
    if (!stub->description) {
        stub->description = gdb_describe(gdb_vcpu(stub));
    }
    transfer(stub, colon + 1, stub->description);
}

static void threads(GdbStub *stub, const char *arguments, size_t size)
{
    g_autoptr(GString) xml = g_string_new("<?xml version=\"1.0\"?>\n<threads>\n");

    for (unsigned i = 0; i < stub->machine->vcpus->len; i++) {
        g_autofree char *thread = gdb_thread_name(stub, i);

        g_string_append_printf(xml, "<thread id=\"%s\" core=\"%u\" name=\"CPU#%u\"/>\n", thread, i,
                               i);
    }
    g_string_append(xml, "</threads>\n");
    transfer(stub, arguments, xml->str);
}

/*
 * All that there is can be read, written and broken in: gdb's addresses are virtual, and what is behind them changes as the guest
 * maps it. The physical map would have gdb refuse the rest.
 */
static void memory_map(GdbStub *stub, const char *arguments, size_t size)
{
    static const char xml[] = "<?xml version=\"1.0\"?>\n<memory-map>\n"
                              "<memory type=\"ram\" start=\"0x0\" length=\"0xffffffffffffffff\"/>\n"
                              "</memory-map>\n";

    transfer(stub, arguments, xml);
}

static void current_thread(GdbStub *stub, const char *arguments, size_t size)
{
    g_autofree char *thread = gdb_thread_name(stub, stub->vcpu);

    gdb_reply(stub, "QC%s", thread);
}

static void attached(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "1"); /* leaving it detaches, and does not kill it */
}

static void more_threads(GdbStub *stub, const char *arguments, size_t size)
{
    g_autofree char *thread = NULL;

    if (stub->next_thread >= stub->machine->vcpus->len) {
        gdb_reply(stub, "l");
        return;
    }
    thread = gdb_thread_name(stub, stub->next_thread++);
    gdb_reply(stub, "m%s", thread);
}

static void first_threads(GdbStub *stub, const char *arguments, size_t size)
{
    stub->next_thread = 0;
    more_threads(stub, arguments, size);
}

static void thread_info(GdbStub *stub, const char *arguments, size_t size)
{
    g_autofree char *text = NULL;
    unsigned index;
    const Vcpu *vcpu;

    if (!gdb_take(&arguments, ',') || !gdb_thread(stub, &arguments, &index) || index == UINT_MAX) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    vcpu = stub->machine->vcpus->pdata[index];
    text = g_strdup_printf("CPU#%u [%s]", index,
                           !atomic_load(&vcpu->powered) ? "off"
                           : atomic_load(&vcpu->halted) ? "halted "
                                                        : "running");
    gdb_append_hex(stub->reply, (const uint8_t *)text, strlen(text));
    stub->has_reply = true;
}

static void send_console(GdbStub *stub, const char *text)
{
    size_t size = strlen(text);

    for (size_t done = 0, part; done < size; done += part) {
        g_autoptr(GString) out = g_string_new("O");

        part = MIN(size - done, GDB_PACKET_MAX / 2 - 1);
        gdb_append_hex(out, (const uint8_t *)text + done, part);
        gdb_send(stub, out->str, out->len);
    }
}

/* The hexadecimal text of a command for the monitor. */
static void monitor_command(GdbStub *stub, const char *arguments, size_t size)
{
    g_autofree char *line = g_malloc0(size / 2 + 1), *output = NULL;
    g_autoptr(GError) error = NULL;

    if (!stub->monitor) {
        gdb_reply(stub, "%s", "");
        return;
    }
    if (!gdb_from_hex(arguments, size, (uint8_t *)line)) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    if (!stub->monitor(stub->machine, stub->vcpu, line, &output, &error)) {
        g_autofree char *text = g_strdup_printf("Error: %s\n", error->message);

        send_console(stub, text);
    } else if (output) {
        send_console(stub, output);
    }
    gdb_reply(stub, "OK");
}

static void step_bits(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "ENABLE=1,NOIRQ=2,NOTIMER=4");
}

static void get_step(GdbStub *stub, const char *arguments, size_t size)
{
    unsigned flags = debug_step_flags(stub->machine);

    gdb_reply(stub, "0x%x",
              1u | (flags & DEBUG_STEP_NO_INTERRUPTS ? 2u : 0) |
                  (flags & DEBUG_STEP_NO_TIME ? 4u : 0));
}

static void get_physical(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "%d", stub->physical);
}

static void emulator_features(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "sstepbits;sstep;PhyMemMode");
}

/* For lldb, which has no use for a bare target.xml. */
static void host_info(GdbStub *stub, const char *arguments, size_t size)
{
    const Target *target = gdb_vcpu(stub)->target;
    g_autofree char *triple = g_strdup_printf("%s-unknown-unknown", target->name);

    g_string_append(stub->reply, "triple:");
    gdb_append_hex(stub->reply, (const uint8_t *)triple, strlen(triple));
    gdb_reply(stub, ";endian:little;ptrsize:%u;", target->registers[0].bits / 8);
}

static void server_version(GdbStub *stub, const char *arguments, size_t size)
{
    const char *version = strrchr(version_package, ' ');

    gdb_reply(stub, "name:kaso;version:%s;", version ? version + 1 : version_package);
}

static void process_info(GdbStub *stub, const char *arguments, size_t size)
{
    gdb_reply(stub, "pid:1;");
    host_info(stub, arguments, size);
}

static const Query queries[] = {
    { "Supported", supported },
    { "Xfer:features:read:", features },
    { "Xfer:threads:read::", threads },
    { "Xfer:memory-map:read::", memory_map },
    { "C", current_thread, true },
    { "Attached", attached },
    { "fThreadInfo", first_threads, true },
    { "sThreadInfo", more_threads, true },
    { "ThreadExtraInfo", thread_info },
    { "Rcmd,", monitor_command },
    { "qemu.sstepbits", step_bits, true },
    { "qemu.sstep", get_step, true },
    { "qemu.PhyMemMode", get_physical, true },
    { "qemu.Supported", emulator_features, true },
    { "HostInfo", host_info, true },
    { "GDBServerVersion", server_version, true },
    { "ProcessInfo", process_info, true },
    { NULL },
};

void gdb_query(GdbStub *stub, const char *arguments, size_t size)
{
    run_query(stub, queries, arguments, size);
}

static void start_no_ack(GdbStub *stub, const char *arguments, size_t size)
{
    /* This packet has been acknowledged before it was handled. */
    stub->no_ack = true;
    gdb_reply(stub, "OK");
}

static void set_step(GdbStub *stub, const char *arguments, size_t size)
{
    uint64_t flags;

    if (g_str_has_prefix(arguments, "0x")) {
        arguments += 2;
    }
    if (!gdb_number(&arguments, &flags) || *arguments || flags & ~UINT64_C(7)) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    debug_set_step_flags(stub->machine, (flags & 2 ? DEBUG_STEP_NO_INTERRUPTS : 0) |
                                            (flags & 4 ? DEBUG_STEP_NO_TIME : 0));
    gdb_reply(stub, "OK");
}

static void set_physical(GdbStub *stub, const char *arguments, size_t size)
{
    uint64_t on;

    if (!gdb_number(&arguments, &on) || *arguments) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    stub->physical = on != 0;
    gdb_reply(stub, "OK");
}

static const Query settings[] = {
    { "StartNoAckMode", start_no_ack, true },
    { "qemu.sstep=", set_step },
    { "qemu.PhyMemMode:", set_physical },
    { NULL },
};

void gdb_set(GdbStub *stub, const char *arguments, size_t size)
{
    run_query(stub, settings, arguments, size);
}
