/* SPDX-License-Identifier: MIT */
/*
 * High Definition Audio controllers of ICH6 and ICH9 (Intel HDA specification 1.0a): command rings, immediate commands, four
 * input and four output streams. Codecs sit on its bus "ID.0".
 *
 * Not modelled: synchronised starts (SSYNC is accepted), bidirectional streams, unsolicited responses, which the codecs never send.
 */
#include "hw/audio/intel-hda.h"

#include "base/error.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    MEMORY_SIZE = 0x4000,
    COMMON_SIZE = 0x80,
    STREAMS_SIZE = HDA_STREAMS * 0x20,
    ALIAS_OFFSET = 0x2000, /* where the wall clock and positions can be read, too */
    CLASS_HDA = 0x040300,
    CONFIG_HDCTL = 0x40, /* bit 0: HDA, not AC '97 */

    CAPABILITIES = HDA_OUTPUTS << 12 | HDA_INPUTS << 8 | 1, /* 64-bit addresses */
    CONTROL_RUN = 1 << 0,                                   /* 0: the controller is in reset */
    CONTROL_UNSOLICITED = 1 << 8,

    RING_ENTRIES = 256,
    RING_SIZE_REGISTER = 0x42, /* 256 entries, which is all it can */
    CORB_INTERRUPT = 1 << 0,
    CORB_RUN = 1 << 1,
    CORB_READ_RESET = 1 << 15,
    RIRB_INTERRUPT = 1 << 0,
    RIRB_RUN = 1 << 1,
    RIRB_STATUS_RESPONSE = 1 << 0,
    RIRB_STATUS_OVERRUN = 1 << 2,
    RIRB_WRITE_RESET = 1 << 15,

    IMMEDIATE_BUSY = 1 << 0,
    IMMEDIATE_VALID = 1 << 1,

    WALL_CLOCK_HZ = 24000000,
    NS_PER_S = 1000000000,
};
#define INTERRUPT_GLOBAL     (UINT32_C(1) << 31)
#define INTERRUPT_CONTROLLER (UINT32_C(1) << 30)

/* Interrupts. */

static uint32_t interrupt_status(const IntelHda *hda)
{
    uint32_t status = 0;

    if ((hda->rirb_status & RIRB_STATUS_RESPONSE && hda->rirb_control & RIRB_INTERRUPT) ||
        (hda->rirb_status & RIRB_STATUS_OVERRUN && hda->rirb_control & RIRB_STATUS_OVERRUN) ||
        (hda->status_change & hda->wake_enable)) {
        status |= INTERRUPT_CONTROLLER;
    }
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        if (hda->streams[i].status & hda->streams[i].control & HDA_STREAM_STATUS_COMPLETION) {
            status |= 1u << i;
        }
    }
    return status | (status & hda->interrupt_control ? INTERRUPT_GLOBAL : 0);
}

bool intel_hda_interrupts(const IntelHda *hda, unsigned stream)
{
    uint32_t wanted = 1u << stream | INTERRUPT_GLOBAL;

    return interrupt_status(hda) & 1u << stream && (hda->interrupt_control & wanted) == wanted;
}

void intel_hda_update_irq(IntelHda *hda)
{
    bool level =
        interrupt_status(hda) & INTERRUPT_GLOBAL && hda->interrupt_control & INTERRUPT_GLOBAL;

    if (level && !hda->interrupted) {
        hda->interrupted = true; /* before the message, which may reach these registers */
        pci_msi_notify(&hda->pci);
    }
    hda->interrupted = level;
    pci_set_irq(&hda->pci, level && !pci_msi_enabled(&hda->pci));
}

/* Commands. */

static bool run_command(IntelHda *hda, uint32_t command, uint32_t *response)
{
    HdaCodec *codec = hda_codec_at(&hda->link, command >> 28);

    if (!codec) {
        return false;
    }
    *response = hda_command(codec, command & 0x0fffffff);
    return true;
}

