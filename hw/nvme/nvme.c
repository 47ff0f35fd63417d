/* SPDX-License-Identifier: MIT */
/*
 * NVM Express controller on PCI (NVM Express 1.4): registers (3.1) and life. Reads and writes with PRPs and SGLs, flush, write
 * zeroes, deallocation, compare; MSI-X and the pin.
 *
 * A reset from the driver waits for nothing: the controller stays ready until what is in the block layer has ended.
 *
 * Not modelled: a controller memory buffer, firmware updates, formatting, metadata, zones, reservations, several controllers
 * of one subsystem.
 */
#include <string.h>

#include "base/error.h"
#include "hw/nvme/nvme.h"
#include "machine/machine.h"

enum {
    CLASS_NVME = 0x010802,
    VENDOR_REDHAT = 0x1b36,
    DEVICE_NVME = 0x0010,
    VENDOR_INTEL = 0x8086,
    DEVICE_NVME_INTEL = 0x5845,

    REGISTERS_SIZE = 0x2000,
    DOORBELLS = 0x1000,
    MSIX_OFFSET = 0x2000,
    BAR_SIZE = 0x4000,
    VERSION_1_4 = 0x10400,
    EVENT_REQUESTS_MOST = 15, /* less one: they take a part of what admin commands have */
    MDTS_MOST = 10,

    CC_SET_SHIFT = 4,
    CC_PAGE_SHIFT = 7,
    CC_ARBITRATION_SHIFT = 11,
    CC_SHUTDOWN_SHIFT = 14,
    PAGE_SHIFT_MOST = 4, /* 64 KiB */
    SHUTTING_DOWN = 1 << 2,
};
/* Entries of a queue, contiguous queues, 7.5 s to become ready, the NVM command set, pages up to 64 KiB. */
#define CAPABILITIES                                                                               \
    ((uint64_t)(NVME_QUEUE_ENTRIES - 1) | UINT64_C(1) << 16 | UINT64_C(15) << 24 |                 \
     UINT64_C(1) << 37 | (uint64_t)PAGE_SHIFT_MOST << 52)

/* --- enabling --- */

static void become_idle(Nvme *n)
{
    if (!n->orphans && !(n->cc & NVME_CC_ENABLE)) {
        n->csts = 0;
    }
}

static void disable(Nvme *n)
{
    nvme_forget(n);
    nvme_self_test_reset(n);
    nvme_reset_features(n);
    nvme_apply_write_cache(n);
    n->csts &= NVME_CSTS_READY;
    n->mask = 0;
    become_idle(n);
    nvme_update_irq(n);
}

void nvme_orphan_ended(Nvme *n)
{
    n->orphans--;
    become_idle(n);
}

static void enable(Nvme *n)
{
    unsigned page = n->cc >> CC_PAGE_SHIFT & 15;
    uint64_t within = (UINT64_C(1) << (NVME_PAGE_BITS + page)) - 1;
    uint32_t sq = (n->aqa & 0xfff) + 1, cq = (n->aqa >> 16 & 0xfff) + 1;

    if (page > PAGE_SHIFT_MOST || n->cc >> CC_SET_SHIFT & 7 || n->cc >> CC_ARBITRATION_SHIFT & 7 ||
        n->asq & within || n->acq & within || sq < 2 || cq < 2 || sq > NVME_QUEUE_ENTRIES ||
        cq > NVME_QUEUE_ENTRIES) {
        nvme_fail(n,
                  "it is enabled with page size, command set or admin queues that it cannot have");
        return;
    }
    n->page_bits = NVME_PAGE_BITS + page;
    n->sqs[0] = (NvmeSq){ .base = n->asq, .size = sq };
    n->cqs[0] = (NvmeCq){ .base = n->acq, .size = cq, .interrupts = true, .phase = 1 };
    n->csts = NVME_CSTS_READY;
}

/* --- shutdown (7.6.2) --- */

