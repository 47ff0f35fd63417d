/* SPDX-License-Identifier: MIT */
/* Moves of vectors and parts of them, MXCSR, and what else is not a function of its sources alone. */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/vector-rows.h"

static void move_vector(X86Translator *t, bool aligned)
{
    IrRef values[2];

    if (x86_vector_refused(t)) {
        return;
    }
    x86_read_halves(t, 1, aligned, values);
    x86_write_vector(t, 0, values, aligned);
}

X86(mova, "NP 0F 28 /r", "Vx Wx", "SSE")
X86(mova, "NP 0F 29 /r", "Wx Vx", "SSE")
X86(mova, "66 0F 28 /r", "Vx Wx", "SSE2")
X86(mova, "66 0F 29 /r", "Wx Vx", "SSE2")
X86(mova, "66 0F 6F /r", "Vx Wx", "SSE2")
X86(mova, "66 0F 7F /r", "Wx Vx", "SSE2")
X86(mova, "NP 0F 2B /r mem", "Wx Vx", "SSE")
X86(mova, "66 0F 2B /r mem", "Wx Vx", "SSE2")
X86(mova, "66 0F E7 /r mem", "Wx Vx", "SSE2")
X86(mova, "66 0F 38 2A /r mem", "Vx Wx", "SSE4_1")
X86(mova, "VEX.0F 28 /r", "Vx Wx", "AVX")
X86(mova, "VEX.0F 29 /r", "Wx Vx", "AVX")
X86(mova, "VEX.66.0F 28 /r", "Vx Wx", "AVX")
X86(mova, "VEX.66.0F 29 /r", "Wx Vx", "AVX")
X86(mova, "VEX.66.0F 6F /r", "Vx Wx", "AVX")
X86(mova, "VEX.66.0F 7F /r", "Wx Vx", "AVX")
X86(mova, "VEX.0F 2B /r mem", "Wx Vx", "AVX")
X86(mova, "VEX.66.0F 2B /r mem", "Wx Vx", "AVX")
X86(mova, "VEX.66.0F E7 /r mem", "Wx Vx", "AVX")
X86(mova, "VEX.128.66.0F38 2A /r mem", "Vx Wx", "AVX")
X86(mova, "VEX.256.66.0F38 2A /r mem", "Vx Wx", "AVX2")
void x86_mova(X86Translator *t)
{
    move_vector(t, true);
}

X86(movu, "NP 0F 10 /r", "Vx Wx", "SSE")
X86(movu, "NP 0F 11 /r", "Wx Vx", "SSE")
X86(movu, "66 0F 10 /r", "Vx Wx", "SSE2")
X86(movu, "66 0F 11 /r", "Wx Vx", "SSE2")
X86(movu, "F3 0F 6F /r", "Vx Wx", "SSE2")
X86(movu, "F3 0F 7F /r", "Wx Vx", "SSE2")
X86(movu, "F2 0F F0 /r mem", "Vx Wx", "SSE3")
X86(movu, "VEX.0F 10 /r", "Vx Wx", "AVX")
X86(movu, "VEX.0F 11 /r", "Wx Vx", "AVX")
X86(movu, "VEX.66.0F 10 /r", "Vx Wx", "AVX")
X86(movu, "VEX.66.0F 11 /r", "Wx Vx", "AVX")
X86(movu, "VEX.F3.0F 6F /r", "Vx Wx", "AVX")
X86(movu, "VEX.F3.0F 7F /r", "Wx Vx", "AVX")
X86(movu, "VEX.F2.0F F0 /r mem", "Vx Wx", "AVX")
void x86_movu(X86Translator *t)
{
    move_vector(t, false);
}