static void put_response(IntelHda *hda, unsigned codec, uint32_t response)
{
    uint64_t base = (uint64_t)hda->rirb_high << 32 | hda->rirb_low;
    uint8_t raw[8];

    hda->rirb_write = (hda->rirb_write + 1) % RING_ENTRIES;
    store_le32(raw, response);
    store_le32(raw + 4, codec);
    if (address_space_write_bytes(&hda->pci.device.machine->memory_space,
                                  base + hda->rirb_write * sizeof raw, raw, sizeof raw,
                                  pci_dma_attributes(&hda->pci)) != MEMORY_OK) {
        hda->rirb_status |= RIRB_STATUS_OVERRUN;
    }
    hda->responses++;
}

/* All commands that are in the ring. */
static void run_commands(IntelHda *hda)
{
    uint64_t base = (uint64_t)hda->corb_high << 32 | hda->corb_low;

    if (hda->in_commands || !pci_bus_master_enabled(&hda->pci)) {
        return;
    }
    hda->in_commands = true;
    for (unsigned n = 0; n < RING_ENTRIES && hda->corb_control & CORB_RUN &&
                         hda->rirb_control & RIRB_RUN && hda->corb_read != hda->corb_write;
         n++) {
        uint8_t raw[4] = { 0 };
        uint32_t response;

        hda->corb_read = (hda->corb_read + 1) % RING_ENTRIES;
        address_space_read_bytes(&hda->pci.device.machine->memory_space,
                                 base + hda->corb_read * sizeof raw, raw, sizeof raw,
                                 pci_dma_attributes(&hda->pci));
        if (run_command(hda, load_le32(raw), &response)) {
            put_response(hda, load_le32(raw) >> 28, response);
        }
    }
    hda->in_commands = false;
    /* As many as were asked for, or no more to come: either is an interrupt. */
    if (hda->responses) {
        hda->responses = 0;
        hda->rirb_status |= RIRB_STATUS_RESPONSE;
    }
    intel_hda_update_irq(hda);
}

static void corb_write_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->corb_write = value % RING_ENTRIES;
    run_commands(intel_hda(device));
}

/* The driver sets the reset bit, sees it set, and clears it. */
static void corb_read_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->corb_read = value & CORB_READ_RESET;
}

static void corb_control_write(Device *device, unsigned index, uint64_t value)
{
    IntelHda *hda = intel_hda(device);

    hda->corb_control = value & (CORB_RUN | CORB_INTERRUPT);
    hda->corb_read %= RING_ENTRIES;
    run_commands(hda);
}

static void rirb_write_write(Device *device, unsigned index, uint64_t value)
{
    if (value & RIRB_WRITE_RESET) {
        intel_hda(device)->rirb_write = 0;
        intel_hda(device)->responses = 0;
    }
}

static void rirb_control_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->rirb_control = value & (RIRB_RUN | RIRB_INTERRUPT | RIRB_STATUS_OVERRUN);
    run_commands(intel_hda(device));
}

static void rirb_status_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->rirb_status &= ~(value & (RIRB_STATUS_RESPONSE | RIRB_STATUS_OVERRUN));
    intel_hda_update_irq(intel_hda(device));
}

static void immediate_status_write(Device *device, unsigned index, uint64_t value)
{
    IntelHda *hda = intel_hda(device);

    hda->immediate_status &= ~(value & IMMEDIATE_VALID);
    if (value & IMMEDIATE_BUSY &&
        run_command(hda, hda->immediate_command, &hda->immediate_response)) {
        hda->immediate_status |= IMMEDIATE_VALID;
    }
}

/* The rest. */

static void reset_registers(IntelHda *hda);

static void control_write(Device *device, unsigned index, uint64_t value)
{
    IntelHda *hda = intel_hda(device);
    bool ran = hda->control & CONTROL_RUN;

    if (!(value & CONTROL_RUN)) {
        reset_registers(hda);
        hda->control = 0;
    } else {
        hda->control = value & (CONTROL_RUN | CONTROL_UNSOLICITED);
        for (unsigned i = 0; !ran && i < HDA_CODECS; i++) {
            hda->status_change |= hda_codec_at(&hda->link, i) ? 1u << i : 0;
        }
    }
    intel_hda_update_irq(hda);
}

