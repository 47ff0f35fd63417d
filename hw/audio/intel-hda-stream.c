/* SPDX-License-Identifier: MIT */
/* Stream descriptors of the HDA controllers: lists of buffers in memory, and where in them each stream is. */
#include "hw/audio/intel-hda.h"

#include "machine/audio.h"
#include "machine/machine.h"

enum {
    BUFFER_BYTES = 16, /* of an entry of the list */
    BUFFERS_MOST = 256,
    FLAG_INTERRUPT = 1 << 0,
    CONTROL_INTERRUPT_ON_COMPLETION = 1 << 2,
    CONTROL_WRITABLE = 0x1e,
    STATUS_CLEARED_BY_ONE = 0x1c,
    FIFO_BYTES = 0x100,
    POSITIONS_ENABLED = 1 << 0, /* of DPLBASE */
};

static bool is_output(unsigned index)
{
    return index >= HDA_INPUTS;
}

static unsigned number_of(const HdaStream *s)
{
    return s->control_high >> 4;
}

static bool runs(const HdaStream *s)
{
    return s->control & HDA_STREAM_RUN && !(s->control & HDA_STREAM_RESET);
}

/* The descriptor that runs with a number, or NULL. Number 0 is nobody's. */
static HdaStream *find(IntelHda *hda, unsigned number, bool output)
{
    unsigned first = output ? HDA_INPUTS : 0, end = output ? HDA_STREAMS : HDA_INPUTS;

    for (unsigned i = first; number && i < end; i++) {
        if (number_of(&hda->streams[i]) == number && runs(&hda->streams[i])) {
            return &hda->streams[i];
        }
    }
    return NULL;
}

bool intel_hda_stream_runs(Device *device, unsigned number, bool output)
{
    return find(intel_hda(device), number, output) != NULL;
}

static void load_entry(IntelHda *hda, HdaStream *s)
{
    uint64_t list = (uint64_t)s->base_high << 32 | s->base_low;
    uint8_t raw[BUFFER_BYTES] = { 0 };

    if (address_space_read_bytes(&hda->pci.device.machine->memory_space,
                                 list + s->entry * BUFFER_BYTES, raw, sizeof raw,
                                 pci_dma_attributes(&hda->pci)) != MEMORY_OK) {
        log_guest_error(hda->pci.device.type->name,
                        "buffer %u of the list at %#" PRIx64 " is not in memory", s->entry, list);
    }
    s->address = load_le64(raw);
    s->length = load_le32(raw + 8);
    s->flags = load_le32(raw + 12);
    s->into = 0;
    s->loaded = 1;
}

/* The current buffer is done. */
static void next_entry(IntelHda *hda, HdaStream *s)
{
    if (s->flags & FLAG_INTERRUPT) {
        s->status |= HDA_STREAM_STATUS_COMPLETION;
        intel_hda_update_irq(hda);
    }
    s->loaded = 0;
    s->entry = s->entry >= s->last ? 0 : s->entry + 1;
    if (s->entry == 0) {
        s->position = 0;
    }
}

/* Drivers may follow a stream by what is written here, in place of reading its position. */
static void store_position(IntelHda *hda, const HdaStream *s)
{
    uint64_t base = (uint64_t)hda->position_high << 32 | (hda->position_low & ~0x7fu);
    uint8_t raw[4];

    if (hda->position_low & POSITIONS_ENABLED) {
        store_le32(raw, s->position);
        address_space_write_bytes(&hda->pci.device.machine->memory_space,
                                  base + (uint64_t)(s - hda->streams) * 8, raw, sizeof raw,
                                  pci_dma_attributes(&hda->pci));
    }
}

static bool move(IntelHda *hda, const HdaStream *s, bool output, uint8_t *data, size_t bytes)
{
    AddressSpace *space = &hda->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&hda->pci);
    uint64_t address = s->address + s->into;

    return (output
                ? address_space_read_bytes(space, address, data, bytes, attributes)
                : address_space_write_bytes(space, address, data, bytes, attributes)) == MEMORY_OK;
}

