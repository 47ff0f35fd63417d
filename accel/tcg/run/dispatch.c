/* SPDX-License-Identifier: MIT */
/* Which code runs next, when generated code does not know by itself. */
#include "accel/tcg/run/run.h"
#include "base/log.h"
#include "base/thread-sanitizer.h"

/* Exceptions on the way to code may repeat for ever: the run loop must get its turn. */
enum { MAX_FAULTS_IN_A_ROW = 8 };

/* Modes of units that neither are linked nor lie in jump caches: behind each the dispatcher is wanted. */
#define SINGLE (TCG_MODE_ONE | TCG_MODE_STEP)

static uint64_t current_mode(TcgVcpu *tv)
{
    return tv->target->mode(tv->env) | tv->step_mode | (tv->run->limited ? TCG_MODE_COUNT : 0);
}

static TcgUnit *find_in_cache(TcgVcpu *tv, const TcgFetchEntry *fetch, uint64_t mode)
{
    TcgState *env = tv->env;
    const TcgFetchEntry *next;
    unsigned needs;
    TcgUnit *unit;

    if (device_code_is(tv, fetch)) {
        return device_code_unit(tv, mode);
    }
    unit = cache_find(tv, fetch->host_page, env->pc_offset, mode, 0, &needs);
    if (!needs) {
        return unit;
    }
    next = memory_fetch_page(tv, env->pc_page + TCG_PAGE_SIZE);
    if (next && device_code_is(tv, next)) {
        return device_code_begin(tv) ? device_code_unit(tv, mode) : NULL;
    }
    return next ? cache_find(tv, fetch->host_page, env->pc_offset, mode, next->host_page, &needs)
                : NULL;
}

static uint64_t insns_left(const TcgVcpu *tv)
{
    return tv->run->limited ? tv->env->insn_limit - tv->env->insn_count : UINT64_MAX;
}

/* An instruction that stores to its own unit is a unit of its own, for once; and so are the last ones before the limit. */
static TcgUnit *find_perhaps_alone(TcgVcpu *tv, const TcgFetchEntry *fetch, uint64_t mode)
{
    bool alone = (tv->alone == TCG_ALONE_WANTED && tv->alone_pc == tcg_pc(tv->env)) ||
                 insns_left(tv) < TCG_MAX_INSNS;
    TcgUnit *unit = find_in_cache(tv, fetch, alone ? mode | TCG_MODE_ALONE : mode);

    if (unit) {
        tv->alone = unit->mode & TCG_MODE_ALONE ? TCG_ALONE_RUNS : TCG_ALONE_NO;
        tv->alone_pc = tcg_pc(tv->env);
    }
    return unit;
}

/* An exception has been taken in the place of the instruction: that is a step, too. */
static TcgUnit *take_fault(TcgVcpu *tv)
{
    tv->ungrouped = false;
    if (tv->step_mode) {
        trap_done(tv);
    }
    return NULL;
}

static TcgUnit *try_dispatch(TcgVcpu *tv, TcgFetchEntry **fetch)
{
    TcgState *env = tv->env;
    const TcgTarget *target = tv->target;
    uint64_t mode;

    if (!target->prepare_pc(env)) {
        return take_fault(tv);
    }
    *fetch = memory_fetch_page(tv, tcg_pc(env));
    if (!*fetch || (device_code_is(tv, *fetch) && !device_code_begin(tv))) {
        return take_fault(tv);
    }
    mode = current_mode(tv) | (tv->ungrouped ? TCG_MODE_UNGROUPED : 0);
    tv->ungrouped = false;
    if ((*fetch)->host_page & TCG_FETCH_BREAKS) {
        mode |= tv->step_mode ? 0 : TCG_MODE_BREAK;
        if (tv->step_mode && tv->run->covering) {
            cover_note(tv);
        }
    }
    if ((*fetch)->host_page & TCG_FETCH_GUARDED) {
        mode |= TCG_MODE_GUARDED;
        if (env->jump_class && target->check_landing &&
            !target->check_landing(env, cache_page((*fetch)->host_page) + env->pc_offset)) {
            return take_fault(tv);
        }
    }
    env->jump_class = 0;
    return find_perhaps_alone(tv, *fetch, mode);
}