static void status_change_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->status_change &= ~value;
    intel_hda_update_irq(intel_hda(device));
}

static void wake_enable_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->wake_enable = value & 0x7fff;
    intel_hda_update_irq(intel_hda(device));
}

static void interrupt_control_write(Device *device, unsigned index, uint64_t value)
{
    intel_hda(device)->interrupt_control =
        value & (INTERRUPT_GLOBAL | INTERRUPT_CONTROLLER | ((1u << HDA_STREAMS) - 1));
    intel_hda_update_irq(intel_hda(device));
}

static uint64_t interrupt_status_read(Device *device, unsigned index)
{
    return interrupt_status(intel_hda(device));
}

static uint64_t wall_clock_read(Device *device, unsigned index)
{
    return (uint64_t)((__int128)clock_now_ns(device->machine) * WALL_CLOCK_HZ / NS_PER_S);
}

/* clang-format off */
#define PLAIN(name, offset, width, member, ...) \
    { name, offset, width, REGISTER_RW, .field = offsetof(IntelHda, member), __VA_ARGS__ }
#define CONSTANT(name, offset, width, value) \
    { name, offset, width, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .constants = (const uint8_t[]){ value } }
static const Register common_registers[] = {
    CONSTANT("GCAP_LOW", 0x00, 1, CAPABILITIES & 0xff),
    CONSTANT("GCAP_HIGH", 0x01, 1, CAPABILITIES >> 8),
    CONSTANT("VMIN", 0x02, 1, 0),
    CONSTANT("VMAJ", 0x03, 1, 1),
    CONSTANT("OUTPAY", 0x04, 2, 0x3c),
    CONSTANT("INPAY", 0x06, 2, 0x1d),
    PLAIN("GCTL", 0x08, 4, control, .write = control_write, .summary = "bit 0: out of reset"),
    PLAIN("WAKEEN", 0x0c, 2, wake_enable, .write = wake_enable_write),
    PLAIN("STATESTS", 0x0e, 2, status_change, .write = status_change_write, .summary = "codecs that have come"),
    { "GSTS", 0x10, 2, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "OUTSTRMPAY", 0x18, 2, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "INSTRMPAY", 0x1a, 2, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    PLAIN("INTCTL", 0x20, 4, interrupt_control, .write = interrupt_control_write),
    { "INTSTS", 0x24, 4, REGISTER_R | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .read = interrupt_status_read },
    { "WALCLK", 0x30, 4, REGISTER_R, .field = REGISTER_NO_FIELD, .read = wall_clock_read, .summary = "24 MHz" },
    { "SSYNC_OLD", 0x34, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    { "SSYNC", 0x38, 4, REGISTER_RW | REGISTER_QUIET, .field = REGISTER_NO_FIELD },
    PLAIN("CORBLBASE", 0x40, 4, corb_low, .writable = ~0x7fu),
    PLAIN("CORBUBASE", 0x44, 4, corb_high),
    PLAIN("CORBWP", 0x48, 2, corb_write, .write = corb_write_write),
    PLAIN("CORBRP", 0x4a, 2, corb_read, .write = corb_read_write),
    PLAIN("CORBCTL", 0x4c, 1, corb_control, .write = corb_control_write),
    { "CORBSTS", 0x4d, 1, REGISTER_W1C, .field = offsetof(IntelHda, corb_status) },
    CONSTANT("CORBSIZE", 0x4e, 1, RING_SIZE_REGISTER),
    PLAIN("RIRBLBASE", 0x50, 4, rirb_low, .writable = ~0x7fu),
    PLAIN("RIRBUBASE", 0x54, 4, rirb_high),
    PLAIN("RIRBWP", 0x58, 2, rirb_write, .write = rirb_write_write),
    PLAIN("RINTCNT", 0x5a, 2, response_count, .writable = 0xff),
    PLAIN("RIRBCTL", 0x5c, 1, rirb_control, .write = rirb_control_write),
    PLAIN("RIRBSTS", 0x5d, 1, rirb_status, .write = rirb_status_write),
    CONSTANT("RIRBSIZE", 0x5e, 1, RING_SIZE_REGISTER),
    PLAIN("ICOI", 0x60, 4, immediate_command),
    { "ICII", 0x64, 4, REGISTER_R, .field = offsetof(IntelHda, immediate_response) },
    PLAIN("ICIS", 0x68, 2, immediate_status, .write = immediate_status_write),
    PLAIN("DPLBASE", 0x70, 4, position_low, .writable = ~0x7eu, .summary = "where positions are written; bit 0: they are"),
    PLAIN("DPUBASE", 0x74, 4, position_high),
    { 0 },
};
/* clang-format on */

static const RegisterBank common_bank = { .name = "intel-hda",
                                          .size = COMMON_SIZE,
                                          .registers = common_registers };
static const RegisterBank stream_bank = { .name = "intel-hda.streams",
                                          .size = STREAMS_SIZE,
                                          .registers = intel_hda_stream_registers };

/* What a reset by GCTL leaves is what woke the controller. */
static void reset_registers(IntelHda *hda)
{
    uint16_t wake_enable = hda->wake_enable, status_change = hda->status_change;

    register_bank_reset(&hda->pci.device, &common_bank);
    hda->wake_enable = wake_enable;
    hda->status_change = status_change;
    hda->responses = 0;
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        intel_hda_stream_reset(hda, i);
    }
}

/* "ID.0" for a user's id, else "hda.N". */
static void add_link(IntelHda *hda)
{
    Device *device = &hda->pci.device;
    bool named = device->from_user && device->anonymous < 0;
    g_autofree char *name = named ? g_strdup_printf("%s.0", device->id) : g_strdup("hda.0");

    for (unsigned n = 1; !named && bus_find(device->machine, name); n++) {
        g_free(name);
        name = g_strdup_printf("hda.%u", n);
    }
    hda_bus_init(&hda->link, device, name);
}

static bool realize(Device *device, uint16_t model, uint8_t revision, GError **error)
{
    IntelHda *hda = intel_hda(device);

    pci_set_identity(&hda->pci, 0x8086, model, CLASS_HDA, revision);
    pci_set_interrupt_pin(&hda->pci, 1);
    hda->pci.config[CONFIG_HDCTL] = 1;
    if (hda->msi != ON_OFF_AUTO_OFF) {
        pci_add_msi(&hda->pci);
    }
    register_bank_init(device, &hda->common_region, &common_bank);
    register_bank_init(device, &hda->stream_region, &stream_bank);
    memory_region_init_container(&hda->region, device->machine, "intel-hda", MEMORY_SIZE);
    memory_region_add(&hda->region, 0, &hda->common_region, 0);
    memory_region_add(&hda->region, COMMON_SIZE, &hda->stream_region, 0);
    memory_region_init_alias(&hda->alias, device->machine, "intel-hda.alias", &hda->region, 0,
                             COMMON_SIZE + STREAMS_SIZE);
    memory_region_add(&hda->region, ALIAS_OFFSET, &hda->alias, 0);
    pci_add_bar(&hda->pci, 0, PCI_BAR_MEMORY32, false, &hda->region);
    add_link(hda);
    hda->link.stream_runs = intel_hda_stream_runs;
    hda->link.stream_move = intel_hda_stream_move;
    hda->link.stream_until_event = intel_hda_stream_until_event;
    hda->link.stream_unseen = intel_hda_stream_unseen;
    return true;
}

static void intel_hda_unrealize(Device *device)
{
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        intel_hda(device)->streams[i].control = 0; /* codecs that go later find nothing that runs */
    }
}

