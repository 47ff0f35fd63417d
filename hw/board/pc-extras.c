/* SPDX-License-Identifier: MIT */
/* Devices without a bus that a PC takes from -device: files of fw_cfg, and an event of ACPI. */
#include "base/error.h"
#include "hw/board/pc.h"
#include "hw/display/ramfb.h"
#include "hw/misc/guest-tables.h"
#include "machine/irq-tap.h"

typedef struct {
    const char *type;
    bool (*offer)(Device *device, Device *fw_cfg, GError **error);
    int event; /* the input of power management of its output 0; 0: it has none */
} Extra;

static const Extra extras[] = {
    { "vmgenid", vmgenid_offer, PC_PM_GPE + PC_GPE_VMGENID },
    { "vmcoreinfo", vmcoreinfo_offer, 0 },
    { "ramfb", ramfb_offer, 0 },
};

const char *const pc_extras[] = { "vmgenid", "vmcoreinfo", "ramfb", NULL };

bool pc_offer_extras(Pc *pc, GError **error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(extras); i++) {
        const Extra *extra = &extras[i];
        Device *device = device_find_by_type(pc->machine, extra->type);

        if (!device) {
            continue;
        }
        if (!pc->version.fw_cfg_dma) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "device '%s' needs fw_cfg with DMA, which machine '%s' does not have",
                              extra->type, pc->machine->board->name);
        }
        if (!extra->offer(device, pc->fw_cfg, error)) {
            return false;
        }
        if (extra->event && pc->pm) {
            device_connect_irq(device, 0, device_input, pc->pm, extra->event);
        }
    }
    return !pc->chipset->offer || pc->chipset->offer(pc, error);
}
