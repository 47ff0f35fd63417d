/* SPDX-License-Identifier: MIT */
/* What vector instructions share: who may use them, operands, the translator of SIMD lines, unmasked exceptions. */
#include "target/i386/vector.h"

#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/x87.h"

static void helper_check_x87(TcgState *env)
{
    x87_settle(x86_cpu_of_env(env));
    x87_check_pending(x86_cpu_of_env(env));
}
X86_HELPER(check_x87, IR_VOID, X86_HELPER_SYSTEM, IR_VOID);

bool x86_gate_refused(X86Translator *t, X86Gate gate)
{
    bool undefined = gate == X86_GATE_AVX ? !(t->mode & X86_MODE_AVX)
                     : gate == X86_GATE_SSE
                         ? (t->mode & X86_MODE_EM) || !(t->mode & X86_MODE_OSFXSR)
                         : (t->mode & X86_MODE_EM) != 0;

    if (undefined) {
        x86_undefined(t);
        return true;
    }
    if (t->mode & X86_MODE_TS) {
        x86_raise(t, X86_NM);
        return true;
    }
    if (gate == X86_GATE_MMX && !t->mmx_begun) {
        x86_call(t, &call_check_x87, 0, 0, 0, 0);
        t->mmx_begun = true;
    }
    return false;
}

static bool has_operand(const X86Translator *t, X86OperandKind a, X86OperandKind b,
                        X86OperandKind c)
{
    for (unsigned i = 0; i < t->insn.operand_count; i++) {
        unsigned kind = t->insn.operands[i].kind;

        if (kind == a || kind == b || kind == c) {
            return true;
        }
    }
    return false;
}

static bool uses_mmx(const X86Translator *t)
{
    for (unsigned i = 0; i < t->insn.operand_count; i++) {
        const X86Operand *o = &t->insn.operands[i];

        if (o->kind == X86_OPERAND_P || o->kind == X86_OPERAND_N ||
            (o->kind == X86_OPERAND_Q && !o->memory)) {
            return true;
        }
    }
    return false;
}

bool x86_vector_refused(X86Translator *t)
{
    bool sse = has_operand(t, X86_OPERAND_V, X86_OPERAND_W, X86_OPERAND_U);

    if (t->insn.vex) {
        return x86_gate_refused(t, X86_GATE_AVX);
    }
    if (sse && x86_gate_refused(t, X86_GATE_SSE)) {
        return true;
    }
    return (uses_mmx(t) || !sse) && x86_gate_refused(t, X86_GATE_MMX);
}

/* Registers. */

IrRef x86_get_xmm(X86Translator *t, unsigned reg, unsigned half)
{
    return ir_get(t->unit, (half ? X86_VAR_YMM : X86_VAR_XMM) + reg, IR_V128);
}

void x86_set_xmm(X86Translator *t, unsigned reg, unsigned half, IrRef value)
{
    ir_set(t->unit, (half ? X86_VAR_YMM : X86_VAR_XMM) + reg, IR_V128, value);
}

IrRef x86_zero_vector(X86Translator *t)
{
    return ir_const(t->unit, IR_V128, 0);
}

unsigned x86_halves(const X86Translator *t)
{
    return t->insn.vex && t->insn.vex_l ? 2 : 1;
}

void x86_write_low(X86Translator *t, unsigned reg, IrRef value)
{
    x86_set_xmm(t, reg, 0, value);
    if (t->insn.vex) {
        x86_set_xmm(t, reg, 1, x86_zero_vector(t));
    }
}

/* MMX registers. */

static void helper_enter_mmx(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    cpu->x87.top = 0;
    cpu->x87.valid = 0xff;
}
X86_HELPER(enter_mmx, IR_VOID, HELPER_ENV | HELPER_EFFECT, IR_VOID);

IrRef x86_get_mmx(X86Translator *t, unsigned reg)
{
    return ir_get(t->unit, X86_VAR_MMX + (reg & 7), IR_I64);
}

void x86_set_mmx(X86Translator *t, unsigned reg, IrRef value)
{
    ir_set(t->unit, X86_VAR_MMX + (reg & 7), IR_I64, value);
    ir_set(t->unit, X86_VAR_MMX_ABOVE + (reg & 7), IR_I64, ir_const(t->unit, IR_I64, 0xffff));
    x86_enter_mmx(t);
}