static void intel_hda_reset(Device *device)
{
    IntelHda *hda = intel_hda(device);

    hda->wake_enable = hda->status_change = 0;
    reset_registers(hda);
    intel_hda_update_irq(hda);
    pci_reset(&hda->pci);
}

static bool intel_hda_state_check(Device *device, GError **error)
{
    const IntelHda *hda = intel_hda(device);

    return (hda->corb_write < RING_ENTRIES && hda->rirb_write < RING_ENTRIES) ||
           error_fail(error, KASO_ERROR_INVALID, "command ring beyond its end");
}

static void intel_hda_state_loaded(Device *device)
{
    IntelHda *hda = intel_hda(device);

    pci_state_loaded(&hda->pci);
    pci_set_irq(&hda->pci, hda->interrupted && !pci_msi_enabled(&hda->pci));
    for (unsigned i = 0; i < HDA_STREAMS; i++) {
        intel_hda_stream_notify(hda, i);
    }
}

static const Property intel_hda_properties[] = {
    { "debug", PROPERTY_U32, offsetof(IntelHda, debug), "accepted; -trace shows the registers" },
    { "msi", PROPERTY_ON_OFF_AUTO, offsetof(IntelHda, msi), "interrupts by messages", "auto" },
    { "old_msi_addr", PROPERTY_BOOL, offsetof(IntelHda, old_msi_address), "accepted; has no effect",
      "off" },
    { 0 },
};

