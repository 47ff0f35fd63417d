/* SPDX-License-Identifier: MIT */
/* What happens when a watchdog has not been fed in time; see the header. */
#include "machine/watchdog.h"

#include <stdatomic.h>

#include "machine/target.h"
#include "machine/vcpu.h"

const char *const watchdog_actions[] = {
    [WATCHDOG_RESET] = "reset",       [WATCHDOG_SHUTDOWN] = "shutdown",
    [WATCHDOG_POWEROFF] = "poweroff", [WATCHDOG_PAUSE] = "pause",
    [WATCHDOG_DEBUG] = "debug",       [WATCHDOG_NONE] = "none",
    [WATCHDOG_NMI] = "inject-nmi",    NULL,
};

static void tell(void *opaque)
{
    Machine *machine = opaque;
    g_autofree char *data =
        g_strdup_printf("{\"action\": \"%s\"}", watchdog_actions[machine->config.watchdog_action]);

    machine_event(machine, "WATCHDOG", data);
}

static void inject_nmi(Machine *machine)
{
    Vcpu *vcpu = machine->vcpus->len ? machine->vcpus->pdata[0] : NULL;

    if (vcpu && vcpu->target->nmi) {
        vcpu->target->nmi(vcpu);
    }
}

void watchdog_expired(Machine *machine, const char *device)
{
    machine_defer(machine, tell, machine);
    switch (machine->config.watchdog_action) {
    case WATCHDOG_RESET:
        machine_request_reset(machine, device);
        break;
    case WATCHDOG_SHUTDOWN:
        machine_request_powerdown(machine);
        break;
    case WATCHDOG_POWEROFF:
        machine_request_stop(machine, STOP_GUEST_POWEROFF, device);
        break;
    case WATCHDOG_PAUSE:
        machine_request_stop(machine, STOP_WATCHDOG, device);
        break;
    case WATCHDOG_DEBUG:
        g_printerr("kaso: watchdog '%s' was not fed in time\n", device);
        break;
    case WATCHDOG_NMI:
        inject_nmi(machine);
        break;
    case WATCHDOG_NONE:
        break;
    }
}