void x86_enter_mmx(X86Translator *t)
{
    if (!t->mmx_entered) {
        x86_call(t, &call_enter_mmx, 0, 0, 0, 0);
        t->mmx_entered = true;
    }
}

/* Variables are written back before it, and forgotten. */
static void helper_end_mmx(TcgState *env)
{
}
X86_HELPER(end_mmx, IR_VOID, HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT, IR_VOID);

void x86_end_mmx(X86Translator *t)
{
    if (t->mmx_begun) {
        x86_call(t, &call_end_mmx, 0, 0, 0, 0);
        t->mmx_begun = t->mmx_entered = false;
    }
}

/* Operands. */

static unsigned vector_flags(const X86Translator *t, unsigned bytes, bool aligned)
{
    unsigned flags = x86_memory_flags(t);

    if (bytes >= 16) {
        flags &= ~(unsigned)IR_MEM_ALIGNED;
        return aligned ? flags | IR_MEM_ALIGNED : flags;
    }
    return flags;
}

static unsigned log2_bytes(unsigned bytes)
{
    return bytes >= 16 ? 4 : x86_log2(bytes);
}

IrRef x86_memory_address(X86Translator *t, unsigned bytes, bool write)
{
    IrRef address = x86_address(t, bytes, write);

    return t->address_imm ? ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm) : address;
}

static bool is_memory(const X86Operand *o)
{
    return o->memory &&
           (o->kind == X86_OPERAND_W || o->kind == X86_OPERAND_Q || o->kind == X86_OPERAND_M);
}

static IrRef load_vector(X86Translator *t, const X86Operand *o, bool aligned)
{
    IrRef address = x86_address(t, o->bytes, false);

    return ir_load(t->unit, IR_V128, log2_bytes(o->bytes), vector_flags(t, o->bytes, aligned),
                   address, t->address_imm);
}

/* 32 bytes, of which the alignment is one. */
static void load_halves(X86Translator *t, const X86Operand *o, bool aligned, IrRef halves[2])
{
    IrRef address = x86_address(t, o->bytes, false), cookie;

    cookie = ir_emit(t->unit, (IrOp){ .opcode = IR_OP_ldchk,
                                      .esz = 5,
                                      .sub = (uint16_t)vector_flags(t, o->bytes, aligned),
                                      .args = { address },
                                      .imm = t->address_imm,
                                      .aux = o->bytes });
    for (unsigned i = 0; i < 2; i++) {
        halves[i] = ir_emit(t->unit, (IrOp){ .opcode = IR_OP_ldraw,
                                             .type = IR_V128,
                                             .esz = 4,
                                             .args = { cookie },
                                             .imm = 16 * (int64_t)i });
    }
}

static IrRef vector_of_int(X86Translator *t, IrRef value)
{
    return ir_emit(
        t->unit, (IrOp){ .opcode = IR_OP_vfromint, .type = IR_V128, .esz = 3, .args = { value } });
}

static IrRef low_of_vector(X86Translator *t, IrRef value, unsigned lane)
{
    return ir_emit(
        t->unit,
        (IrOp){ .opcode = IR_OP_vlane, .type = IR_I64, .esz = 3, .args = { value }, .imm = lane });
}

/* As i32, or as i64 when it has 8 bytes. A register is meant as one of 32 bits at least. */
static IrRef read_integer(X86Translator *t, unsigned n)
{
    const X86Operand *o = &t->insn.operands[n];

    if (!o->memory) {
        return x86_get_reg(t, o->reg + (o->high ? 4u : 0), MAX(o->bytes, 4));
    }
    if (o->bytes < 4) {
        return ir_op1(t->unit, IR_OP_trunc, IR_I32, x86_read(t, n));
    }
    return x86_read(t, n);
}

IrRef x86_read_vector(X86Translator *t, unsigned n, unsigned half, bool aligned)
{
    const X86Operand *o = &t->insn.operands[n];

    if (is_memory(o)) {
        return load_vector(t, o, aligned);
    }
    switch (o->kind) {
    case X86_OPERAND_P:
    case X86_OPERAND_Q:
    case X86_OPERAND_N:
        return vector_of_int(t, x86_get_mmx(t, o->reg));
    case X86_OPERAND_V:
    case X86_OPERAND_H:
    case X86_OPERAND_W:
    case X86_OPERAND_U:
    case X86_OPERAND_L:
    case X86_OPERAND_XMM:
        return x86_get_xmm(t, o->reg, half);
    default:
        return read_integer(t, n);
    }
}

