/* SPDX-License-Identifier: MIT */
/*
 * What debuggers want trapped (machine/debug.h).
 *
 * Breakpoints are a property of pages: fetch entries of a page with any say so (bit 1 of host_page, as bit 0 tells of
 * BTI), its units have a mode of their own, and those among them that contain a break's page offset call a helper
 * there. Watched pages get no TLB entries, so each access asks. One that is watched is undone, and done again as a unit of one instruction, behind which
 * the debugger is told. Single steps are such units, too.
 */
#include <string.h>

#include "accel/tcg/run/run.h"

static void helper_check_break(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (tv->run->breaking && debug_reached(tv->vcpu)) {
        tcg_unwind(env);
    }
    if (tv->run->covering) {
        cover_note(tv);
    }
}

static const TcgHelper check_break = {
    .name = "check_break",
    .function = (void *)helper_check_break,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
};
TCG_HELPER(check_break);

/* Marks where in a page the point has something. */
static void mark_offsets(const DebugPoint *point, uint64_t breaks[TCG_BREAK_WORDS])
{
    uint64_t count = MIN(point->size, TCG_PAGE_SIZE);

    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = (point->address + i) & (TCG_PAGE_SIZE - 1);

        breaks[offset / 64] |= UINT64_C(1) << offset % 64;
    }
}

bool trap_changed(Machine *machine, GError **error)
{
    TcgRun *run = machine->accel_state;
    const GPtrArray *points = debug_points(machine);

    run->watching = run->breaking = false;
    memset(run->breaks, 0, sizeof run->breaks);
    for (unsigned i = 0; i < points->len; i++) {
        const DebugPoint *point = g_ptr_array_index(points, i);

        if (point->access & DEBUG_EXECUTE) {
            mark_offsets(point, run->breaks);
            run->breaking = true;
        } else {
            run->watching = true;
        }
    }
    cover_changed(run);
    cache_forget_breaks(run);
    for (unsigned i = 0; i < run->vcpus->len; i++) {
        context_flush_all(g_ptr_array_index(run->vcpus, i));
    }
    return true;
}

void trap_prepare_unit(TcgRun *run, const uint8_t *host_page, IrUnit *unit)
{
    if (unit->mode & TCG_MODE_BREAK) {
        memcpy(run->unit_breaks, run->breaks, sizeof run->breaks);
        if (run->covering) {
            cover_add_breaks(run, host_page, run->unit_breaks);
        }
        unit->breaks = run->unit_breaks;
        unit->check_break = &check_break;
    }
}

bool trap_page_breaks(TcgVcpu *tv, uint64_t guest_virt, uint64_t guest_phys,
                      const uint8_t *host_page)
{
    const TcgRun *run = tv->run;
    bool covers = run->covering && cover_enters(tv, guest_virt, host_page);

    return covers ||
           (run->breaking && debug_page_has(run->machine, guest_virt, guest_phys, DEBUG_EXECUTE));
}

bool trap_page_watched(TcgVcpu *tv, uint64_t guest_virt, uint64_t guest_phys)
{
    return tv->run->watching &&
           debug_page_has(tv->run->machine, guest_virt, guest_phys, DEBUG_READ | DEBUG_WRITE);
}

bool trap_can_undo(const TcgVcpu *tv)
{
    return tv->env->in_code && tv->env->unwind == tv->interpreter_unwind;
}

void trap_access(TcgVcpu *tv, uint64_t guest_virt, uint64_t guest_phys, unsigned size,
                 TcgAccess access, unsigned flags)
{
    bool undo = trap_can_undo(tv), alone = !undo || tv->one_mode & TCG_MODE_STEP;
    unsigned kinds =
        access == TCG_READ ? DEBUG_READ : DEBUG_WRITE | (flags & IR_MEM_FOR_WRITE ? DEBUG_READ : 0);
    DebugAnswer answer = debug_accessed(tv->vcpu, kinds, guest_virt, guest_phys, size, alone);

    if (!undo) {
        /* The run loop tells of it. */
        if (tv->vcpu->debug.watch) {
            atomic_store(&tv->env->exit_request, 1);
        }
    } else if (answer != DEBUG_GO) {
        tv->watch_wanted = answer == DEBUG_ALONE;
        tv->abandoned = answer == DEBUG_ABANDON;
        tcg_unwind(tv->env);
    }
}

static void set_mode(TcgVcpu *tv)
{
    const VcpuDebug *debug = &tv->vcpu->debug;

    tv->step_mode =
        debug->step || debug->pass || debug->count || tv->watch_wanted ? TCG_MODE_STEP : 0;
}

void trap_done(TcgVcpu *tv)
{
    tv->one_mode = 0;
    tv->watch_wanted = false;
    debug_done(tv->vcpu);
    set_mode(tv);
    /* Interrupts may have waited. */
    if (!tv->step_mode) {
        atomic_store(&tv->env->exit_request, 1);
    }
}

void trap_left(TcgVcpu *tv)
{
    if (tv->vcpu->debug.watch && !(tv->one_mode & TCG_MODE_STEP)) {
        trap_done(tv); /* an access outside of instructions */
    }
    /* An exception in the place of the instruction is a step, too; one that has to be done again is none. */
    if (tv->one_mode & TCG_MODE_STEP && !tv->watch_wanted && !tv->abandoned &&
        tv->alone != TCG_ALONE_WANTED) {
        tv->vcpu->debug.faulted = true;
        trap_done(tv);
    }
    tv->abandoned = false;
    tv->one_mode = 0; /* an instruction that unwound is not done */
    set_mode(tv);
}

void trap_take_interrupt(TcgVcpu *tv)
{
    const VcpuDebug *debug = &tv->vcpu->debug;
    uint64_t pc = tcg_pc(tv->env);

    set_mode(tv);
    if (tv->step_mode) {
        if (debug->pass || tv->watch_wanted ||
            (debug->step && debug_step_flags(tv->run->machine) & DEBUG_STEP_NO_INTERRUPTS)) {
            return;
        }
    }
    tv->target->take_interrupt(tv->env);
    if (debug->watch || (debug->step && tcg_pc(tv->env) != pc)) {
        trap_done(tv);
    }
}
