/* SPDX-License-Identifier: MIT */
/* Weak stand-ins where no back end is built: the interpreter is then the only way to run. */
#include "accel/tcg/host/host.h"
#include "accel/tcg/opt/opt.h"
#include "base/error.h"

#define WEAK __attribute__((weak))
WEAK void opt_run(IrUnit *unit)
{
}
WEAK HostBackend *host_backend_new(const HostRuntime *runtime, GError **error)
{
    error_fail(error, KASO_ERROR_UNSUPPORTED, "no back end for this host");
    return NULL;
}
WEAK void host_backend_free(HostBackend *backend)
{
}
WEAK const char *host_backend_describe(const HostBackend *backend)
{
    return "none";
}
WEAK size_t host_emit_thunks(HostBackend *b, uint8_t *code, size_t room, HostThunks *t)
{
    return 0;
}
WEAK bool host_emit_unit(HostBackend *b, const IrUnit *unit, uint8_t *code, size_t room,
                         TcgLink *links, unsigned max_links, HostCode *out)
{
    return false;
}
WEAK void host_kill_unit(uint8_t *entry)
{
}
WEAK bool host_unit_is_dead(const uint8_t *entry)
{
    return false;
}
WEAK void host_link(TcgLink *link, uint8_t *entry, uint64_t host_page)
{
}
WEAK void host_unlink(TcgLink *link)
{
}