void x86_read_halves(X86Translator *t, unsigned n, bool aligned, IrRef halves[2])
{
    const X86Operand *o = &t->insn.operands[n];

    if (is_memory(o) && o->bytes == 32) {
        load_halves(t, o, aligned, halves);
        return;
    }
    halves[0] = x86_read_vector(t, n, 0, aligned);
    halves[1] = o->bytes == 32 ? x86_read_vector(t, n, 1, aligned) : halves[0];
}

static void store_vector(X86Translator *t, const X86Operand *o, const IrRef values[2], bool aligned)
{
    IrRef address = x86_address(t, o->bytes, true);
    unsigned flags = vector_flags(t, o->bytes, aligned);

    if (o->bytes == 32) {
        ir_emit(t->unit, (IrOp){ .opcode = IR_OP_st2,
                                 .type = IR_V128,
                                 .esz = 4,
                                 .sub = (uint16_t)flags,
                                 .args = { address, values[0], values[1] },
                                 .imm = t->address_imm });
        return;
    }
    ir_store(t->unit, IR_V128, log2_bytes(o->bytes), flags, address, t->address_imm, values[0]);
}

void x86_write_vector(X86Translator *t, unsigned n, const IrRef values[2], bool aligned)
{
    const X86Operand *o = &t->insn.operands[n];

    if (o->memory) {
        store_vector(t, o, values, aligned);
        return;
    }
    switch (o->kind) {
    case X86_OPERAND_P:
    case X86_OPERAND_Q:
    case X86_OPERAND_N:
        x86_set_mmx(t, o->reg, low_of_vector(t, values[0], 0));
        return;
    default:
        x86_write_low(t, o->reg, values[0]);
        if (t->insn.vex && o->bytes == 32) {
            x86_set_xmm(t, o->reg, 1, values[1]);
        }
    }
}

/*
 * Unmasked exceptions: what one instruction raises is looked at before its result is written. Its halves are computed one after the
 * other, and what each raises is put together.
 */

enum { MXCSR_PRE = 7, MXCSR_MASK_SHIFT = 7 };

static void helper_begin_float(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_hold_mxcsr_flags(cpu);
    cpu->mxcsr_raised = 0;
    tcg_begin_float_traps(env, x86_float_exceptions(~cpu->mxcsr >> MXCSR_MASK_SHIFT));
}
X86_HELPER(begin_float, IR_VOID, HELPER_ENV | HELPER_EFFECT, IR_VOID);

/* Adds what a half has raised: what the host says of an exception, or what there is without one. */
static void collect_raised(X86Cpu *cpu)
{
    unsigned trapped = tcg_end_float_traps(&cpu->tcg);

    cpu->mxcsr_raised |=
        x86_mxcsr_flags(trapped ? trapped : tcg_get_fp_control(&cpu->tcg).exceptions);
    x86_drop_mxcsr_flags(cpu);
}

static void helper_next_float(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    collect_raised(cpu);
    tcg_begin_float_traps(env, x86_float_exceptions(~cpu->mxcsr >> MXCSR_MASK_SHIFT));
}
X86_HELPER(next_float, IR_VOID, HELPER_ENV | HELPER_EFFECT, IR_VOID);

static void helper_end_float(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint32_t raised, unmasked;

    collect_raised(cpu);
    raised = cpu->mxcsr_raised;
    unmasked = raised & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT);
    /* What is seen before computing prevents it, and so what would be seen after. */
    if (unmasked & MXCSR_PRE) {
        raised &= MXCSR_PRE;
    }
    x86_set_mxcsr(cpu, cpu->mxcsr | raised);
    if (unmasked) {
        x86_fault(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? X86_XM : X86_UD, 0);
    }
}
X86_HELPER(end_float, IR_VOID, X86_HELPER_FAULTING, IR_VOID);

void x86_begin_float(X86Translator *t)
{
    if (t->mode & X86_MODE_SSE_TRAPS) {
        x86_call(t, &call_begin_float, 0, 0, 0, 0);
    }
}

static void next_float(X86Translator *t)
{
    if (t->mode & X86_MODE_SSE_TRAPS) {
        x86_call(t, &call_next_float, 0, 0, 0, 0);
    }
}