static void flushed(void *opaque, int result)
{
    Nvme *n = opaque;
    Machine *machine = n->pci.device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    if (!--n->flushing && (n->csts & NVME_CSTS_SHUTDOWN) == SHUTTING_DOWN) {
        n->csts = (n->csts & ~(uint32_t)NVME_CSTS_SHUTDOWN) | NVME_CSTS_SHUT;
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

static void shut_down(Nvme *n)
{
    n->csts = (n->csts & ~(uint32_t)NVME_CSTS_SHUTDOWN) | SHUTTING_DOWN;
    n->flushing++;
    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (n->namespaces[i]) {
            n->flushing++;
            block_flush(n->namespaces[i]->disk.drive, flushed, n);
        }
    }
    flushed(n, 0);
}

/* --- registers --- */

static void write_cc(Device *device, unsigned index, uint64_t value)
{
    Nvme *n = nvme_of(device);
    uint32_t before = n->cc;

    n->cc = (uint32_t)value;
    if (before & NVME_CC_ENABLE && !(n->cc & NVME_CC_ENABLE)) {
        disable(n);
    } else if (!(before & NVME_CC_ENABLE) && n->cc & NVME_CC_ENABLE) {
        enable(n);
    }
    if (n->cc >> CC_SHUTDOWN_SHIFT & 3 && !(n->csts & NVME_CSTS_SHUTDOWN)) {
        shut_down(n);
    }
}

static void write_mask_set(Device *device, unsigned index, uint64_t value)
{
    nvme_of(device)->mask |= (uint32_t)value;
    nvme_update_irq(nvme_of(device));
}

static void write_mask_clear(Device *device, unsigned index, uint64_t value)
{
    nvme_of(device)->mask &= ~(uint32_t)value;
    nvme_update_irq(nvme_of(device));
}

static uint64_t read_capabilities(Device *device, unsigned index)
{
    return CAPABILITIES;
}

static uint64_t read_version(Device *device, unsigned index)
{
    return VERSION_1_4;
}

static uint64_t read_mask(Device *device, unsigned index)
{
    return nvme_of(device)->mask;
}

static uint64_t read_zero(Device *device, unsigned index)
{
    return 0;
}

static void write_doorbell(Device *device, unsigned index, uint64_t value)
{
    nvme_doorbell(nvme_of(device), index, (uint32_t)value & 0xffff);
}

/* clang-format off */
static const Register registers[] = {
    { "CAP", 0x00, 8, REGISTER_R | REGISTER_PEEK, .field = REGISTER_NO_FIELD, .read = read_capabilities,
      .summary = "what the controller can" },
    { "VS", 0x08, 4, REGISTER_R | REGISTER_PEEK, .field = REGISTER_NO_FIELD, .read = read_version,
      .summary = "version" },
    { "INTMS", 0x0c, 4, REGISTER_RW | REGISTER_PEEK, .field = REGISTER_NO_FIELD, .read = read_mask,
      .write = write_mask_set, .summary = "interrupts that are masked; write 1 to mask" },
    { "INTMC", 0x10, 4, REGISTER_RW | REGISTER_PEEK, .field = REGISTER_NO_FIELD, .read = read_mask,
      .write = write_mask_clear, .summary = "the same; write 1 to unmask" },
    { "CC", 0x14, 4, REGISTER_RW, .field = offsetof(Nvme, cc), .write = write_cc,
      .summary = "configuration: enable, pages, shutdown" },
    { "CSTS", 0x1c, 4, REGISTER_R, .field = offsetof(Nvme, csts), .summary = "ready, fatal, shut down" },
    { "AQA", 0x24, 4, REGISTER_RW, .field = offsetof(Nvme, aqa), .writable = 0x0fff0fff,
      .summary = "entries of the admin queues, less one" },
    { "ASQ", 0x28, 8, REGISTER_RW, .field = offsetof(Nvme, asq), .writable = ~UINT64_C(0xfff),
      .summary = "where the admin submission queue is" },
    { "ACQ", 0x30, 8, REGISTER_RW, .field = offsetof(Nvme, acq), .writable = ~UINT64_C(0xfff),
      .summary = "where the admin completion queue is" },
    { "RESERVED", 0x38, 4, REGISTER_R | REGISTER_PEEK, .count = 18, .field = REGISTER_NO_FIELD, .read = read_zero,
      .summary = "memory buffer, boot partition: there are none" },
    { "DOORBELL", DOORBELLS, 4, REGISTER_RW, .count = 2 * NVME_QUEUES, .field = REGISTER_NO_FIELD,
      .read = read_zero, .write = write_doorbell,
      .summary = "of queue pair n: tail of submissions (2n), head of completions (2n + 1)" },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = { .name = "nvme", .size = REGISTERS_SIZE, .registers = registers };

/* --- life --- */

static void on_event(void *opaque, const char *event, const char *json_data)
{
    Nvme *n = opaque;
    Machine *machine = n->pci.device.machine;
    bool locked = machine_lock_held(machine);

    if (strcmp(event, "RESUME") != 0) {
        return;
    }
    if (!locked) {
        machine_lock(machine);
    }
    nvme_resume(n);
    if ((n->csts & NVME_CSTS_SHUTDOWN) == SHUTTING_DOWN && !n->flushing) {
        shut_down(n);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

static bool check_properties(Nvme *n, GError **error)
{
    uint32_t pairs = n->num_queues ? n->num_queues - 1 : n->max_ioqpairs;

    if (!n->serial || !*n->serial || strlen(n->serial) > 20) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'nvme' needs serial=TEXT, of 1 to 20 characters");
    }
    if (!pairs || pairs >= NVME_QUEUES) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'nvme': max_ioqpairs=%u is not 1 to %u", pairs, NVME_QUEUES - 1);
    }
    if (!n->msix_qsize || n->msix_qsize > PCI_MSIX_MAX_VECTORS) {
        return error_fail(error, KASO_ERROR_INVALID, "device 'nvme': msix_qsize=%u is not 1 to %u",
                          n->msix_qsize, PCI_MSIX_MAX_VECTORS);
    }
    if (n->aerl >= EVENT_REQUESTS_MOST) {
        return error_fail(error, KASO_ERROR_INVALID, "device 'nvme': aerl=%u is not 0 to %u",
                          n->aerl, EVENT_REQUESTS_MOST - 1);
    }
    if (!n->mdts || n->mdts > MDTS_MOST) {
        return error_fail(error, KASO_ERROR_INVALID, "device 'nvme': mdts=%u is not 1 to %u",
                          n->mdts, MDTS_MOST);
    }
    n->queue_count = pairs + 1;
    return true;
}

static void set_identity(Nvme *n)
{
    if (n->intel_id) {
        pci_set_identity(&n->pci, VENDOR_INTEL, DEVICE_NVME_INTEL, CLASS_NVME, 2);
    } else {
        pci_set_identity(&n->pci, VENDOR_REDHAT, DEVICE_NVME, CLASS_NVME, 2);
    }
}

static bool nvme_realize(Device *device, GError **error)
{
    Nvme *n = nvme_of(device);

    if (!check_properties(n, error)) {
        return false;
    }
    bus_init(&n->bus, &nvme_bus_type, device, device->id);
    nvme_self_test_realize(n);
    n->sqs = g_new0(NvmeSq, n->queue_count);
    n->cqs = g_new0(NvmeCq, n->queue_count);
    set_identity(n);
    pci_set_interrupt_pin(&n->pci, 1);
    memory_region_init_container(&n->bar, device->machine, "nvme-bar", BAR_SIZE);
    register_bank_init(device, &n->registers, &bank);
    memory_region_add(&n->bar, 0, &n->registers, 0);
    pci_add_bar(&n->pci, 0, PCI_BAR_MEMORY64, false, &n->bar);
    if (pci_bus_is_slot(n->pci.bus)) {
        pci_add_express_capability(&n->pci, PCIE_TYPE_ENDPOINT);
    }
    if (!pci_add_msix_within(&n->pci, 0, n->msix_qsize, &n->bar, MSIX_OFFSET, error) ||
        (n->own.disk.drive && !nvme_namespace_add(n, &n->own, device, error))) {
        return false;
    }
    n->listening = true;
    machine_add_event_listener(device->machine, on_event, n);
    return true;
}

static void nvme_unrealize(Device *device)
{
    Nvme *n = nvme_of(device);

    if (n->listening) {
        machine_remove_event_listener(device->machine, on_event, n);
        n->listening = false;
    }
    if (n->sqs) {
        nvme_forget(n);
        nvme_self_test_unrealize(n);
    }
    nvme_namespace_remove(&n->own);
    g_clear_pointer(&n->sqs, g_free);
    g_clear_pointer(&n->cqs, g_free);
}

static void drain(Nvme *n)
{
    for (unsigned i = 0; i < n->namespace_end && (n->in_flight || n->flushing); i++) {
        if (n->namespaces[i]) {
            block_drain(n->namespaces[i]->disk.drive);
        }
    }
}

static void nvme_reset(Device *device)
{
    Nvme *n = nvme_of(device);

    nvme_forget(n);
    drain(n);
    register_bank_reset(device, &bank);
    n->page_bits = NVME_PAGE_BITS;
    n->mask = 0;
    memset(n->events, 0, sizeof n->events);
    disable(n);
    n->csts = 0;
    pci_reset(&n->pci);
}

static bool nvme_state_check(Device *device, GError **error)
{
    const Nvme *n = nvme_of(device);
    bool good = true;

    for (unsigned i = 0; i < n->queue_count; i++) {
        const NvmeSq *sq = &n->sqs[i];
        const NvmeCq *cq = &n->cqs[i];

        good &=
            sq->cq < n->queue_count && (!sq->size || (sq->head < sq->size && sq->tail < sq->size));
        good &= !sq->size || n->cqs[sq->cq].size;
        good &= !cq->size || (cq->head < cq->size && cq->tail < cq->size);
    }
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        good &= n->commands[i].sq < n->queue_count;
    }
    good &= n->own.format < NVME_FORMATS && nvme_self_test_check(n);
    return good ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the state of device 'nvme' has queues, a format or a test that cannot be");
}

static void nvme_state_loaded(Device *device)
{
    Nvme *n = nvme_of(device);

    pci_state_loaded(&n->pci);
    for (unsigned i = 0; i < NVME_COMMANDS; i++) {
        n->orphans += n->commands[i].request != NULL;
        n->commands[i].request = NULL;
    }
    nvme_apply_write_cache(n);
    nvme_self_test_loaded(n);
    nvme_update_irq(n);
}

static const StateField sq_state[] = {
    STATE(NvmeSq, base),
    STATE_MOST(NvmeSq, size, NVME_QUEUE_ENTRIES),
    STATE(NvmeSq, head),
    STATE(NvmeSq, tail),
    STATE(NvmeSq, cq),
    STATE(NvmeSq, deleting),
    { 0 },
};

static const StateField cq_state[] = {
    STATE(NvmeCq, base),          STATE_MOST(NvmeCq, size, NVME_QUEUE_ENTRIES),
    STATE(NvmeCq, head),          STATE(NvmeCq, tail),
    STATE(NvmeCq, vector),        STATE(NvmeCq, interrupts),
    STATE_MOST(NvmeCq, phase, 1), { 0 },
};

static const StateField command_state[] = {
    STATE_MOST(NvmeCommand, state, NVME_ENDED),
    STATE(NvmeCommand, sq),
    STATE(NvmeCommand, status),
    STATE(NvmeCommand, result),
    STATE(NvmeCommand, entry),
    STATE_DERIVED(NvmeCommand, request),
    { 0 },
};

static const StateField event_state[] = {
    STATE_MOST(NvmeEvent, type, 7),
    STATE(NvmeEvent, info),
    STATE(NvmeEvent, page),
    { 0 },
};

static const StateField nvme_state[] = {
    PCI_STATE(Nvme, pci),
    STATE(Nvme, mask),
    STATE(Nvme, cc),
    STATE(Nvme, csts),
    STATE(Nvme, aqa),
    STATE(Nvme, asq),
    STATE(Nvme, acq),
    STATE_MOST(Nvme, page_bits, NVME_PAGE_BITS + PAGE_SHIFT_MOST),
    STATE_STRUCTS_ALLOCATED(Nvme, sqs, queue_count, sq_state),
    STATE_STRUCTS_ALLOCATED(Nvme, cqs, queue_count, cq_state),
    STATE_STRUCTS(Nvme, commands, command_state),
    STATE(Nvme, features.arbitration),
    STATE(Nvme, features.error_recovery),
    STATE(Nvme, features.coalescing),
    STATE(Nvme, features.write_atomicity),
    STATE(Nvme, features.event_config),
    STATE(Nvme, features.over_temperature),
    STATE(Nvme, features.under_temperature),
    STATE(Nvme, features.write_cache),
    STATE(Nvme, features.uncoalesced),
    STATE(Nvme, features.timestamp_ms),
    STATE_KEPT(Nvme, features.timestamp_set_ns),
    STATE(Nvme, features.timestamp_by_host),
    STATE_STRUCTS(Nvme, events, event_state),
    STATE_MOST(Nvme, event_count, NVME_EVENTS),
    STATE(Nvme, events_masked),
    STATE(Nvme, warned_temperature),
    STATE_DERIVED(Nvme, in_flight),
    STATE_DERIVED(Nvme, orphans),
    STATE_DERIVED(Nvme, flushing),
    STATE_DERIVED(Nvme, self_test.generation),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, own.format),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, self_test.code),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, self_test.nsid),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, self_test.at),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, self_test.offset),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, self_test.fine_end),
    STATE_KEPT_SINCE(NVME_VERSION, Nvme, self_test.results),
    { 0 },
};

