/* SPDX-License-Identifier: MIT */
/*
 * The stream in which a machine comes: into a PC with many devices. Flags come first: whether the machine's own description is put before the rest; whether
 * checksums and lengths of sections are made right, which no blind change gets past; and whether the rest is changes (place, 4 bytes, and new byte) in the
 * stream that the machine itself would write. After a failure the machine is reset, as its users do.
 */
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/saved-state.h"
#include "main/setup.h"
#include "migration/machine-state.h"
#include "tests/fuzz/fuzz.h"

typedef struct {
    const uint8_t *data;
    size_t size;
} Bytes;

static Setup *setup;

static bool read_bytes(void *opaque, void *data, size_t size, GError **error)
{
    Bytes *bytes = opaque;

    if (size > bytes->size) {
        return error_fail(error, KASO_ERROR_IO, "the input ends");
    }
    memcpy(data, bytes->data, size);
    bytes->data += size;
    bytes->size -= size;
    return true;
}

static bool write_bytes(void *opaque, const void *data, size_t size, GError **error)
{
    g_byte_array_append(opaque, data, (guint)size);
    return true;
}

static void build(void)
{
    static const char *const arguments[] = {
        "kaso-system-x86_64",
        "-M",
        "pc",
        "-accel",
        "qtest",
        "-m",
        "2M",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "null",
        "-nodefaults",
        "-vga",
        "std",
        "-device",
        "e1000",
        "-device",
        "e1000e",
        "-device",
        "virtio-net-pci",
        "-device",
        "virtio-rng-pci",
        "-device",
        "piix3-usb-uhci",
        "-device",
        "usb-tablet",
        "-device",
        "ahci",
        "-device",
        "AC97",
        "-device",
        "virtio-gpu-pci",
        "-device",
        "virtio-scsi-pci",
        "-smp",
        "2",
    };
    GError *error = NULL;

    setup = setup_new("kaso-system-x86_64");
    setup->target = target_find("x86_64");
    if (!setup_parse(setup, G_N_ELEMENTS(arguments), (char **)arguments, &error) ||
        !setup_choose(setup, &error) || !setup_build(setup, &error)) {
        g_error("%s", error->message);
    }
    machine_lock(setup->machine);
    machine_reset(setup->machine);
    machine_unlock(setup->machine);
}

/* Each section that begins where the one before ends gets its length cut to what there is, and its checksum. */
static void make_right(GByteArray *stream, size_t at)
{
    while (stream->len - at >= STREAM_HEADER_BYTES) {
        uint8_t *header = stream->data + at;
        size_t left = stream->len - at - STREAM_HEADER_BYTES;
        uint64_t size = MIN(load_le64(header + STREAM_NAME_BYTES), left);

        store_le64(header + STREAM_NAME_BYTES, size);
        store_le32(header + STREAM_NAME_BYTES + 8,
                   (uint32_t)crc32_z(0, header + STREAM_HEADER_BYTES, size));
        at += STREAM_HEADER_BYTES + size;
    }
}

/* Looking changes nothing, and what is taken was not refused before. */
static bool check(Machine *machine, const GByteArray *stream)
{
    Bytes bytes = { stream->data, stream->len };
    StreamReader reader = { .source = { read_bytes, &bytes }, .content = g_byte_array_new() };
    g_autoptr(GByteArray) before = machine_save_state(machine), after = NULL;
    g_autoptr(GError) error = NULL;
    bool ok = machine_state_check(machine, &reader, &error);

    after = machine_save_state(machine);
    g_assert_cmpmem(before->data, before->len, after->data, after->len);
    g_assert_true(ok || (error && error->message[0]));
    g_byte_array_unref(reader.content);
    return ok;
}

/* Reads the first registers of all devices on their ways, and lets time pass. */
static void use(Machine *machine)
{
    enum { REGISTERS = 0x100, REACH = 0x1000 };
    AddressSpace *spaces[] = { &machine->memory_space, &machine->io_space };
    uint64_t value;

    for (unsigned i = 0; i < G_N_ELEMENTS(spaces); i++) {
        const FlatView *view = atomic_load(&spaces[i]->view);

        for (unsigned r = 0; r < view->count; r++) {
            const MemoryRange range = view->ranges[r];

            for (uint64_t at = 0; at < MIN(range.size, REACH) && range.region->kind != MEMORY_RAM;
                 at += at < REGISTERS ? 4 : 64) {
                address_space_read(spaces[i], range.start + at, &value, 4,
                                   (MemoryAttributes){ .vcpu = 0 });
            }
        }
    }
    clock_advance(machine, clock_now_ns(machine) + 20000000);
}

static void load(Machine *machine, const GByteArray *stream)
{
    Bytes bytes = { stream->data, stream->len };
    StreamReader reader = { .source = { read_bytes, &bytes }, .content = g_byte_array_new() };
    MachineState state = { 0 };
    g_autoptr(GError) error = NULL;
    bool checked = check(machine, stream), running, ok;
    MachineHead head;

    ok = machine_state_read_head(&reader, &error) &&
         machine_state_match(machine, &reader, &state, &head, &error);
    if (ok) {
        ram_clear(machine);
        ok = machine_state_read(machine, &reader, &state, &error) &&
             machine_state_load(machine, &state, &running, &error);
        if (ok) {
            /* What was taken can be given again, and does no harm in use. */
            g_byte_array_unref(machine_save_state(machine));
            g_assert_true(checked);
            use(machine);
        }
        machine_reset(machine);
    }
    g_assert_true(ok || (error && error->message[0]));
    machine_state_clear(&state);
    g_byte_array_unref(reader.content);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    build();
    return 0;
}

static void change(GByteArray *stream, size_t from, const uint8_t *data, size_t size)
{
    enum { CHANGE_BYTES = 5 };

    for (; size >= CHANGE_BYTES; data += CHANGE_BYTES, size -= CHANGE_BYTES) {
        stream->data[from + load_le32(data) % (stream->len - from)] = data[4];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { FLAGS = 1, OWN_HEAD = 1, MADE_RIGHT = 2, CHANGES = 4 };
    g_autoptr(GByteArray) stream = g_byte_array_new();
    StreamWriter writer = { .sink = { write_bytes, stream } };
    Machine *machine;
    guint own;

    if (size < FLAGS) {
        return 0;
    }
    if (!setup) {
        build();
    }
    machine = setup->machine;
    machine_lock(machine);
    if (data[0] & OWN_HEAD) {
        machine_state_write_head(machine, &writer, &(MachineHead){ 0 }, NULL);
    }
    own = stream->len;
    if (data[0] & CHANGES) {
        machine_state_write_devices(machine, &writer, true, NULL);
        change(stream, own, data + FLAGS, size - FLAGS);
    } else {
        g_byte_array_append(stream, data + FLAGS, (guint)(size - FLAGS));
    }
    if (data[0] & MADE_RIGHT) {
        make_right(stream, own);
    }
    load(machine, stream);
    machine_unlock(machine);
    return 0;
}