void x86_end_float(X86Translator *t)
{
    if (t->mode & X86_MODE_SSE_TRAPS) {
        x86_call(t, &call_end_float, 0, 0, 0, 0);
    }
}

/* Before what notes exceptions and then stores: a fault comes first, and leaves MXCSR alone. */
static void check_store(X86Translator *t, const X86Operand *o)
{
    IrRef address = x86_address(t, o->bytes, true);

    ir_emit(t->unit, (IrOp){ .opcode = IR_OP_ldchk,
                             .sub = (uint16_t)(vector_flags(t, o->bytes, false) | IR_MEM_FOR_WRITE |
                                               IR_MEM_ONLY_STORED),
                             .args = { address },
                             .imm = t->address_imm,
                             .aux = o->bytes });
}

/* SIMD lines. */

IrRef x86_vector_op(X86Translator *t, const TcgHelper *helper, IrRef a, IrRef b, IrRef c,
                    int64_t imm)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_call,
                                    .type = helper->result,
                                    .args = { a, b, c },
                                    .imm = imm,
                                    .helper = helper });
}

typedef struct {
    const X86Simd *row;
    const TcgHelper *helper;
    unsigned first; /* operand that is the first source */
    unsigned count; /* of sources */
    int64_t imm;
    bool mmx;
    IrRef sources[3][2]; /* by half */
} VectorInsn;

static unsigned count_arguments(const TcgHelper *helper)
{
    unsigned n = 0;

    while (n < 4 && helper->arg_types[n]) {
        n++;
    }
    return n;
}

static void find_operands(X86Translator *t, VectorInsn *v)
{
    unsigned values = 0;

    v->row = t->insn.encoding->vector;
    v->helper = v->row->helper;
    for (unsigned i = 0; i < t->insn.operand_count; i++) {
        const X86Operand *o = &t->insn.operands[i];

        if (o->kind == X86_OPERAND_I) {
            v->imm = o->imm & 0xff;
            continue;
        }
        values++;
        if ((o->kind == X86_OPERAND_E || o->kind == X86_OPERAND_G || o->kind == X86_OPERAND_R) &&
            o->bytes == 8 && v->row->wide) {
            v->helper = v->row->wide;
        }
    }
    v->count = v->helper ? count_arguments(v->helper) : 2;
    v->first = values - v->count;
    v->mmx = !t->insn.vex && uses_mmx(t);
    if (v->row->flags & X86_VECTOR_IMM3 && !t->insn.vex) {
        v->imm &= 7;
    }
    if ((v->row->flags & X86_VECTOR_INSERTPS) &&
        t->insn.operands[t->insn.operand_count - 2].memory) {
        v->imm &= 0x3f;
    }
    if (v->mmx && (v->row->flags & X86_VECTOR_LANE2)) {
        v->imm &= 3;
    }
}

/* Of a source whose lanes become wider: what the upper half is made of, at the bottom. */
static IrRef upper_source(X86Translator *t, const X86Operand *o, IrRef low)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_vext,
                                    .type = IR_V128,
                                    .args = { low, x86_zero_vector(t) },
                                    .imm = o->bytes / 2 });
}

static void read_sources(X86Translator *t, VectorInsn *v, unsigned halves)
{
    bool aligned =
        !t->insn.vex && !(v->row->flags & X86_VECTOR_UNALIGNED) && !(t->mode & X86_MODE_MISALIGNED);

    for (unsigned k = 0; k < v->count; k++) {
        unsigned n = v->first + k;

        x86_read_halves(t, n, aligned, v->sources[k]);
        if (v->row->flags & X86_VECTOR_WIDEN && halves == 2) {
            v->sources[k][1] = upper_source(t, &t->insn.operands[n], v->sources[k][0]);
        }
    }
}

static IrRef combine(X86Translator *t, IrRef a, IrRef b)
{
    return ir_vop2(t->unit, IR_OP_vcombine, 3, a, b);
}

