/* SPDX-License-Identifier: MIT */
#include "hw/isa/acpi-pm.h"

/* Status and enable. */
enum {
    PM_TIMER_OVERFLOW = 1 << 0,
    PM_GLOBAL = 1 << 5,
    PM_POWER_BUTTON = 1 << 8,
    PM_RTC = 1 << 10,
    PM_RESUME = 1 << 15,
    PM_EVENTS = PM_TIMER_OVERFLOW | PM_GLOBAL | PM_POWER_BUTTON | PM_RTC,
};
/* Control. */
enum { PM_SCI_ENABLE = 1 << 0, PM_SLEEP_TYPE_SHIFT = 10, PM_SLEEP_ENABLE = 1 << 13 };
/* What the DSDT's _S5 and _S3 give as sleep types. */
enum { SLEEP_S5 = 0, SLEEP_S3 = 1 };

#define PM_TIMER_HZ UINT64_C(3579545)
enum { PM_TIMER_OFFSET = 8, PM_TIMER_SIZE = 4, PM_TIMER_MASK = 0xffffff, PM_TIMER_HALF = 0x800000 };

/* --- events and the timer --- */

static uint64_t ticks(const AcpiPm *p)
{
    __extension__ typedef unsigned __int128 Wide;

    return (uint64_t)((Wide)(uint64_t)clock_now_ns(p->device->machine) * PM_TIMER_HZ / 1000000000u);
}

static void update_overflow(AcpiPm *p)
{
    uint64_t now = ticks(p);

    if (now >= p->overflow_ticks) {
        p->status |= PM_TIMER_OVERFLOW;
    }
}

void acpi_pm_update(AcpiPm *p)
{
    bool pm, waits;

    update_overflow(p);
    pm = p->control & PM_SCI_ENABLE && p->status & p->enable & PM_EVENTS;
    waits = p->enable & PM_TIMER_OVERFLOW && !(p->status & PM_TIMER_OVERFLOW);
    p->sci = pm || p->gpe_status & p->gpe_enable;
    p->sci_changed(p->device);
    if (waits) {
        __extension__ typedef unsigned __int128 Wide;

        timer_arm(&p->overflow, (int64_t)((Wide)p->overflow_ticks * 1000000000u / PM_TIMER_HZ) + 1);
    } else {
        timer_cancel(&p->overflow);
    }
}

static void overflow_expired(void *opaque)
{
    AcpiPm *p = opaque;

    acpi_pm_update(p);
    machine_request_wakeup(p->device->machine, WAKE_PM_TIMER);
}

void acpi_pm_input(AcpiPm *p, int number)
{
    if (number == PC_PM_POWER_BUTTON) {
        p->status |= PM_POWER_BUTTON;
    } else {
        p->gpe_status |= (uint16_t)(1u << ((unsigned)(number - PC_PM_GPE) & 15));
    }
    acpi_pm_update(p);
}

/* --- registers --- */

static uint64_t read_status(AcpiPm *p)
{
    update_overflow(p);
    return p->status;
}

static void write_status(AcpiPm *p, uint16_t value)
{
    update_overflow(p);
    if (value & p->status & PM_TIMER_OVERFLOW) {
        p->overflow_ticks = (ticks(p) + PM_TIMER_HALF) & ~(uint64_t)(PM_TIMER_HALF - 1);
    }
    p->status &= (uint16_t)~value;
    acpi_pm_update(p);
}

/* What wakes a sleeping machine beside its user. */
static unsigned wakers(const AcpiPm *p)
{
    return WAKE_OTHER | (p->enable & PM_RTC ? WAKE_RTC : 0) |
           (p->enable & PM_TIMER_OVERFLOW ? WAKE_PM_TIMER : 0);
}

static void tell_suspend_disk(void *opaque)
{
    machine_event(opaque, "SUSPEND_DISK", NULL);
}

static void enter_sleep(AcpiPm *p, unsigned type)
{
    Machine *machine = p->device->machine;

    if (type == SLEEP_S5) {
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
    } else if (type == p->s4_val && !p->disable_s4) {
        machine_defer(machine, tell_suspend_disk, machine);
        machine_request_stop(machine, STOP_GUEST_POWEROFF, NULL);
    } else if (type == SLEEP_S3 && !p->disable_s3) {
        machine_request_suspend(machine, wakers(p));
    } else {
        log_guest_error(p->device->id, "enters unknown sleep type %u", type);
    }
}

static void write_control(AcpiPm *p, uint16_t value)
{
    p->control = value & (uint16_t)~PM_SLEEP_ENABLE;
    if (value & PM_SLEEP_ENABLE) {
        enter_sleep(p, value >> PM_SLEEP_TYPE_SHIFT & 7);
    }
    acpi_pm_update(p);
}

