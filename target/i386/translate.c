/* SPDX-License-Identifier: MIT */
/* The translation loop, control transfer and exceptions of x86 code. */
#include "target/i386/translate.h"

#include "target/i386/exception.h"
#include "target/i386/segment.h"

enum { MAX_SIDE_EXITS = 6 };

static void helper_raise(TcgState *env, uint32_t vector, uint32_t error_code)
{
    x86_fault(x86_cpu_of_env(env), (X86Vector)vector, error_code);
}
X86_HELPER(raise, IR_VOID, X86_HELPER_SYSTEM | HELPER_NORETURN, IR_I32, IR_I32);

void x86_raise_error(X86Translator *t, X86Vector vector, unsigned error_code)
{
    x86_call(t, &call_raise, x86_const(t, 4, vector), x86_const(t, 4, error_code), 0, 0);
    t->ended = true;
}

void x86_raise(X86Translator *t, X86Vector vector)
{
    x86_raise_error(t, vector, 0);
}

void x86_undefined(X86Translator *t)
{
    x86_raise(t, X86_UD);
}

bool x86_not_privileged(X86Translator *t)
{
    if (x86_cpl(t) == 0) {
        x86_svm_intercept_plain(t, true);
        return false;
    }
    x86_raise(t, X86_GP);
    return true;
}

void x86_call_if(X86Translator *t, IrCond cond, IrRef flags, const TcgHelper *helper, IrRef a,
                 IrRef b)
{
    ir_call_if(t->unit, cond, flags, helper, a, b, 0);
}

IrCond x86_condition(unsigned cc)
{
    static const uint8_t conditions[] = { IR_VS, IR_VC, IR_CS, IR_CC, IR_EQ, IR_NE, IR_BE, IR_A,
                                          IR_MI, IR_PL, IR_PE, IR_PO, IR_LT, IR_GE, IR_LE, IR_GT };

    return (IrCond)conditions[cc & 15];
}

void x86_goto(X86Translator *t, int64_t page_offset)
{
    ir_goto(t->unit, page_offset);
    t->ended = true;
}

void x86_dispatch_next(X86Translator *t)
{
    ir_dispatch(t->unit, t->next);
    t->ended = true;
}

void x86_dispatch_env(X86Translator *t)
{
    ir_dispatch_env(t->unit);
    t->ended = true;
}

static IrRef cs_base(X86Translator *t)
{
    return ir_get(t->unit, X86_VAR_BASE + X86_CS, IR_I64);
}

IrRef x86_next_eip(X86Translator *t, unsigned bytes)
{
    IrRef pc = ir_pc(t->unit, t->next);

    if (!(t->mode & X86_MODE_FLAT_CS)) {
        pc = ir_op2(t->unit, IR_OP_sub, IR_I64, pc, cs_base(t));
    }
    return x86_from64(t, bytes, pc);
}

/* A branch of this size cannot leave the code segment, whose offsets it cuts off. */
static bool is_unlimited(const X86Translator *t, unsigned bytes)
{
    return x86_is_code64(t) || ((t->mode & X86_MODE_FLAT_CS) && bytes != 2);
}

/* A branch beyond the limit, or to be cut off to 16 bits. */
static void helper_branch(TcgState *env, uint64_t eip, uint32_t bytes)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    eip = bytes == 2 ? (uint16_t)eip : (uint32_t)eip;
    if (eip > cpu->seg[X86_CS].limit) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_set_eip(cpu, eip);
    tcg_insn_done(env);
    tcg_unwind(env);
}
X86_HELPER(branch, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32);

/* Leaves by helper_branch when an EIP (i64) is above the limit. */
static void check_branch(X86Translator *t, IrRef eip, unsigned bytes)
{
    IrRef limit = ir_get(t->unit, X86_VAR_LIMIT + X86_CS, IR_I64);
    IrRef flags = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, eip, limit, 0);

    if (bytes == 2 && (t->mode & X86_MODE_FLAT_CS)) {
        flags = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, eip,
                         ir_const(t->unit, IR_I64, 0xffff), 0);
    }
    x86_call_if(t, IR_A, flags, &call_branch, eip, x86_const(t, 4, bytes));
}

static void helper_check_target(TcgState *env, uint64_t eip, uint32_t bytes)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if ((bytes == 2 ? (uint16_t)eip : (uint32_t)eip) > cpu->seg[X86_CS].limit) {
        x86_fault(cpu, X86_GP, 0);
    }
}
X86_HELPER(check_target, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32);

static IrRef target_eip(X86Translator *t, int64_t displacement)
{
    IrRef pc = ir_pc(t->unit, t->next + displacement);

    return ir_op2(t->unit, IR_OP_sub, IR_I64, pc, cs_base(t));
}

void x86_check_target(X86Translator *t, IrRef eip)
{
    IrRef limit, flags;

    if (!is_unlimited(t, t->insn.operand_bytes)) {
        limit = ir_get(t->unit, X86_VAR_LIMIT + X86_CS, IR_I64);
        flags = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, eip, limit, 0);
        x86_call_if(t, IR_A, flags, &call_check_target, eip,
                    x86_const(t, 4, t->insn.operand_bytes));
    }
}