size_t intel_hda_stream_move(Device *device, unsigned number, bool output, uint8_t *data,
                             size_t bytes)
{
    IntelHda *hda = intel_hda(device);
    HdaStream *s = find(hda, number, output);
    size_t done = 0, n;

    if (!s || !pci_bus_master_enabled(&hda->pci)) {
        return 0;
    }
    /* A list of empty buffers does not hold us. */
    for (unsigned turns = 0; done < bytes && turns < 2 * BUFFERS_MOST && runs(s); turns++) {
        if (!s->loaded) {
            load_entry(hda, s);
        }
        n = MIN(bytes - done, s->length - MIN(s->into, s->length));
        if (n && !move(hda, s, output, data + done, n) && output) {
            memset(data + done, 0, n);
        }
        done += n;
        s->into += (uint32_t)n;
        s->position += (uint32_t)n;
        s->position %= s->cyclic_length ? s->cyclic_length : UINT32_MAX;
        if (s->into >= s->length) {
            next_entry(hda, s);
        }
    }
    store_position(hda, s);
    return done;
}

size_t intel_hda_stream_until_event(Device *device, unsigned number, bool output)
{
    const HdaStream *s = find(intel_hda(device), number, output);

    return s && s->loaded ? s->length - MIN(s->into, s->length) : 0;
}

size_t intel_hda_stream_unseen(Device *device, unsigned number, bool output)
{
    IntelHda *hda = intel_hda(device);
    const HdaStream *s = find(hda, number, output);

    return s && intel_hda_interrupts(hda, (unsigned)(s - hda->streams))
               ? audio_surely_filled(s->cyclic_length,
                                     MAX(s->length, s->cyclic_length / (s->last + 1u)))
               : AUDIO_ALL_SEEN;
}

void intel_hda_stream_notify(IntelHda *hda, unsigned index)
{
    hda_stream_changed(&hda->link, number_of(&hda->streams[index]), is_output(index));
}

void intel_hda_stream_sync(IntelHda *hda, unsigned index)
{
    if (runs(&hda->streams[index])) {
        hda_stream_sync(&hda->link, number_of(&hda->streams[index]), is_output(index));
    }
}

void intel_hda_stream_reset(IntelHda *hda, unsigned index)
{
    unsigned number = number_of(&hda->streams[index]);

    hda->streams[index] = (HdaStream){ 0 };
    hda_stream_changed(&hda->link, number, is_output(index));
}

/* Registers. */

static HdaStream *stream_at(Device *device, unsigned index)
{
    return &intel_hda(device)->streams[index];
}

static uint64_t control_read(Device *device, unsigned i)
{
    return stream_at(device, i)->control;
}

static void control_write(Device *device, unsigned i, uint64_t value)
{
    IntelHda *hda = intel_hda(device);
    HdaStream *s = &hda->streams[i];

    intel_hda_stream_sync(hda, i);
    if (value & HDA_STREAM_RESET) {
        intel_hda_stream_reset(hda, i);
        s->control = HDA_STREAM_RESET;
    } else {
        s->control = value & CONTROL_WRITABLE;
        s->status =
            (s->status & ~HDA_STREAM_STATUS_READY) | (runs(s) ? HDA_STREAM_STATUS_READY : 0);
        intel_hda_stream_notify(hda, i);
    }
    intel_hda_update_irq(hda);
}

static uint64_t control_high_read(Device *device, unsigned i)
{
    return stream_at(device, i)->control_high;
}

static void control_high_write(Device *device, unsigned i, uint64_t value)
{
    IntelHda *hda = intel_hda(device);
    unsigned before = number_of(&hda->streams[i]);

    intel_hda_stream_sync(hda, i);
    hda->streams[i].control_high = (uint8_t)value;
    hda_stream_changed(&hda->link, before, is_output(i));
    intel_hda_stream_notify(hda, i);
}

static uint64_t status_read(Device *device, unsigned i)
{
    return stream_at(device, i)->status;
}

