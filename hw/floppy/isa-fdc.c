/* SPDX-License-Identifier: MIT */
/*
 * Intel 82078 floppy controller (290474) in PC/AT mode: registers and the phases of commands; fdc-commands.c has what they do.
 *
 * Not modelled: time (heads, motors and bits are where they should be at once), tape, power management's effect.
 */
#include "hw/floppy/isa-fdc.h"

#include <string.h>

#include "base/error.h"
#include "machine/isa-dma.h"
#include "machine/machine.h"

enum {
    SRB = 1, /* the one below it, SRA, is there in PS/2 mode only */
    DOR = 2,
    TDR = 3,
    MSR = 4,
    FIFO = 5,
    DIRECTION = 7,
    LOW_PORTS = 5, /* from SRB on; what follows the FIFO is the IDE channel's */

    DOR_SELECT = 3,
    DOR_NOT_RESET = 1 << 2,
    DOR_DMA_GATE = 1 << 3,
    DSR_RESET = 1 << 7,
    DSR_RATE = 3,
    DIR_CHANGED = 1 << 7,

    DRIVE_SPECIFICATION = 0x8e,
    SPECIFICATION_DONE = 1 << 7,

    MSR_BUSY = 1 << 4,
    MSR_NON_DMA = 1 << 5,
    MSR_TO_HOST = 1 << 6,
    MSR_READY = 1 << 7,
};

Floppy *fdc_drive(const Fdc *f, unsigned unit)
{
    return unit < FLOPPY_DRIVES ? f->floppies.drives[unit] : NULL;
}

void fdc_set_irq(Fdc *f, bool level)
{
    f->interrupt = level;
    irq_set(&f->irq, level && (f->dor & DOR_DMA_GATE));
}

/* Phases */

void fdc_begin_result(Fdc *f, unsigned bytes, bool interrupt)
{
    f->phase = bytes ? FDC_RESULT : FDC_IDLE;
    f->position = 0;
    f->length = bytes;
    if (interrupt) {
        fdc_set_irq(f, true);
    }
}

void fdc_begin_data(Fdc *f, bool to_host, uint32_t position, uint32_t bytes)
{
    f->phase = FDC_DATA;
    f->to_host = to_host;
    f->data_position = position;
    f->data_end = bytes;
    if (f->non_dma) {
        fdc_set_irq(f, true);
    } else {
        isa_dma_request(f->device.machine, f->dma, true);
    }
}

static void data_done(Fdc *f, bool end)
{
    if (!f->non_dma) {
        isa_dma_request(f->device.machine, f->dma, false);
    }
    fdc_data_done(f, end);
}

/* The DMA channel can move data. */
static void dma_ready(void *opaque)
{
    Fdc *f = opaque;
    bool end = false;
    size_t moved;

    if (f->phase != FDC_DATA || f->non_dma || !(f->dor & DOR_DMA_GATE)) {
        return;
    }
    moved = isa_dma_transfer(f->device.machine, f->dma,
                             f->to_host ? ISA_DMA_TO_MEMORY : ISA_DMA_FROM_MEMORY,
                             f->buffer + f->data_position, f->data_end - f->data_position, &end);
    f->data_position += MIN(moved, f->data_end - f->data_position);
    if (end || f->data_position == f->data_end) {
        data_done(f, end);
    }
}

/* Resets: by DOR until it is released, by DSR at once. */

static void enter_reset(Fdc *f)
{
    if (f->phase == FDC_DATA && !f->non_dma) {
        isa_dma_request(f->device.machine, f->dma, false);
    }
    f->request->dropped = f->request->in_flight;
    f->phase = FDC_IDLE;
    f->position = f->length = 0;
    f->sense_pending = 0;
    if (f->locked) {
        f->configure &= FDC_CONFIGURE_LOCKED;
    } else {
        f->configure = FDC_CONFIGURE_RESET;
        f->precompensation = 0;
    }
    f->perpendicular &= 0x3c; /* the drives' bits stay */
    fdc_set_irq(f, false);
}

/* Polling, which every reset turns on, tells that each of four drives became ready. */
static void leave_reset(Fdc *f)
{
    f->sense_pending = 4;
    f->sense_reset = true;
    fdc_set_irq(f, true);
}