/* MMX forms whose 64 bits are not simply the lower ones of 128. */
static void adapt_mmx_sources(X86Translator *t, VectorInsn *v)
{
    if (v->row->flags & X86_VECTOR_COMBINE) {
        v->sources[0][0] = combine(t, v->sources[0][0], v->sources[1][0]);
        v->sources[1][0] = x86_zero_vector(t);
    }
    if (v->row->flags & X86_VECTOR_HIGH) {
        v->sources[0][0] = combine(t, v->sources[0][0], v->sources[0][0]);
        v->sources[1][0] = combine(t, v->sources[1][0], v->sources[1][0]);
    }
    if (v->row->flags & X86_VECTOR_ALIGN) {
        /* In 128 bits: (a:b shifted by n) is PALIGNR of 0 and a:b. */
        v->sources[1][0] = combine(t, v->sources[1][0], v->sources[0][0]);
        v->sources[0][0] = x86_zero_vector(t);
    }
    if (v->row->flags & X86_VECTOR_INDEX3) {
        v->sources[1][0] =
            ir_vop2(t->unit, IR_OP_vand, 3, v->sources[1][0],
                    ir_const(t->unit, IR_V128, (int64_t)UINT64_C(0x8787878787878787)));
    }
}

static IrRef compute(X86Translator *t, const VectorInsn *v, unsigned half)
{
    const IrRef *a = v->sources[0], *b = v->sources[1];

    if (!v->helper) {
        return v->row->reversed ? ir_vop2(t->unit, v->row->opcode, 3, b[half], a[half])
                                : ir_vop2(t->unit, v->row->opcode, 3, a[half], b[half]);
    }
    return x86_vector_op(t, v->helper, a[half], b[half], v->sources[2][half],
                         half ? v->imm >> v->row->upper_shift : v->imm);
}

/* To memory of any size, or to a register of 32 or 64 bits, whose upper half becomes zero. */
static void write_integer(X86Translator *t, const X86Operand *o, IrType type, IrRef value)
{
    if (o->memory) {
        x86_write(t, 0, o->bytes < 4 ? x86_zext(t, 4, value) : value);
    } else {
        x86_set_reg64(t, o->reg + (o->high ? 4u : 0),
                      type == IR_I32 ? x86_zext(t, 4, value) : value);
    }
}

static void write_result(X86Translator *t, const VectorInsn *v, IrRef results[2], unsigned halves)
{
    const X86Operand *o = &t->insn.operands[0];

    switch (v->helper ? v->helper->result : IR_V128) {
    case IR_FLAGS:
        x86_set_flags(t, results[0]);
        break;
    case IR_V128:
        if (halves == 2 && (v->row->flags & X86_VECTOR_NARROW)) {
            results[0] = combine(t, results[0], results[1]);
        }
        x86_write_vector(t, 0, results, false);
        break;
    default:
        if (halves == 2 && (v->row->flags & X86_VECTOR_MASK)) {
            results[1] = ir_op2i(t->unit, IR_OP_shl, IR_I32, results[1], v->row->lanes);
            results[0] = ir_op2(t->unit, IR_OP_or, IR_I32, results[0], results[1]);
        }
        write_integer(t, o, v->helper->result, results[0]);
    }
}

void x86_vector_instruction(X86Translator *t)
{
    VectorInsn v = { 0 };
    unsigned halves = 1;
    IrRef results[2] = { 0 };

    if (x86_vector_refused(t)) {
        return;
    }
    if (t->insn.encoding->vector->flags & X86_VECTOR_STRING) {
        x86_compare_strings(t);
        return;
    }
    find_operands(t, &v);
    for (unsigned i = 0; i < t->insn.operand_count; i++) {
        halves = t->insn.vex && t->insn.operands[i].bytes == 32 ? 2 : halves;
    }
    read_sources(t, &v, halves);
    if (v.mmx) {
        adapt_mmx_sources(t, &v);
    }
    if (v.row->flags & X86_VECTOR_FP) {
        if (t->insn.operands[0].memory) {
            check_store(t, &t->insn.operands[0]);
        }
        x86_begin_float(t);
    }
    for (unsigned half = 0; half < halves; half++) {
        if (half && v.row->flags & X86_VECTOR_FP) {
            next_float(t);
        }
        results[half] = compute(t, &v, half);
    }
    if (v.row->flags & X86_VECTOR_FP) {
        x86_end_float(t);
    }
    if (v.mmx && (v.row->flags & X86_VECTOR_HIGH)) {
        results[0] = ir_vop1(t->unit, IR_OP_vhigh, 3, results[0], 0);
    }
    write_result(t, &v, results, halves);
    if (v.mmx && t->insn.operands[0].kind != X86_OPERAND_P) {
        x86_enter_mmx(t);
    }
}