static void status_write(Device *device, unsigned i, uint64_t value)
{
    stream_at(device, i)->status &= ~(value & STATUS_CLEARED_BY_ONE);
    intel_hda_update_irq(intel_hda(device));
    if (value & HDA_STREAM_STATUS_COMPLETION) {
        hda_stream_seen(&intel_hda(device)->link, number_of(stream_at(device, i)), is_output(i));
    }
}

static uint64_t position_read(Device *device, unsigned i)
{
    intel_hda_stream_sync(intel_hda(device), i);
    return stream_at(device, i)->position;
}

static uint64_t fifo_read(Device *device, unsigned i)
{
    return FIFO_BYTES;
}

#define STREAM_FIELD(name, mask)                                                                   \
    static uint64_t name##_read(Device *device, unsigned i)                                        \
    {                                                                                              \
        return stream_at(device, i)->name;                                                         \
    }                                                                                              \
    static void name##_write(Device *device, unsigned i, uint64_t value)                           \
    {                                                                                              \
        stream_at(device, i)->name = value & (mask);                                               \
    }
STREAM_FIELD(cyclic_length, UINT32_MAX)
STREAM_FIELD(last, 0xff)
STREAM_FIELD(format, 0x7f7f)
STREAM_FIELD(base_low, ~0x7fu)
STREAM_FIELD(base_high, UINT32_MAX)

/* clang-format off */
#define STREAM(name, offset, width, access, ...) \
    { name, offset, width, access, .count = HDA_STREAMS, .stride = 0x20, .field = REGISTER_NO_FIELD, __VA_ARGS__ }
const Register intel_hda_stream_registers[] = {
    STREAM("SDCTL", 0x00, 1, REGISTER_RW, .read = control_read, .write = control_write, .summary = "bit 0: reset, bit 1: run"),
    STREAM("SDCTL1", 0x01, 1, REGISTER_RW | REGISTER_QUIET),
    STREAM("SDCTL2", 0x02, 1, REGISTER_RW, .read = control_high_read, .write = control_high_write, .summary = "bits 7:4: number"),
    STREAM("SDSTS", 0x03, 1, REGISTER_RW, .read = status_read, .write = status_write),
    STREAM("SDLPIB", 0x04, 4, REGISTER_R, .read = position_read, .summary = "position in the cyclic buffer"),
    STREAM("SDCBL", 0x08, 4, REGISTER_RW, .read = cyclic_length_read, .write = cyclic_length_write),
    STREAM("SDLVI", 0x0c, 2, REGISTER_RW, .read = last_read, .write = last_write, .summary = "last entry of the list"),
    STREAM("SDFIFOW", 0x0e, 2, REGISTER_RW | REGISTER_QUIET),
    STREAM("SDFIFOS", 0x10, 2, REGISTER_R, .read = fifo_read),
    STREAM("SDFMT", 0x12, 2, REGISTER_RW, .read = format_read, .write = format_write),
    STREAM("SDRSVD", 0x14, 4, REGISTER_RW | REGISTER_QUIET),
    STREAM("SDBDPL", 0x18, 4, REGISTER_RW, .read = base_low_read, .write = base_low_write, .summary = "list of buffers"),
    STREAM("SDBDPU", 0x1c, 4, REGISTER_RW, .read = base_high_read, .write = base_high_write),
    { 0 },
};
/* clang-format on */

const StateField intel_hda_stream_state[] = {
    STATE(HdaStream, control),        STATE(HdaStream, control_high),
    STATE(HdaStream, status),         STATE(HdaStream, position),
    STATE(HdaStream, cyclic_length),  STATE_MOST(HdaStream, last, BUFFERS_MOST - 1),
    STATE(HdaStream, format),         STATE(HdaStream, base_low),
    STATE(HdaStream, base_high),      STATE_MOST(HdaStream, entry, BUFFERS_MOST - 1),
    STATE_MOST(HdaStream, loaded, 1), STATE(HdaStream, address),
    STATE(HdaStream, length),         STATE(HdaStream, flags),
    STATE(HdaStream, into),           { 0 },
};