static void write_dor(Fdc *f, uint8_t value)
{
    uint8_t old = f->dor;

    f->dor = value;
    if (old & DOR_NOT_RESET && !(value & DOR_NOT_RESET)) {
        enter_reset(f);
    } else if (!(old & DOR_NOT_RESET) && value & DOR_NOT_RESET) {
        leave_reset(f);
    }
    irq_set(&f->irq, f->interrupt && value & DOR_DMA_GATE);
}

static void write_dsr(Fdc *f, uint8_t value)
{
    f->rate = value & DSR_RATE;
    if (value & DSR_RESET && f->dor & DOR_NOT_RESET) {
        enter_reset(f);
        leave_reset(f);
    }
}

/* The data register */

static uint8_t read_status(const Fdc *f)
{
    if (!(f->dor & DOR_NOT_RESET)) {
        return 0;
    }
    switch ((FdcPhase)f->phase) {
    case FDC_COMMAND:
        return MSR_READY | MSR_BUSY;
    case FDC_DATA:
        return MSR_BUSY |
               (f->non_dma ? MSR_NON_DMA | MSR_READY | (f->to_host ? MSR_TO_HOST : 0) : 0);
    case FDC_REQUEST:
        return MSR_BUSY | (f->non_dma ? MSR_NON_DMA : 0);
    case FDC_RESULT:
        return MSR_READY | MSR_TO_HOST | MSR_BUSY;
    default:
        return MSR_READY;
    }
}

static uint8_t read_data(Fdc *f)
{
    uint8_t value = 0;

    if (f->phase == FDC_DATA && f->non_dma && f->to_host) {
        value = f->buffer[f->data_position++];
        if (f->data_position == f->data_end) {
            fdc_set_irq(f, false);
            data_done(f, false);
        }
    } else if (f->phase == FDC_RESULT) {
        if (f->position == 0) {
            fdc_set_irq(f, false);
        }
        value = f->fifo[f->position++];
        if (f->position == f->length) {
            f->phase = FDC_IDLE;
            f->position = f->length = 0;
        }
    }
    return value;
}

static void write_data(Fdc *f, uint8_t value)
{
    if (!(f->dor & DOR_NOT_RESET)) {
        return;
    }
    if (f->phase == FDC_DATA && f->non_dma && !f->to_host) {
        f->buffer[f->data_position++] = value;
        if (f->data_position == f->data_end) {
            fdc_set_irq(f, false);
            data_done(f, false);
        }
        return;
    }
    if (f->phase == FDC_IDLE) {
        f->phase = FDC_COMMAND;
        f->position = 0;
        f->length = fdc_command_length(value);
    }
    if (f->phase == FDC_COMMAND) {
        if (f->position < FDC_FIFO) { /* the last byte of RESTORE is reserved */
            f->fifo[f->position] = value;
        }
        f->position++;
        /* DRIVE SPECIFICATION ends where its bytes say so. */
        if (f->position == f->length ||
            (f->fifo[0] == DRIVE_SPECIFICATION && f->position > 1 && value & SPECIFICATION_DONE)) {
            fdc_run_command(f);
        }
    }
}

/* Ports */

/* Without a drive, nothing says that a disk is still the same one. */
static uint8_t read_direction(const Fdc *f)
{
    unsigned unit = f->dor & DOR_SELECT;
    const Floppy *drive = fdc_drive(f, unit);
    bool motor = f->dor >> (4 + unit) & 1;

    return !drive || (motor && (drive->changed || !floppy_present(drive))) ? DIR_CHANGED : 0;
}

static MemoryResult read_port(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    Fdc *f = opaque;

    switch (offset + SRB) {
    case SRB:
        *value = 0xc0 | (f->dor >> 4 & 3) | (f->dor & 1) << 5;
        break;
    case DOR:
        *value = f->dor;
        break;
    case TDR:
        *value = f->tdr;
        break;
    case MSR:
        *value = read_status(f);
        break;
    default:
        *value = read_data(f);
        break;
    }
    return MEMORY_OK;
}