static const Property nvme_properties[] = {
    DISK_MEDIUM_PROPERTIES(Nvme, own.disk),
    DISK_ERROR_PROPERTIES(Nvme, own.disk),
    { "bootindex", PROPERTY_I32, offsetof(Nvme, own.disk.bootindex),
      "place in the firmware's boot order", "-1" },
    { "serial", PROPERTY_STRING, offsetof(Nvme, serial), "serial number, 1 to 20 characters" },
    { "max_ioqpairs", PROPERTY_U32, offsetof(Nvme, max_ioqpairs), "pairs of I/O queues, up to 127",
      "64" },
    { "num_queues", PROPERTY_U32, offsetof(Nvme, num_queues),
      "older form: one more than max_ioqpairs; 0: unset", "0", NULL, true },
    { "msix_qsize", PROPERTY_U16, offsetof(Nvme, msix_qsize), "MSI-X vectors, up to 128", "65" },
    { "aerl", PROPERTY_U8, offsetof(Nvme, aerl), "requests for events at a time, less one", "3" },
    { "mdts", PROPERTY_U8, offsetof(Nvme, mdts), "largest transfer, 4 KiB times 2 to its power",
      "7" },
    { "use-intel-id", PROPERTY_BOOL, offsetof(Nvme, intel_id), "be 8086:5845, not 1b36:0010",
      "off" },
    { 0 },
};

static const DeviceType nvme_type = {
    .name = "nvme",
    .summary = "NVM Express controller",
    .bus = "pci",
    .category = "storage",
    .instance_size = sizeof(Nvme),
    .properties = nvme_properties,
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Nvme, pci), { 0 } },
    .state = nvme_state,
    .state_version = NVME_VERSION,
    .realize = nvme_realize,
    .unrealize = nvme_unrealize,
    .reset = nvme_reset,
    .state_check = nvme_state_check,
    .state_loaded = nvme_state_loaded,
};
DEVICE_TYPE(nvme_type);
