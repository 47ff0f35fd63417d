/* SPDX-License-Identifier: MIT */
/*
 * Watchdog of Intel's 6300ESB (300641, 16): two stages count down one after the other; the first ends with an interrupt, the second with the
 * board's reset line. Registers take a write only behind the two words of a key.
 *
 * Not modelled: interrupts of the first stage by SMI.
 */
#include "base/bits.h"
#include "hw/pci/pci.h"
#include "machine/clock.h"
#include "machine/watchdog.h"

enum {
    VENDOR = 0x8086,
    DEVICE = 0x25ab,
    CLASS = 0x088000, /* system peripheral, other */
    BAR_SIZE = 16,

    CONFIG = 0x60,             /* in configuration space */
    CONFIG_INTERRUPT = 3 << 0, /* 0: there is one */
    CONFIG_FAST = 1 << 2,      /* counts by 2^5 instead of 2^15 cycles of the bus */
    CONFIG_NO_OUTPUT = 1 << 5, /* the end of the second stage resets nothing */
    LOCK = 0x68,
    LOCK_LOCKED = 1 << 0,
    LOCK_ENABLE = 1 << 1,
    LOCK_FREE_RUN = 1 << 2, /* one stage, again and again */

    COUNT_MASK = 0xfffff,
    STATUS_STAGE_1 = 1,
    RELOAD_NOW = 1 << 8,
    RELOAD_EXPIRED = 1 << 9,
    KEY_1 = 0x80,
    KEY_2 = 0x86,
    BUS_HZ = 33000000,
};

typedef struct {
    PciDevice pci;
    Timer timer;
    uint32_t preload[2];
    uint8_t status, stage;
    uint8_t unlocked; /* how much of the key has been written */
    bool rebooted;    /* the second stage has ended; survives resets until it is cleared */
} I6300esb;

static I6300esb *watchdog(Device *device)
{
    return container_of(pci_device(device), I6300esb, pci);
}

static unsigned config(const I6300esb *w)
{
    return load_le16(w->pci.config + CONFIG);
}

static void update_irq(I6300esb *w)
{
    pci_set_irq(&w->pci, w->status & STATUS_STAGE_1 && !(config(w) & CONFIG_INTERRUPT));
}

static void begin_stage(I6300esb *w, unsigned stage)
{
    unsigned shift = config(w) & CONFIG_FAST ? 5 : 15;
    uint64_t cycles = ((uint64_t)w->preload[stage] + 1) << shift;

    w->stage = stage;
    timer_arm(&w->timer,
              clock_now_ns(w->pci.device.machine) + (int64_t)(cycles * 1000 / (BUS_HZ / 1000000)));
}

static void stop(I6300esb *w)
{
    w->stage = 0;
    timer_cancel(&w->timer);
}

static void expired(void *opaque)
{
    I6300esb *w = opaque;

    if (w->pci.config[LOCK] & LOCK_FREE_RUN) {
        w->status |= STATUS_STAGE_1;
        begin_stage(w, 0);
    } else if (w->stage == 0) {
        w->status |= STATUS_STAGE_1;
        begin_stage(w, 1);
    } else {
        w->rebooted = true;
        stop(w);
        if (!(config(w) & CONFIG_NO_OUTPUT)) {
            watchdog_expired(w->pci.device.machine, "i6300esb");
        }
    }
    update_irq(w);
}

/* --- registers --- */

/* Whether the key was written before; it opens for one write. */
static bool is_unlocked(I6300esb *w)
{
    bool unlocked = w->unlocked == 2;

    w->unlocked = 0;
    if (!unlocked) {
        log_guest_error("i6300esb", "a register is written without its key");
    }
    return unlocked;
}

static void write_preload(Device *device, unsigned index, uint64_t value)
{
    I6300esb *w = watchdog(device);

    if (is_unlocked(w)) {
        w->preload[index] = value & COUNT_MASK;
    }
}

static void write_status(Device *device, unsigned index, uint64_t value)
{
    I6300esb *w = watchdog(device);

    if (is_unlocked(w)) {
        w->status &= (uint8_t)~value;
        update_irq(w);
    }
}