static MemoryResult write_port(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    Fdc *f = opaque;

    switch (offset + SRB) {
    case DOR:
        write_dor(f, value);
        break;
    case TDR:
        f->tdr = value & 3;
        break;
    case MSR:
        write_dsr(f, value);
        break;
    case FIFO:
        write_data(f, value);
        fdc_deliver(f);
        break;
    default:
        break;
    }
    return MEMORY_OK;
}

static MemoryResult read_dir(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                             MemoryAttributes attributes)
{
    *value = read_direction(opaque);
    return MEMORY_OK;
}

static MemoryResult write_ccr(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                              MemoryAttributes attributes)
{
    ((Fdc *)opaque)->rate = value & DSR_RATE;
    return MEMORY_OK;
}

static const MemoryOps low_ops = { .read = read_port, .write = write_port, .size_max = 1 };
static const MemoryOps high_ops = { .read = read_dir, .write = write_ccr, .size_max = 1 };

/* Life */

static Fdc *fdc(Device *device)
{
    return container_of(device, Fdc, device);
}

static void on_event(void *opaque, const char *event, const char *json_data)
{
    Fdc *f = opaque;
    bool locked = machine_lock_held(f->device.machine);

    if (strcmp(event, "RESUME") != 0) {
        return;
    }
    if (!locked) {
        machine_lock(f->device.machine);
    }
    if (f->phase == FDC_REQUEST && !f->request->in_flight) {
        fdc_submit(f);
    }
    if (!locked) {
        machine_unlock(f->device.machine);
    }
}

static bool isa_fdc_realize(Device *device, GError **error)
{
    Fdc *f = fdc(device);

    if (f->iobase + DIRECTION > 0xffff) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "device 'isa-fdc': iobase %#x is beyond the last port, 0xffff",
                          f->iobase);
    }
    device_add_irq(device, &f->irq);
    if (!isa_connect_irq(device, 0, f->irq_number, error) ||
        !isa_dma_claim(device->machine, f->dma, dma_ready, f, error)) {
        return false;
    }
    f->request = g_new0(FdcRequest, 1);
    memory_region_init_io(&f->low, device->machine, "fdc", LOW_PORTS, &low_ops, f);
    memory_region_init_io(&f->high, device->machine, "fdc-dir", 1, &high_ops, f);
    device_add_io(device, &f->low);
    device_add_io(device, &f->high);
    isa_map_io(device, 0, f->iobase + SRB);
    isa_map_io(device, 1, f->iobase + DIRECTION);
    bus_init(&f->floppies.bus, &floppy_bus_type, device, "floppy-bus.0");
    f->floppies.bus.max_devices = FLOPPY_DRIVES;
    machine_add_event_listener(device->machine, on_event, f);
    return true;
}

static void isa_fdc_unrealize(Device *device)
{
    Fdc *f = fdc(device);

    if (f->request) {
        isa_dma_release(device->machine, f->dma);
        machine_remove_event_listener(device->machine, on_event, f);
        g_free(f->request);
        f->request = NULL;
    }
}

static void isa_fdc_reset(Device *device)
{
    Fdc *f = fdc(device);

    f->phase = FDC_IDLE;
    f->request->dropped = f->request->in_flight;
    if (f->request->in_flight) {
        block_drain(f->request->drive);
    }
    isa_dma_request(device->machine, f->dma, false);
    f->dor = DOR_DMA_GATE | DOR_NOT_RESET;
    f->tdr = 0;
    f->rate = 2;
    f->configure = FDC_CONFIGURE_RESET;
    f->precompensation = f->perpendicular = 0;
    f->locked = f->non_dma = f->to_host = f->sense_reset = f->ended = false;
    f->specify[0] = f->specify[1] = f->power = 0;
    memset(f->drive_types, 0, sizeof f->drive_types);
    f->sense_pending = f->sense_status = 0;
    f->position = f->length = 0;
    f->data_position = f->data_end = 0;
    f->command = f->unit = f->cylinder = f->head = f->sector = f->last = f->formatted = 0;
    memset(f->fifo, 0, sizeof f->fifo);
    memset(f->buffer, 0, sizeof f->buffer);
    fdc_set_irq(f, false);
}