/* Registers of 16 bits at 0, 2 and 4; bytes and doublewords are parts of these. */
static uint64_t pm_word(AcpiPm *p, unsigned offset)
{
    switch (offset) {
    case 0:
        return read_status(p);
    case 2:
        return p->enable;
    case 4:
        return p->control;
    default:
        return 0;
    }
}

static MemoryResult pm_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                            MemoryAttributes attributes)
{
    AcpiPm *p = opaque;

    if (size == 1) {
        *value = pm_word(p, (unsigned)offset & ~1u) >> (offset & 1) * 8 & 0xff;
    } else {
        *value =
            pm_word(p, (unsigned)offset) | (size == 4 ? pm_word(p, (unsigned)offset + 2) << 16 : 0);
    }
    return MEMORY_OK;
}

static void pm_write_word(AcpiPm *p, unsigned offset, uint16_t value)
{
    switch (offset) {
    case 0:
        write_status(p, value);
        break;
    case 2:
        p->enable = value;
        acpi_pm_update(p);
        break;
    case 4:
        write_control(p, value);
        break;
    default:
        break;
    }
}

static MemoryResult pm_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                             MemoryAttributes attributes)
{
    AcpiPm *p = opaque;
    unsigned word = (unsigned)offset & ~1u, shift = (unsigned)(offset & 1) * 8;

    if (size == 1) {
        /* The other byte of a write-1-to-clear register must not clear anything. */
        uint16_t other = word == 0 ? 0 : (uint16_t)pm_word(p, word);

        pm_write_word(p, word, (uint16_t)((other & ~(0xffu << shift)) | (unsigned)value << shift));
        return MEMORY_OK;
    }
    pm_write_word(p, word, (uint16_t)value);
    if (size == 4) {
        pm_write_word(p, word + 2, (uint16_t)(value >> 16));
    }
    return MEMORY_OK;
}

static const MemoryOps pm_ops = { .read = pm_read, .write = pm_write, .size_max = 4 };

static MemoryResult pm_timer_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                  MemoryAttributes attributes)
{
    *value = ticks(opaque) & PM_TIMER_MASK;
    return MEMORY_OK;
}

static MemoryResult pm_timer_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                   MemoryAttributes attributes)
{
    return MEMORY_OK;
}

/* A guest's clock, which all its processors may read at once. */
static const MemoryOps pm_timer_ops = {
    .read = pm_timer_read,
    .write = pm_timer_write,
    .size_min = PM_TIMER_SIZE,
    .size_max = PM_TIMER_SIZE,
    .lock_free = true,
};

/* --- for the owner --- */

void acpi_pm_hand_over(AcpiPm *p, bool to_acpi)
{
    p->control = to_acpi ? p->control | PM_SCI_ENABLE : p->control & (uint16_t)~PM_SCI_ENABLE;
    acpi_pm_update(p);
}

void acpi_pm_write_gpe_status(AcpiPm *p, uint16_t value)
{
    p->gpe_status &= (uint16_t)~value;
    acpi_pm_update(p);
}

void acpi_pm_write_gpe_enable(AcpiPm *p, uint16_t value)
{
    p->gpe_enable = value;
    acpi_pm_update(p);
}

void acpi_pm_init(AcpiPm *p, Device *device, MemoryRegion *block,
                  void (*sci_changed)(Device *device))
{
    p->device = device;
    p->sci_changed = sci_changed;
    memory_region_init_io(&p->words, device->machine, "pm-registers", block->size, &pm_ops, p);
    memory_region_init_io(&p->timer, device->machine, "pm-timer", PM_TIMER_SIZE, &pm_timer_ops, p);
    memory_region_add(block, 0, &p->words, 0);
    memory_region_add(block, PM_TIMER_OFFSET, &p->timer, 1);
    timer_init(&p->overflow, device->machine, overflow_expired, p);
}

void acpi_pm_remove(AcpiPm *p)
{
    timer_cancel(&p->overflow);
    memory_region_remove(&p->timer);
    memory_region_remove(&p->words);
}

/* The status after a reset, which may end a sleep. */
static uint16_t wake_status(const Machine *machine)
{
    switch (machine_wake_reason(machine)) {
    case WAKE_RTC:
        return PM_RESUME | PM_RTC;
    case WAKE_PM_TIMER:
        return PM_RESUME | PM_TIMER_OVERFLOW;
    case WAKE_OTHER:
        return PM_RESUME | PM_POWER_BUTTON;
    default:
        return 0;
    }
}

void acpi_pm_reset(AcpiPm *p)
{
    p->status = wake_status(p->device->machine);
    p->enable = p->control = 0;
    p->gpe_status = p->gpe_enable = 0;
    p->overflow_ticks = (ticks(p) + PM_TIMER_HALF) & ~(uint64_t)(PM_TIMER_HALF - 1);
    acpi_pm_update(p);
}