static const Property intel_hda_bus_properties[] = { PCI_PROPERTIES(IntelHda, pci), { 0 } };

static const StateField intel_hda_state[] = {
    PCI_STATE(IntelHda, pci),           STATE(IntelHda, control),
    STATE(IntelHda, interrupt_control), STATE(IntelHda, wake_enable),
    STATE(IntelHda, status_change),     STATE(IntelHda, corb_low),
    STATE(IntelHda, corb_high),         STATE(IntelHda, rirb_low),
    STATE(IntelHda, rirb_high),         STATE(IntelHda, position_low),
    STATE(IntelHda, position_high),     STATE(IntelHda, corb_write),
    STATE(IntelHda, corb_read),         STATE(IntelHda, rirb_write),
    STATE(IntelHda, response_count),    STATE(IntelHda, responses),
    STATE(IntelHda, corb_control),      STATE(IntelHda, corb_status),
    STATE(IntelHda, rirb_control),      STATE(IntelHda, rirb_status),
    STATE(IntelHda, immediate_command), STATE(IntelHda, immediate_response),
    STATE(IntelHda, immediate_status),  STATE_STRUCTS(IntelHda, streams, intel_hda_stream_state),
    STATE(IntelHda, interrupted),       { 0 },
};

#define HDA_TYPE(symbol, name_, summary_, realize_)                                                \
    static const DeviceType symbol = {                                                             \
        .name = name_,                                                                             \
        .summary = summary_,                                                                       \
        .bus = "pci",                                                                              \
        .category = "sound",                                                                       \
        .instance_size = sizeof(IntelHda),                                                         \
        .properties = intel_hda_properties,                                                        \
        .bus_properties = intel_hda_bus_properties,                                                \
        .state = intel_hda_state,                                                                  \
        .realize = realize_,                                                                       \
        .unrealize = intel_hda_unrealize,                                                          \
        .reset = intel_hda_reset,                                                                  \
        .state_check = intel_hda_state_check,                                                      \
        .state_loaded = intel_hda_state_loaded,                                                    \
    };                                                                                             \
    DEVICE_TYPE(symbol)

static bool realize_ich6(Device *device, GError **error)
{
    return realize(device, 0x2668, 1, error);
}

static bool realize_ich9(Device *device, GError **error)
{
    return realize(device, 0x293e, 3, error);
}

HDA_TYPE(intel_hda_type, "intel-hda", "Intel HD Audio Controller (ich6)", realize_ich6);
HDA_TYPE(ich9_intel_hda_type, "ich9-intel-hda", "Intel HD Audio Controller (ich9)", realize_ich9);