/* Over the end of the canonical addresses. Code within a branch's reach of it is guarded. */
static bool may_cross_end(const X86Translator *t, int64_t displacement)
{
    int64_t target = t->next + displacement;

    return x86_is_code64(t) && (t->mode & TCG_MODE_GUARDED) &&
           (target < 0 || target >= TCG_PAGE_SIZE);
}

static void helper_cross_end(TcgState *env, uint64_t a, uint64_t b)
{
    x86_fault(x86_cpu_of_env(env), X86_GP, 0);
}
X86_HELPER(cross_end, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I64);

/* Of guarded code: the bits of its address that a branch changes tell. 47 is the one, or with addresses of 57 bits goes with it. */
static IrRef crossing(X86Translator *t, int64_t displacement)
{
    IrRef changed = ir_op2(t->unit, IR_OP_xor, IR_I64, ir_pc(t->unit, t->offset),
                           ir_pc(t->unit, t->next + displacement));

    return ir_op2i(t->unit, IR_OP_and, IR_I64, changed, INT64_C(1) << 47);
}

static void check_crossing(X86Translator *t, IrRef crosses)
{
    x86_call_if(t, IR_NE, ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, crosses, crosses, 0),
                &call_cross_end, crosses, crosses);
}

void x86_check_jump(X86Translator *t, int64_t displacement)
{
    if (may_cross_end(t, displacement)) {
        check_crossing(t, crossing(t, displacement));
    } else if (!is_unlimited(t, t->insn.operand_bytes)) {
        x86_check_target(t, target_eip(t, displacement));
    }
}

void x86_check_jump_if(X86Translator *t, IrCond cond, IrRef flags, int64_t displacement)
{
    IrRef zero = ir_const(t->unit, IR_I64, 0);

    if (may_cross_end(t, displacement)) {
        check_crossing(t, ir_sel(t->unit, IR_I64, cond, flags, crossing(t, displacement), zero));
    } else if (!is_unlimited(t, t->insn.operand_bytes)) {
        x86_check_target(t,
                         ir_sel(t->unit, IR_I64, cond, flags, target_eip(t, displacement), zero));
    }
}

static void check_displacement(X86Translator *t, int64_t displacement)
{
    if (may_cross_end(t, displacement)) {
        check_crossing(t, crossing(t, displacement));
    } else if (!is_unlimited(t, t->insn.operand_bytes)) {
        check_branch(t, target_eip(t, displacement), t->insn.operand_bytes);
    }
}

/*
 * Around the end of 4 GiB, as from code that a JIT has put near the top to its program's at the bottom. No link leads there: a pc is
 * the sum of an address and a displacement.
 */
static bool goes_around(const X86Translator *t, int64_t displacement)
{
    uint64_t page = tcg_pc(&t->cpu->tcg) & TCG_PAGE_MASK;

    return !x86_is_code64(t) && page + (uint64_t)(t->next + displacement) > UINT32_MAX;
}

void x86_jump(X86Translator *t, int64_t displacement)
{
    IrRef target;

    check_displacement(t, displacement);
    if (goes_around(t, displacement)) {
        target = ir_extend(t->unit, IR_OP_zext, IR_I64, 2, ir_pc(t->unit, t->next + displacement));
        ir_goto_checked(t->unit, target, IR_JUMP, t->offset);
        t->ended = true;
    } else {
        x86_goto(t, t->next + displacement);
    }
}

void x86_branch(X86Translator *t, int64_t displacement)
{
    if (!ir_goes_round(t->unit, t->next + displacement, t->max_insns)) {
        x86_jump(t, displacement);
        return;
    }
    check_displacement(t, displacement);
    t->unit->rounds++;
    t->next = t->unit->start;
}

void x86_branch_if(X86Translator *t, IrCond cond, IrRef flags, int64_t displacement)
{
    int64_t target = t->next + displacement;

    t->side_exits++;
    if (is_unlimited(t, t->insn.operand_bytes) && !may_cross_end(t, displacement) &&
        !ir_goes_round(t->unit, target, t->max_insns) && !goes_around(t, displacement)) {
        ir_exit_if(t->unit, cond, flags, target);
    } else {
        ir_exit_if(t->unit, ir_cond_invert(cond), flags, t->next);
        x86_branch(t, displacement);
    }
}

void x86_jump_indirect(X86Translator *t, IrRef eip, unsigned kind, int64_t sp_moved)
{
    unsigned bytes = t->insn.operand_bytes;

    if (!is_unlimited(t, bytes)) {
        check_branch(t, eip, bytes);
    }
    if (!x86_is_code64(t) && !(t->mode & X86_MODE_FLAT_CS)) {
        eip = ir_op2(t->unit, IR_OP_add, IR_I64, eip, cs_base(t));
        eip = ir_extend(t->unit, IR_OP_zext, IR_I64, 2, eip);
    }
    ir_goto_checked(t->unit, eip, kind, t->offset | sp_moved * (1 << X86_ORIGIN_SHIFT));
    t->ended = true;
}