/* Scalars and MMX: a load clears the rest, a store takes the low part. */
X86(move_low, "F3 0F 10 /r mem", "Vdq Wd", "SSE")
X86(move_low, "F3 0F 11 /r mem", "Wd Vdq", "SSE")
X86(move_low, "F3 0F 2B /r mem", "Wd Vdq", "SSE4A")
X86(move_low, "F2 0F 2B /r mem", "Wq Vdq", "SSE4A")
X86(move_low, "F2 0F 10 /r mem", "Vdq Wq", "SSE2")
X86(move_low, "F2 0F 11 /r mem", "Wq Vdq", "SSE2")
X86(move_low, "66 0F D6 /r mem", "Wq Vdq", "SSE2")
X86(move_low, "NP 0F 13 /r mem", "Wq Vdq", "SSE")
X86(move_low, "66 0F 13 /r mem", "Wq Vdq", "SSE2")
X86(move_low, "VEX.F3.0F 10 /r mem", "Vdq Wd", "AVX")
X86(move_low, "VEX.F3.0F 11 /r mem", "Wd Vdq", "AVX")
X86(move_low, "VEX.F2.0F 10 /r mem", "Vdq Wq", "AVX")
X86(move_low, "VEX.F2.0F 11 /r mem", "Wq Vdq", "AVX")
X86(move_low, "VEX.128.66.0F D6 /r mem", "Wq Vdq", "AVX")
X86(move_low, "VEX.128.0F 13 /r mem", "Wq Vdq", "AVX")
X86(move_low, "VEX.128.66.0F 13 /r mem", "Wq Vdq", "AVX")
X86(move_low, "NP 0F 6F /r", "Pq Qq", "MMX")
X86(move_low, "NP 0F 7F /r", "Qq Pq", "MMX")
X86(move_low, "NP 0F E7 /r mem", "Qq Pq", "MMXEXT")
void x86_move_low(X86Translator *t)
{
    IrRef values[2] = { 0 };

    if (x86_vector_refused(t)) {
        return;
    }
    values[0] = x86_read_vector(t, 1, 0, false);
    x86_write_vector(t, 0, values, false);
    if (t->insn.operands[0].memory && t->insn.operands[1].kind == X86_OPERAND_P) {
        x86_enter_mmx(t);
    }
}

static IrRef insert_lane(X86Translator *t, unsigned esz, IrRef a, unsigned to, IrRef b,
                         unsigned from)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_vinslane,
                                    .type = IR_V128,
                                    .esz = (uint8_t)esz,
                                    .args = { a, b },
                                    .imm = to,
                                    .aux = from });
}

/* Registers: the low lane of the last operand, the rest of the first source. */
static void merge_scalar(X86Translator *t, unsigned esz)
{
    unsigned last = t->insn.operand_count - 1;
    IrRef rest, lane;

    if (x86_vector_refused(t)) {
        return;
    }
    rest = x86_read_vector(t, last - 1, 0, false);
    lane = x86_read_vector(t, last, 0, false);
    x86_write_low(t, t->insn.operands[0].reg, insert_lane(t, esz, rest, 0, lane, 0));
}

X86(movss, "F3 0F 10 /r reg", "Vdq Wd", "SSE")
X86(movss, "F3 0F 11 /r reg", "Wd Vdq", "SSE")
X86(movss, "VEX.F3.0F 10 /r reg", "Vdq Hdq Wd", "AVX")
X86(movss, "VEX.F3.0F 11 /r reg", "Wd Hdq Vdq", "AVX")
void x86_movss(X86Translator *t)
{
    merge_scalar(t, 2);
}

X86(movsd, "F2 0F 10 /r reg", "Vdq Wq", "SSE2")
X86(movsd, "F2 0F 11 /r reg", "Wq Vdq", "SSE2")
X86(movsd, "VEX.F2.0F 10 /r reg", "Vdq Hdq Wq", "AVX")
X86(movsd, "VEX.F2.0F 11 /r reg", "Wq Hdq Vdq", "AVX")
void x86_movsd(X86Translator *t)
{
    merge_scalar(t, 3);
}

/* One half of the result from the last operand's doubleword `from`, the other one from the first source. */
static void insert_half(X86Translator *t, unsigned to, unsigned from)
{
    unsigned last = t->insn.operand_count - 1;
    IrRef rest, half;

    if (x86_vector_refused(t)) {
        return;
    }
    rest = x86_read_vector(t, last - 1, 0, false);
    half = x86_read_vector(t, last, 0, false);
    x86_write_low(t, t->insn.operands[0].reg, insert_lane(t, 3, rest, to, half, from));
}

X86(movlp, "NP 0F 12 /r mem", "Vdq Wq", "SSE")
X86(movlp, "66 0F 12 /r mem", "Vdq Wq", "SSE2")
X86(movlp, "VEX.128.0F 12 /r mem", "Vdq Hdq Wq", "AVX")
X86(movlp, "VEX.128.66.0F 12 /r mem", "Vdq Hdq Wq", "AVX")
void x86_movlp(X86Translator *t)
{
    insert_half(t, 0, 0);
}

X86(movhp, "NP 0F 16 /r", "Vdq Wq", "SSE")
X86(movhp, "66 0F 16 /r mem", "Vdq Wq", "SSE2")
X86(movhp, "VEX.128.0F 16 /r", "Vdq Hdq Wq", "AVX")
X86(movhp, "VEX.128.66.0F 16 /r mem", "Vdq Hdq Wq", "AVX")
void x86_movhp(X86Translator *t)
{
    insert_half(t, 1, 0);
}