static uint64_t read_reload(Device *device, unsigned index)
{
    return watchdog(device)->rebooted ? RELOAD_EXPIRED : 0;
}

static void write_reload(Device *device, unsigned index, uint64_t value)
{
    I6300esb *w = watchdog(device);

    if (value == KEY_1) {
        w->unlocked = 1;
    } else if (value == KEY_2 && w->unlocked == 1) {
        w->unlocked = 2;
    } else if (is_unlocked(w)) {
        if (value & RELOAD_EXPIRED) {
            w->rebooted = false;
        }
        if (value & RELOAD_NOW && w->pci.config[LOCK] & LOCK_ENABLE) {
            begin_stage(w, 0);
        }
    }
}

static const Register registers[] = {
    { "TIMER", 0x0, 4, REGISTER_RW, .count = 2, .field = offsetof(I6300esb, preload),
      .reset = COUNT_MASK, .write = write_preload },
    { "STATUS", 0x8, 1, REGISTER_RW, .field = offsetof(I6300esb, status), .write = write_status },
    { "RELOAD", 0xc, 2, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = read_reload,
      .write = write_reload, .summary = "the key, feeding, and whether it has expired" },
    { 0 },
};

/* --- configuration space --- */

static void config_written(PciDevice *pci, unsigned offset, unsigned size)
{
    I6300esb *w = container_of(pci, I6300esb, pci);

    if (offset <= LOCK && offset + size > LOCK) {
        bool enabled = pci->config[LOCK] & LOCK_ENABLE;

        if (pci->config[LOCK] & LOCK_LOCKED) {
            pci->writable[LOCK] = 0; /* until a reset */
        }
        if (enabled && !timer_is_armed(&w->timer)) {
            begin_stage(w, 0);
        } else if (!enabled) {
            stop(w);
        }
    }
    update_irq(w);
}

static const PciDeviceOps ops = { .config_written = config_written };

static bool i6300esb_realize(Device *device, GError **error)
{
    I6300esb *w = watchdog(device);

    pci_set_identity(&w->pci, VENDOR, DEVICE, CLASS, 0);
    pci_set_interrupt_pin(&w->pci, 1);
    store_le16(w->pci.writable + CONFIG, CONFIG_INTERRUPT | CONFIG_FAST | CONFIG_NO_OUTPUT);
    pci_add_bar(&w->pci, 0, PCI_BAR_MEMORY32, false, device_mmio(device, 0));
    w->pci.ops = &ops;
    timer_init(&w->timer, device->machine, expired, w);
    return true;
}

static void i6300esb_unrealize(Device *device)
{
    timer_cancel(&watchdog(device)->timer);
}

static void i6300esb_reset(Device *device)
{
    I6300esb *w = watchdog(device);

    w->pci.writable[LOCK] = LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE_RUN;
    w->unlocked = 0;
    pci_reset(&w->pci);
    stop(w);
    update_irq(w);
}

static void i6300esb_state_loaded(Device *device)
{
    I6300esb *w = watchdog(device);

    w->pci.writable[LOCK] =
        w->pci.config[LOCK] & LOCK_LOCKED ? 0 : LOCK_LOCKED | LOCK_ENABLE | LOCK_FREE_RUN;
    pci_state_loaded(&w->pci);
    update_irq(w);
}

static const DeviceType i6300esb = {
    .name = "i6300esb",
    .summary = "Watchdog of Intel's 6300ESB",
    .bus = "pci",
    .category = "misc",
    .instance_size = sizeof(I6300esb),
    .bus_properties = (const Property[]){ PCI_PROPERTIES(I6300esb, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(I6300esb, pci),
                                   STATE_KEPT(I6300esb, rebooted),
                                   STATE_MOST(I6300esb, stage, 1),
                                   STATE_MOST(I6300esb, unlocked, 2),
                                   STATE_TIMER(I6300esb, timer),
                                   { 0 } },
    .banks = (const RegisterBank[]){ { "i6300esb", BAR_SIZE, registers }, { 0 } },
    .realize = i6300esb_realize,
    .unrealize = i6300esb_unrealize,
    .reset = i6300esb_reset,
    .state_loaded = i6300esb_state_loaded,
};
DEVICE_TYPE(i6300esb);