/* The unit at the current pc, and its fetch entry; NULL: the run loop is wanted first. */
static TcgUnit *find_unit(TcgVcpu *tv, TcgFetchEntry **fetch)
{
    TcgState *env = tv->env;

    for (unsigned i = 0; i < MAX_FAULTS_IN_A_ROW && !env->exit_request && insns_left(tv); i++) {
        TcgUnit *unit = try_dispatch(tv, fetch);

        if (unit) {
            if (log_enabled(LOG_EXEC) && log_address_wanted(tcg_pc(env))) {
                log_printf("exec cpu%u %016" PRIx64 " mode %" PRIx64 "\n", tv->vcpu->index,
                           tcg_pc(env), unit->mode);
            }
            return unit;
        }
        env->jump_class = 0;
    }
    env->exit_request = 1;
    return NULL;
}

TcgUnit *dispatch_unit(TcgVcpu *tv)
{
    TcgFetchEntry *fetch;

    return find_unit(tv, &fetch);
}

bool dispatch_insn_done(TcgVcpu *tv)
{
    uint64_t mode = tv->one_mode;

    if (!mode) {
        return false;
    }
    tv->one_mode = 0;
    if (mode & TCG_MODE_ONE && tv->target->insn_done) {
        tv->target->insn_done(tv->env, mode);
    }
    if (mode & TCG_MODE_STEP) {
        trap_done(tv);
    }
    return true;
}

void dispatch_note_single(TcgVcpu *tv, const TcgUnit *unit)
{
    tv->one_mode = unit->mode & SINGLE ? unit->mode : 0;
    if (unit->mode & TCG_MODE_STEP) {
        tv->vcpu->debug.watch = NULL;
    }
}

void tcg_insn_done(TcgState *env)
{
    dispatch_insn_done(tcg_vcpu(env));
}

/* Where a unit is entered; NULL: the run loop is wanted. */
static void *enter_unit(TcgVcpu *tv, TcgUnit *unit)
{
    if (!unit) {
        return tv->run->thunks.exit;
    }
    if (unit->mode & SINGLE) {
        dispatch_note_single(tv, unit);
    }
    /* What a device has been read for is executed: leaving now, and coming back, would read it again. */
    return unit->span.host_page == tv->copy ? unit->body : unit->entry;
}

static unsigned jump_table(const TcgVcpu *tv, unsigned jump_class, uint64_t mode)
{
    return tcg_jump_table(jump_class, mode, tv->target->jump_mode_bit);
}

/* The same, and the jump cache shall know: unless something else than what was asked for has been found. */
static void *enter_for(TcgVcpu *tv, TcgUnit *unit, uint64_t jump_pc, unsigned jump_class)
{
    if (unit && !(unit->mode & (SINGLE | TCG_MODE_ALONE)) && !log_enabled(LOG_EXEC) &&
        jump_pc == tcg_pc(tv->env)) {
        context_set_jump(tv, tv->env->context, jump_pc, jump_table(tv, jump_class, unit->mode),
                         unit->entry);
    }
    return enter_unit(tv, unit);
}

/*
 * Jump caches are for one mode, or for two that differ in the bit which tells tables apart, and the return stack is for one: a
 * dispatch is where another may begin. false: the mode is one whose units neither look into them nor are found in them, for an
 * instruction or a few.
 */
static bool check_mode(TcgVcpu *tv)
{
    TcgContext *context = tv->env->context;
    uint64_t mode = current_mode(tv);

    if (mode & SINGLE) {
        return false;
    }
    if (context->jump_mode != mode) {
        if ((context->jump_mode ^ mode) == tv->target->jump_mode_bit) {
            context_clear_returns(context);
        } else {
            context_clear_jumps(tv, context);
        }
        context->jump_mode = mode;
    }
    return true;
}

void *dispatch_next(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t pc = tcg_pc(env);
    unsigned jump_class = env->jump_class;
    bool refused = env->unit_refused, sent_back = refused || tv->alone == TCG_ALONE_WANTED;
    const TcgJumpEntry *entry;
    TcgFetchEntry *fetch;
    bool cached;

    env->dispatches++;
    env->unit_refused = false;
    if (refused) {
        tv->one_mode = 0;
    } else if (dispatch_insn_done(tv)) {
        pc = tcg_pc(env);
        jump_class = env->jump_class;
    }
    cached = check_mode(tv) && !sent_back;
    entry = context_jump(tv, env->context, pc, jump_table(tv, jump_class, env->context->jump_mode));
    /* A dead unit's landing pad, a failed guard and a store to its own unit lead here, and must not be sent back. */
    if (cached && entry->pc == pc && !env->exit_request && !host_unit_is_dead(entry->code)) {
        env->jump_class = 0;
        return entry->code;
    }
    return enter_for(tv, find_unit(tv, &fetch), pc, jump_class);
}