X86(movhlps, "NP 0F 12 /r reg", "Vdq Wdq", "SSE")
X86(movhlps, "VEX.128.0F 12 /r reg", "Vdq Hdq Wdq", "AVX")
void x86_movhlps(X86Translator *t)
{
    insert_half(t, 0, 1);
}

X86(movhp_store, "NP 0F 17 /r mem", "Wq Vdq", "SSE")
X86(movhp_store, "66 0F 17 /r mem", "Wq Vdq", "SSE2")
X86(movhp_store, "VEX.128.0F 17 /r mem", "Wq Vdq", "AVX")
X86(movhp_store, "VEX.128.66.0F 17 /r mem", "Wq Vdq", "AVX")
void x86_movhp_store(X86Translator *t)
{
    IrRef values[2] = { 0 };

    if (x86_vector_refused(t)) {
        return;
    }
    values[0] = ir_vop1(t->unit, IR_OP_vhigh, 3, x86_read_vector(t, 1, 0, false), 0);
    x86_write_vector(t, 0, values, false);
}

static IrRef zero_extend(X86Translator *t, unsigned bytes, IrRef value)
{
    return ir_vop1(t->unit, IR_OP_vzext, x86_log2(bytes), value, 0);
}

static IrRef from_integer(X86Translator *t, unsigned bytes, IrRef value)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_vfromint,
                                    .type = IR_V128,
                                    .esz = (uint8_t)x86_log2(bytes),
                                    .args = { value } });
}

static IrRef to_integer(X86Translator *t, unsigned bytes, IrRef value)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_vlane,
                                    .type = (uint8_t)x86_type(bytes),
                                    .esz = (uint8_t)x86_log2(bytes),
                                    .args = { value } });
}

/* MOVQ of vector registers clears the upper half. */
X86(movq, "F3 0F 7E /r", "Vdq Wq", "SSE2")
X86(movq, "66 0F D6 /r reg", "Wq Vdq", "SSE2")
X86(movq, "VEX.128.F3.0F 7E /r", "Vdq Wq", "AVX")
X86(movq, "VEX.128.66.0F D6 /r reg", "Wq Vdq", "AVX")
void x86_movq(X86Translator *t)
{
    if (!x86_vector_refused(t)) {
        x86_write_low(t, t->insn.operands[0].reg,
                      zero_extend(t, 8, x86_read_vector(t, 1, 0, false)));
    }
}

X86(movd_to, "66 0F 6E /r", "Vdq Ey", "SSE2")
X86(movd_to, "VEX.128.66.0F 6E /r", "Vdq Ey", "AVX")
X86(movd_to, "NP 0F 6E /r", "Pq Ey", "MMX")
void x86_movd_to(X86Translator *t)
{
    IrRef value;

    if (x86_vector_refused(t)) {
        return;
    }
    value = x86_read(t, 1);
    if (t->insn.operands[0].kind == X86_OPERAND_P) {
        x86_set_mmx(t, t->insn.operands[0].reg, x86_zext(t, x86_bytes(t, 1), value));
    } else {
        x86_write_low(t, t->insn.operands[0].reg, from_integer(t, x86_bytes(t, 1), value));
    }
}

X86(movd_from, "66 0F 7E /r", "Ey Vdq", "SSE2")
X86(movd_from, "VEX.128.66.0F 7E /r", "Ey Vdq", "AVX")
X86(movd_from, "NP 0F 7E /r", "Ey Pq", "MMX")
void x86_movd_from(X86Translator *t)
{
    if (x86_vector_refused(t)) {
        return;
    }
    x86_write(t, 0, to_integer(t, x86_bytes(t, 0), x86_read_vector(t, 1, 0, false)));
    if (t->insn.operands[1].kind == X86_OPERAND_P) {
        x86_enter_mmx(t);
    }
}

/* Between MMX and SSE registers. */

static void mmx_to_sse(X86Translator *t, unsigned mmx)
{
    x86_write_low(t, t->insn.operands[0].reg, from_integer(t, 8, x86_get_mmx(t, mmx)));
    x86_enter_mmx(t);
}

X86(movq2dq, "F3 0F D6 /r", "Vdq Nq", "SSE2")
void x86_movq2dq(X86Translator *t)
{
    if (!x86_vector_refused(t)) {
        mmx_to_sse(t, t->insn.operands[1].reg);
    }
}