static void note_shadow(X86Translator *t)
{
    ir_set(t->unit, X86_VAR_SHADOW, IR_I64, ir_const(t->unit, IR_I64, X86_SHADOW_STI));
}

/* The unit ends before the instruction at t->offset, or behind the last one. */
static void end_unit(X86Translator *t, bool shadow)
{
    if (shadow) {
        note_shadow(t);
        ir_dispatch(t->unit, t->next);
    } else {
        ir_goto(t->unit, t->next);
    }
    t->ended = true;
}

/* Whether the instruction ends beyond the code segment's limit, for CS as it is now. */
static bool crosses_limit(const X86Translator *t)
{
    int64_t start = t->offset - (int64_t)(tcg_pc(&t->cpu->tcg) & (TCG_PAGE_SIZE - 1));

    return !(t->mode & X86_MODE_FLAT_CS) && !x86_is_code64(t) &&
           (int64_t)x86_eip(t->cpu) + start + t->insn.length - 1 > t->cpu->seg[X86_CS].limit;
}

/*
 * Code that runs on to the limit of its segment. Only units that reach it look, when they run: the base and the limit are not in
 * a unit's key.
 */
static void check_end(X86Translator *t)
{
    IrRef limit, flags, eip;

    if (crosses_limit(t)) {
        eip = target_eip(t, -1);
        limit = ir_get(t->unit, X86_VAR_LIMIT + X86_CS, IR_I64);
        flags = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, eip, limit, 0);
        x86_call_if(t, IR_A, flags, &call_check_target, eip, x86_const(t, 4, 4));
    }
}

static void helper_begin_step(TcgState *env, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    cpu->step_from = tcg_pc(env);
    cpu->step_next = cpu->step_from + length;
}
X86_HELPER(begin_step, IR_VOID, X86_HELPER_FAULTING, IR_I32);

X86Translate x86_jmp, x86_jmp_indirect, x86_call_near, x86_call_indirect, x86_ret, x86_ret_release;

/* Branches that are always taken, wherever they lead: nothing follows them. */
static bool is_always_taken(const X86Translator *t)
{
    static X86Translate *const branches[] = {
        x86_jmp, x86_jmp_indirect, x86_call_near, x86_call_indirect, x86_ret, x86_ret_release
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(branches); i++) {
        if (t->insn.encoding->translate == branches[i]) {
            return true;
        }
    }
    return false;
}

static void begin_step(X86Translator *t, X86DecodeResult result)
{
    unsigned length = result == X86_DECODED && is_always_taken(t) ? 0 : t->insn.length;

    x86_call(t, &call_begin_step, x86_const(t, 4, length), 0, 0, 0);
}

static void translate_instruction(X86Translator *t, X86DecodeResult result)
{
    ir_begin_insn(t->unit, t->offset, t->insn.opcode);
    t->has_address = t->shadow = false;
    if (t->mode & (X86_MODE_TF | X86_MODE_RECORDS)) {
        begin_step(t, result);
    }
    check_end(t);
    switch (result) {
    case X86_DECODE_UNDEFINED:
        x86_undefined(t);
        break;
    case X86_DECODE_TOO_LONG:
        x86_raise(t, X86_GP);
        break;
    default:
        x86_svm_intercept_plain(t, false);
        t->insn.encoding->translate(t);
    }
}

void x86_translate(IrUnit *unit, TcgState *env, TcgCode *code, uint16_t start, uint64_t mode,
                   unsigned max_insns)
{
    X86Translator t = { .unit = unit,
                        .cpu = x86_cpu_of_env(env),
                        .code = code,
                        .mode = mode,
                        .next = start,
                        .max_insns = max_insns };
    bool shadow = false;

    unit->insn_count = 0;
    for (;;) {
        X86DecodeResult result;

        t.offset = t.next;
        result = x86_decode(&t.insn, t.cpu, code, t.offset, mode);
        if (result == X86_DECODE_NEEDS_NEXT || t.offset + t.insn.length > TCG_PAGE_SIZE) {
            if (unit->insn_count) {
                code->needs = 0;
                end_unit(&t, shadow);
                return;
            }
            if (result == X86_DECODE_NEEDS_NEXT) {
                return;
            }
        }
        t.next = (uint16_t)(t.offset + t.insn.length);
        translate_instruction(&t, result);
        unit->insn_count++;
        unit->end = MAX(unit->end, t.offset + t.insn.length);
        if (t.ended) {
            return;
        }
        /* What follows a shadow is a unit's end: an interrupt may have been waiting for it. */
        if (t.next >= TCG_PAGE_SIZE || unit->insn_count >= max_insns || unit->full ||
            t.side_exits >= MAX_SIDE_EXITS || shadow) {
            end_unit(&t, t.shadow);
            return;
        }
        shadow = t.shadow;
    }
}
