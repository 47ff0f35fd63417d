/* SPDX-License-Identifier: MIT */
/* From guest bytes to a unit of host code: decode, optimise, emit. */
#include <string.h>

#include "accel/tcg/opt/opt.h"
#include "accel/tcg/run/run.h"
#include "base/log.h"
#include "base/thread-sanitizer.h"

enum { PLENTY_OF_ROOM = 1 << 19 }; /* more than any unit takes, with its record */

static void log_ir(const char *title, const IrUnit *ir)
{
    char *text = ir_print(ir);

    log_printf("%s:\n%s", title, text);
    g_free(text);
}

static void check(const IrUnit *ir, const char *stage)
{
    GError *error = NULL;

    if (!ir_verify(ir, &error)) {
        log_ir(stage, ir);
        g_error("the translator made a bad unit after %s: %s", stage, error->message);
    }
}

static void helper_check_insn(TcgState *env)
{
    if (tcg_vcpu(env)->target->check_insn(env)) {
        tcg_unwind(env);
    }
}

static const TcgHelper check_insn = {
    .name = "check_insn",
    .function = (void *)helper_check_insn,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
};
TCG_HELPER(check_insn);

/* Decodes and optimises into run->scratch. false: the unit needs more code. */
static bool make_ir(TcgVcpu *tv, TcgCode *code, unsigned offset, uint64_t mode, unsigned max_insns)
{
    TcgRun *run = tv->run;
    IrUnit *ir = run->scratch;
    uint64_t pc = (tv->env->pc_page & TCG_PAGE_MASK) + offset;
    bool wanted = log_mask && log_address_wanted(pc);

    do {
        ir_unit_init(ir, run->target->vars, run->target->var_count);
        ir->mode = mode;
        ir->check_insn = mode & TCG_MODE_CHECK ? &check_insn : NULL;
        ir->count_var = mode & TCG_MODE_COUNT ? run->target->insn_count_var : 0;
        ir->start = (uint16_t)offset;
        trap_prepare_unit(run, code->page, ir);
        run->target->translate(ir, tv->env, code, (uint16_t)offset, mode, max_insns);
        if (code->needs) {
            return false;
        }
        max_insns = (max_insns + 1) / 2;
    } while (ir->full && max_insns > 1);
    if (wanted && log_enabled(LOG_IN_ASM)) {
        describe_guest_code(tv, code, pc, ir);
    }
    if (wanted && log_enabled(LOG_IR)) {
        log_ir("IR", ir);
    }
    if (run->verify) {
        check(ir, "decoding");
    }
    opt_run(ir);
    if (run->verify) {
        check(ir, "optimisation");
    }
    if (wanted && log_enabled(LOG_IR_OPT)) {
        log_ir("IR after optimisation", ir);
    }
    return true;
}

static TcgUnit *new_unit(TcgRun *run, uint8_t *host_page, unsigned link_count)
{
    const IrUnit *ir = run->scratch;
    TcgUnit *unit = cache_take(run, sizeof *unit + link_count * sizeof unit->links[0]);

    unit->span = (TcgSpan){ .host_page = host_page,
                            .start = ir->start,
                            .end = MIN(ir->end, (uint16_t)TCG_PAGE_SIZE),
                            .unit = unit };
    if (ir->end > TCG_PAGE_SIZE) {
        uint8_t *next = ir->next_page ? cache_page(ir->next_page) : host_page + TCG_PAGE_SIZE;

        unit->next_page = ir->next_page;
        unit->next_span = cache_take(run, sizeof *unit->next_span);
        *unit->next_span = (TcgSpan){ .host_page = next,
                                      .end = (uint16_t)(ir->end - TCG_PAGE_SIZE),
                                      .unit = unit };
    }
    unit->mode = ir->mode;
    unit->insn_count = (uint16_t)ir->insn_count;
    unit->link_count = (uint16_t)link_count;
    unit->checksum = cache_checksum(unit);
    if (run->covering && ir->mode & TCG_MODE_BREAK) {
        unit->covered = (uint16_t)cover_count_made(run, &unit->span);
    }
    run->translated++;
    run->translated_insns += ir->insn_count;
    run->guest_bytes += (uint64_t)(ir->end - ir->start);
    return unit;
}

static TcgUnit *make_interpreted(TcgRun *run, uint8_t *host_page)
{
    TcgUnit *unit = new_unit(run, host_page, 0);
    size_t size = offsetof(IrUnit, ops) + run->scratch->count * sizeof(IrOp);

    unit->ir = cache_take(run, size);
    memcpy(unit->ir, run->scratch, size);
    return unit;
}

static unsigned count_exits(const IrUnit *ir)
{
    unsigned count = 0;

    for (unsigned i = 1; i < ir->count; i++) {
        count += ir->ops[i].opcode == IR_OP_exit_if || ir->ops[i].opcode == IR_OP_goto ||
                 ir->ops[i].opcode == IR_OP_push_return;
    }
    return count;
}

/* Host code for run->scratch, or NULL. */
static TcgUnit *make_host_code(TcgVcpu *tv, uint8_t *host_page)
{
    TcgRun *run = tv->run;
    unsigned link_count = count_exits(run->scratch);
    uint8_t *records = run->records;
    TcgUnit *unit = new_unit(run, host_page, link_count);
    HostCode code;

    if (!host_emit_unit(run->backend, run->scratch, run->code_next, cache_room(run), run->cold_next,
                        cache_room(run), unit->links, link_count, &code)) {
        run->records = records;
        return NULL;
    }
    unit->entry = code.entry;
    unit->body = code.body;
    unit->code_size = (uint32_t)code.size;
    for (unsigned i = 0; i < link_count; i++) {
        unit->links[i].unit = unit;
    }
    if (log_enabled(LOG_OUT_ASM) && log_address_wanted(tv->env->pc_page + unit->span.start)) {
        describe_host_code(&code, run->code_next, run->cold_next);
    }
    perfmap_add_unit(run, &code, (tv->env->pc_page & TCG_PAGE_MASK) + unit->span.start);
    cache_keep(run, code.size, code.cold_size);
    TSAN_RELEASE(run->backend);
    return unit;
}

/* A unit that is too much for the back end is made shorter. */
TcgUnit *translate_unit(TcgVcpu *tv, uint8_t *host_page, unsigned offset, uint64_t mode,
                        uint64_t next_page, unsigned *needs)
{
    TcgRun *run = tv->run;
    TcgCode code = { .page = host_page,
                     .next = next_page ? cache_page(next_page) : NULL,
                     .copied = host_page == tv->copy ? tv->copy_end : 0 };
    bool single = run->one_insn || mode & (TCG_MODE_ONE | TCG_MODE_ALONE | TCG_MODE_STEP);

    for (unsigned max_insns = single ? 1 : TCG_MAX_INSNS;; max_insns /= 2) {
        TcgUnit *unit;

        if (cache_room(run) < PLENTY_OF_ROOM) {
            return NULL;
        }
        if (!make_ir(tv, &code, offset, mode, max_insns)) {
            *needs = code.needs;
            return NULL;
        }
        /* A copy's pages are together, whatever is behind what they are copies of. */
        run->scratch->next_page = run->scratch->end > TCG_PAGE_SIZE && !code.copied ? next_page : 0;
        unit = run->interp ? make_interpreted(run, host_page) : make_host_code(tv, host_page);
        if (unit || max_insns <= 1) {
            return unit;
        }
    }
}