X86(movdq2q, "F2 0F D6 /r", "Pq Udq", "SSE2")
void x86_movdq2q(X86Translator *t)
{
    if (!x86_vector_refused(t)) {
        x86_set_mmx(t, t->insn.operands[0].reg, to_integer(t, 8, x86_read_vector(t, 1, 0, false)));
    }
}

/* Conversions between the two lanes of an MMX register and SSE: the others are zeros, which note nothing. */
static void convert_mmx(X86Translator *t, const X86Simd *row, bool keep_upper)
{
    const X86Operand *to = &t->insn.operands[0], *from = &t->insn.operands[1];
    bool enters = to->kind == X86_OPERAND_P || !from->memory;
    IrRef source, result;

    if (x86_vector_refused(t)) {
        return;
    }
    source = x86_read_vector(t, 1, 0, !(t->mode & X86_MODE_MISALIGNED));
    if (from->bytes == 8) {
        source = zero_extend(t, 8, source);
    }
    /* Also when an exception keeps the result from being written. */
    if (enters) {
        x86_enter_mmx(t);
    }
    x86_begin_float(t);
    result = x86_vector_op(t, row->helper, source, 0, 0, 0);
    x86_end_float(t);
    if (to->kind == X86_OPERAND_P) {
        x86_set_mmx(t, to->reg, to_integer(t, 8, result));
        return;
    }
    if (keep_upper) {
        result = insert_lane(t, 3, x86_get_xmm(t, to->reg, 0), 0, result, 0);
    }
    x86_write_low(t, to->reg, result);
}

extern const X86Simd x86_vector_cvtdq2ps, x86_vector_cvtdq2pd, x86_vector_cvtps2dq,
    x86_vector_cvttps2dq, x86_vector_cvtpd2dq, x86_vector_cvttpd2dq;

X86(cvtpi2ps, "NP 0F 2A /r", "Vdq Qq", "SSE")
void x86_cvtpi2ps(X86Translator *t)
{
    /* Its memory form, unlike CVTPI2PD's, is an MMX instruction as far as the x87 state goes. */
    convert_mmx(t, &x86_vector_cvtdq2ps, true);
}

X86(cvtpi2pd, "66 0F 2A /r", "Vdq Qq", "SSE2")
void x86_cvtpi2pd(X86Translator *t)
{
    convert_mmx(t, &x86_vector_cvtdq2pd, false);
}

X86(cvtps2pi, "NP 0F 2D /r", "Pq Wq", "SSE")
void x86_cvtps2pi(X86Translator *t)
{
    convert_mmx(t, &x86_vector_cvtps2dq, false);
}

X86(cvttps2pi, "NP 0F 2C /r", "Pq Wq", "SSE")
void x86_cvttps2pi(X86Translator *t)
{
    convert_mmx(t, &x86_vector_cvttps2dq, false);
}

X86(cvtpd2pi, "66 0F 2D /r", "Pq Wdq", "SSE2")
void x86_cvtpd2pi(X86Translator *t)
{
    convert_mmx(t, &x86_vector_cvtpd2dq, false);
}

X86(cvttpd2pi, "66 0F 2C /r", "Pq Wdq", "SSE2")
void x86_cvttpd2pi(X86Translator *t)
{
    convert_mmx(t, &x86_vector_cvttpd2dq, false);
}