void *dispatch_indirect(TcgState *env, uint64_t guest_virt, unsigned jump_class, int64_t origin)
{
    TcgVcpu *tv = tcg_vcpu(env);
    TcgContext *context = env->context;
    TcgFetchEntry *fetch;
    TcgUnit *unit;

    env->indirects++;
    if (tv->target->check_jump) {
        tv->target->check_jump(env, guest_virt, origin);
    }
    tcg_set_pc(env, guest_virt);
    env->jump_class = jump_class;
    if (dispatch_insn_done(tv)) {
        return dispatch_next(env);
    }
    unit = find_unit(tv, &fetch);
    /* A fault on the way may have changed context and mode; then the jump is not what was asked. */
    if (unit && (env->context != context || tcg_pc(env) != guest_virt)) {
        check_mode(tv);
        return enter_unit(tv, unit);
    }
    return enter_for(tv, unit, guest_virt, jump_class);
}

void *dispatch_follow_link(TcgState *env, TcgLink *link)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t pc, flushes = tv->run->flushes;
    TcgFetchEntry *fetch;
    TcgUnit *unit;

    TSAN_ACQUIRE(tv->run->backend);
    env->dispatches++;
    pc = env->pc_page + (uint64_t)(int64_t)link->target;
    tcg_set_pc(env, pc);
    if (dispatch_insn_done(tv)) {
        return dispatch_next(env);
    }
    unit = find_unit(tv, &fetch);
    check_mode(tv);
    if (!unit || tcg_pc(env) != pc || (unit->mode & (SINGLE | TCG_MODE_ALONE))) {
        return enter_unit(tv, unit);
    }
    /* A flush on the way has freed the link and the unit that holds it. */
    if (!log_enabled(LOG_EXEC) && tv->run->flushes == flushes) {
        cache_link(tv->run, link, unit, fetch->host_page);
    }
    return unit->entry;
}

static TcgUngroupedUnit *ungrouped_slot(TcgVcpu *tv, uint64_t pc)
{
    return &tv->ungrouped_units[(pc ^ pc >> 8) & (TCG_UNGROUPED_UNITS - 1)];
}

/* Whether the dispatcher would find the same unit again. It runs in the page: what is asked of a pc before has been. */
static bool is_still_there(TcgVcpu *tv, const TcgUngroupedUnit *known, uint64_t pc)
{
    const TcgFetchEntry *fetch = tlb_fetch_entry(tv->env->context, pc);

    return known->code && known->pc == pc && fetch->tag == (pc & TCG_PAGE_MASK) &&
           fetch->host_page == known->host_page && known->mode == current_mode(tv) &&
           tv->alone == TCG_ALONE_NO && !tv->env->exit_request && !host_unit_is_dead(known->code) &&
           !log_enabled(LOG_EXEC);
}

static bool is_lasting(const TcgUnit *unit)
{
    const uint64_t passing = SINGLE | TCG_MODE_ALONE | TCG_MODE_BREAK;

    return unit->mode & TCG_MODE_UNGROUPED && !(unit->mode & passing) && !unit->next_page;
}

/* A group that lies across two pages may be left each time its unit is run. */
void *dispatch_ungrouped(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);
    uint64_t pc = tcg_pc(env);
    TcgUngroupedUnit *known = ungrouped_slot(tv, pc);
    TcgFetchEntry *fetch;
    TcgUnit *unit;

    if (is_still_there(tv, known, pc)) {
        return known->code;
    }
    tv->ungrouped = true;
    unit = find_unit(tv, &fetch);
    tv->ungrouped = false;
    if (tcg_pc(env) != pc) {
        check_mode(tv);
    } else if (unit && is_lasting(unit)) {
        *known = (TcgUngroupedUnit){ pc, fetch->host_page, current_mode(tv), unit->entry };
    }
    return enter_unit(tv, unit);
}