static bool isa_fdc_state_check(Device *device, GError **error)
{
    const Fdc *f = fdc(device);

    if (f->position > f->length || f->data_position > f->data_end ||
        (f->phase == FDC_DATA && f->data_position == f->data_end) ||
        (f->phase == FDC_RESULT && f->length > FDC_FIFO) ||
        ((f->phase == FDC_RESULT || f->phase == FDC_COMMAND) && f->position == f->length) ||
        ((f->phase == FDC_DATA || f->phase == FDC_REQUEST) &&
         !floppy_present(fdc_drive(f, f->unit)))) {
        return error_fail(error, KASO_ERROR_INVALID, "no command can be at this place");
    }
    return true;
}

static void isa_fdc_state_loaded(Device *device)
{
    Fdc *f = fdc(device);

    f->request->dropped = f->request->in_flight;
    irq_set(&f->irq, f->interrupt && f->dor & DOR_DMA_GATE);
    isa_dma_request(device->machine, f->dma, f->phase == FDC_DATA && !f->non_dma);
}

static const Property isa_fdc_properties[] = {
    { "iobase", PROPERTY_U32, offsetof(Fdc, iobase), "first port", "1008" },
    { "irq", PROPERTY_U32, offsetof(Fdc, irq_number), "interrupt line", "6" },
    { "dma", PROPERTY_U32, offsetof(Fdc, dma), "DMA channel", "2" },
    { "fdtypeA", PROPERTY_ENUM, offsetof(Fdc, floppies.type[0]), "what drive A is built for",
      "auto", floppy_type_names },
    { "fdtypeB", PROPERTY_ENUM, offsetof(Fdc, floppies.type[1]), "what drive B is built for",
      "auto", floppy_type_names },
    { "fallback", PROPERTY_ENUM, offsetof(Fdc, floppies.fallback),
      "what a drive without an image is built for", "288", floppy_type_names },
    { "bootindexA", PROPERTY_I32, offsetof(Fdc, floppies.bootindex[0]),
      "place of drive A in the firmware's boot order", "-1" },
    { "bootindexB", PROPERTY_I32, offsetof(Fdc, floppies.bootindex[1]),
      "place of drive B in the firmware's boot order", "-1" },
    { 0 },
};

static const StateField isa_fdc_state[] = {
    STATE_MOST(Fdc, phase, FDC_PHASES - 1),
    STATE(Fdc, dor),
    STATE(Fdc, tdr),
    STATE_MOST(Fdc, rate, DSR_RATE),
    STATE(Fdc, configure),
    STATE(Fdc, precompensation),
    STATE(Fdc, perpendicular),
    STATE(Fdc, specify),
    STATE(Fdc, locked),
    STATE(Fdc, non_dma),
    STATE(Fdc, to_host),
    STATE(Fdc, interrupt),
    STATE(Fdc, sense_reset),
    STATE(Fdc, ended),
    STATE_MOST(Fdc, sense_pending, 4),
    STATE(Fdc, sense_status),
    STATE_MOST(Fdc, position, FDC_LONGEST),
    STATE_MOST(Fdc, length, FDC_LONGEST),
    STATE(Fdc, fifo),
    STATE_MOST(Fdc, data_position, FLOPPY_SECTOR),
    STATE_MOST(Fdc, data_end, FLOPPY_SECTOR),
    STATE(Fdc, buffer),
    STATE(Fdc, command),
    STATE_MOST(Fdc, unit, 3),
    STATE(Fdc, cylinder),
    STATE(Fdc, head),
    STATE(Fdc, sector),
    STATE(Fdc, last),
    STATE(Fdc, formatted),
    STATE_SINCE(FDC_VERSION, Fdc, power),
    STATE_SINCE(FDC_VERSION, Fdc, drive_types),
    { 0 },
};

static const DeviceType isa_fdc_type = {
    .name = "isa-fdc",
    .summary = "82078 floppy controller",
    .bus = "isa",
    .category = "storage",
    .instance_size = sizeof(Fdc),
    .properties = isa_fdc_properties,
    .state = isa_fdc_state,
    .state_version = FDC_VERSION,
    .realize = isa_fdc_realize,
    .unrealize = isa_fdc_unrealize,
    .reset = isa_fdc_reset,
    .state_check = isa_fdc_state_check,
    .state_loaded = isa_fdc_state_loaded,
};
DEVICE_TYPE(isa_fdc_type);