/* Bytes whose mask has its top bit set, to DS:rDI. */
static void helper_masked_bytes(TcgState *env, uint64_t address, V128 value, V128 mask,
                                uint64_t flags)
{
    Lanes bytes = { value }, selected = { mask };

    for (unsigned i = 0; i < 16; i++) {
        if (selected.b[i] & 0x80) {
            tcg_check_store(env, address + i, 1, (unsigned)flags);
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        if (selected.b[i] & 0x80) {
            tcg_store(env, address + i, bytes.b[i], 1, (unsigned)flags);
        }
    }
}
static const TcgHelper call_masked_bytes = { .name = "masked_bytes",
                                             .function = (void *)helper_masked_bytes,
                                             .result = IR_VOID,
                                             .flags = X86_HELPER_FAULTING | HELPER_IMM,
                                             .arg_types = { IR_I64, IR_V128, IR_V128 } };
TCG_HELPER(call_masked_bytes);

X86(maskmov, "NP 0F F7 /r", "Pq Nq", "MMXEXT")
X86(maskmov, "66 0F F7 /r", "Vdq Udq", "SSE2")
X86(maskmov, "VEX.128.66.0F F7 /r", "Vdq Udq", "AVX")
void x86_maskmov(X86Translator *t)
{
    X86SegmentName segment = t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment : X86_DS;
    IrRef address;
    int64_t imm = 0;

    if (x86_vector_refused(t)) {
        return;
    }
    address = x86_get_reg64(t, X86_RDI);
    if (t->insn.address_bytes != 8) {
        address = x86_zext(t, t->insn.address_bytes, address);
    }
    address = x86_linear(t, segment, address, &imm, x86_bytes(t, 0), true);
    x86_vector_op(t, &call_masked_bytes, address, x86_read_vector(t, 0, 0, false),
                  x86_read_vector(t, 1, 0, false), (int64_t)x86_memory_flags(t));
    if (t->insn.operands[0].kind == X86_OPERAND_P) {
        x86_enter_mmx(t);
    }
}

/* MXCSR. */

enum { MXCSR_FLAGS = 0x3f };

/* While the guest masks all exceptions, and has no bits that hosts may lack, the host's MXCSR is its own. */
static bool has_host_mxcsr(const X86Translator *t)
{
    return !(t->mode & (X86_MODE_SSE_TRAPS | X86_MODE_MISALIGNED));
}

static const IrHostCode host_stmxcsr = { .form = IR_HOST_STMXCSR };
static const IrHostCode host_ldmxcsr = { .form = IR_HOST_LDMXCSR };

static uint32_t helper_stmxcsr(TcgState *env)
{
    return x86_get_mxcsr(x86_cpu_of_env(env));
}
X86_HELPER(stmxcsr, IR_I32, HELPER_ENV | HELPER_EFFECT, IR_VOID);
static const TcgHelper call_stmxcsr_host = { .name = "stmxcsr",
                                             .function = (void *)helper_stmxcsr,
                                             .result = IR_I32,
                                             .flags = HELPER_ENV | HELPER_EFFECT,
                                             .host = &host_stmxcsr };
TCG_HELPER(call_stmxcsr_host);

static IrRef get_mxcsr(X86Translator *t)
{
    return x86_call(t, has_host_mxcsr(t) ? &call_stmxcsr_host : &call_stmxcsr, 0, 0, 0, 0);
}

static void helper_ldmxcsr_flags(TcgState *env, uint32_t value)
{
    x86_set_mxcsr(x86_cpu_of_env(env), value);
}
static const TcgHelper call_ldmxcsr_flags = { .name = "ldmxcsr_flags",
                                              .function = (void *)helper_ldmxcsr_flags,
                                              .result = IR_VOID,
                                              .flags = HELPER_ENV | HELPER_EFFECT,
                                              .arg_types = { IR_I32 },
                                              .host = &host_ldmxcsr };
TCG_HELPER(call_ldmxcsr_flags);

static void helper_ldmxcsr(TcgState *env, uint32_t value)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (value & ~x86_mxcsr_mask(cpu)) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_set_mxcsr(cpu, value);
}
X86_HELPER(ldmxcsr, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

/* Libraries clear flags and put them back; other changes are rare, and may be of the mode. */
static void load_mxcsr(X86Translator *t, IrRef value)
{
    IrUnit *unit = t->unit;
    IrRef old, change, flags;

    if (has_host_mxcsr(t)) {
        old = get_mxcsr(t);
        change = ir_op2(unit, IR_OP_xor, IR_I32, old, value);
        flags = ir_op2i(unit, IR_OP_and, IR_I32, change, MXCSR_FLAGS);
        x86_call(t, &call_ldmxcsr_flags, ir_op2(unit, IR_OP_xor, IR_I32, old, flags), 0, 0, 0);
        flags = ir_flags(unit, IR_OP_andf, IR_I32, 2, 0, change,
                         ir_const(unit, IR_I32, ~MXCSR_FLAGS), 0);
        ir_exit_if(unit, IR_EQ, flags, t->next);
    }
    x86_call(t, &call_ldmxcsr, value, 0, 0, 0);
    x86_dispatch_next(t);
}

X86(ldmxcsr, "NP 0F AE /2 mem", "Md", "SSE")
X86(ldmxcsr, "VEX.128.0F AE /2 mem", "Md", "AVX")
void x86_ldmxcsr(X86Translator *t)
{
    if (!x86_gate_refused(t, t->insn.vex ? X86_GATE_AVX : X86_GATE_SSE)) {
        load_mxcsr(t, x86_read(t, 0));
    }
}

X86(stmxcsr, "NP 0F AE /3 mem", "Md", "SSE")
X86(stmxcsr, "VEX.128.0F AE /3 mem", "Md", "AVX")
void x86_stmxcsr(X86Translator *t)
{
    if (!x86_gate_refused(t, t->insn.vex ? X86_GATE_AVX : X86_GATE_SSE)) {
        x86_write(t, 0, get_mxcsr(t));
    }
}

/* Tests of bits. */

static uint16_t vector_ptest(V128 a, V128 b)
{
    V128 both = a & b, only_b = ~a & b;

    return (uint16_t)((both[0] | both[1] ? 0 : TCG_FLAG_Z) |
                      (only_b[0] | only_b[1] ? 0 : TCG_FLAG_C));
}
#define TEST_ROW(name)                                                                             \
    X86_VECTOR_HELPER(name, vector_##name, IR_FLAGS, 0, 0, name, IR_V128, IR_V128);                \
    ROW_OF(name)
SIMD(ptest, "66 0F 38 17 /r", "Vx Wx", "SSE4_1 v0:AVX form:COMPARE", TEST_ROW)

/* Bit fields of the low half (SSE4a). Length 0 means 64; what does not fit into 64 bits is undefined. */

static uint64_t field_mask(uint64_t length)
{
    return length & 63 ? (UINT64_C(1) << (length & 63)) - 1 : UINT64_MAX;
}

static uint64_t extract_field(uint64_t value, uint64_t length, uint64_t start)
{
    return value >> (start & 63) & field_mask(length);
}
static const TcgHelper call_extract_field = { .name = "extract_field",
                                              .function = (void *)extract_field,
                                              .result = IR_I64,
                                              .arg_types = { IR_I64, IR_I64, IR_I64 } };
TCG_HELPER(call_extract_field);

static uint64_t insert_field(uint64_t value, uint64_t field, uint64_t length, uint64_t start)
{
    uint64_t mask = field_mask(length) << (start & 63);

    return (value & ~mask) | (field << (start & 63) & mask);
}
static const TcgHelper call_insert_field = { .name = "insert_field",
                                             .function = (void *)insert_field,
                                             .result = IR_I64,
                                             .arg_types = { IR_I64, IR_I64, IR_I64, IR_I64 } };
TCG_HELPER(call_insert_field);

/* Length and start: immediates, or bits 5:0 and 13:8 of a doubleword. */
static void field_of(X86Translator *t, unsigned n, IrRef control, IrRef *length, IrRef *start)
{
    if (n + 1 < t->insn.operand_count) {
        *length = ir_const(t->unit, IR_I64, t->insn.operands[n].imm);
        *start = ir_const(t->unit, IR_I64, t->insn.operands[n + 1].imm);
        return;
    }
    *length = control;
    *start = ir_op2i(t->unit, IR_OP_shr, IR_I64, control, 8);
}

X86(extrq, "66 0F 78 /0 reg", "Udq Ib Ib", "SSE4A")
X86(extrq, "66 0F 79 /r reg", "Vdq Udq", "SSE4A")
void x86_extrq(X86Translator *t)
{
    IrRef length, start, control = 0, value;

    if (x86_vector_refused(t)) {
        return;
    }
    value = to_integer(t, 8, x86_read_vector(t, 0, 0, false));
    if (t->insn.operands[1].kind == X86_OPERAND_U) {
        control = to_integer(t, 8, x86_read_vector(t, 1, 0, false));
    }
    field_of(t, 1, control, &length, &start);
    value = x86_call(t, &call_extract_field, value, length, start, 0);
    x86_write_low(t, t->insn.operands[0].reg, from_integer(t, 8, value));
}

X86(insertq, "F2 0F 78 /r reg", "Vdq Udq Ib Ib", "SSE4A")
X86(insertq, "F2 0F 79 /r reg", "Vdq Udq", "SSE4A")
void x86_insertq(X86Translator *t)
{
    IrRef length, start, control, value, source;

    if (x86_vector_refused(t)) {
        return;
    }
    value = to_integer(t, 8, x86_read_vector(t, 0, 0, false));
    source = x86_read_vector(t, 1, 0, false);
    control = to_integer(t, 8, ir_vop1(t->unit, IR_OP_vhigh, 3, source, 0));
    field_of(t, 2, control, &length, &start);
    value = x86_call(t, &call_insert_field, value, to_integer(t, 8, source), length, start);
    x86_write_low(t, t->insn.operands[0].reg, from_integer(t, 8, value));
}
