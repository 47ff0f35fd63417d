/* SPDX-License-Identifier: MIT */
/* Operands of x86 instructions: registers, memory with segmentation, the stack. */
#include "target/i386/segment.h"
#include "target/i386/translate.h"

IrRef x86_zext(X86Translator *t, unsigned bytes, IrRef value)
{
    return bytes == 8 ? value : ir_extend(t->unit, IR_OP_zext, IR_I64, x86_log2(bytes), value);
}

IrRef x86_sext(X86Translator *t, unsigned bytes, IrRef value)
{
    return bytes == 8 ? value : ir_extend(t->unit, IR_OP_sext, IR_I64, x86_log2(bytes), value);
}

IrRef x86_from64(X86Translator *t, unsigned bytes, IrRef value)
{
    return bytes == 4 ? ir_op1(t->unit, IR_OP_trunc, IR_I32, value) : value;
}

IrRef x86_get_reg(X86Translator *t, unsigned reg, unsigned bytes)
{
    return x86_from64(t, bytes, x86_get_reg64(t, reg));
}

void x86_set_reg(X86Translator *t, unsigned reg, unsigned bytes, IrRef value)
{
    if (bytes < 4) {
        value = ir_bitfield(t->unit, IR_OP_bfi, IR_I64, x86_get_reg64(t, reg), value, 0, 8 * bytes);
    }
    x86_set_reg64(t, reg, bytes == 4 ? x86_zext(t, 4, value) : value);
}

/* Segments and addresses. */

X86SegmentName x86_segment(const X86Translator *t)
{
    const X86Insn *insn = &t->insn;

    if (insn->segment >= 0) {
        return (X86SegmentName)insn->segment;
    }
    return insn->base == X86_RSP || insn->base == X86_RBP ? X86_SS : X86_DS;
}

static bool is_flat(const X86Translator *t, X86SegmentName segment, bool write)
{
    if (x86_is_code64(t)) {
        return true;
    }
    switch (segment) {
    case X86_CS:
        return !write && (t->mode & X86_MODE_FLAT_CS);
    case X86_FS:
        return t->mode & X86_MODE_FS_FLAT;
    case X86_GS:
        return t->mode & X86_MODE_GS_FLAT;
    default:
        return t->mode & X86_MODE_FLAT_DATA;
    }
}

/* Whether a segment's base must be added. */
static bool has_base(const X86Translator *t, X86SegmentName segment)
{
    return segment >= X86_FS || !is_flat(t, segment, false) ||
           (segment == X86_CS && !x86_is_code64(t) && !(t->mode & X86_MODE_FLAT_CS));
}

enum { CHECK_BYTES_SHIFT = 4, CHECK_WRITE = 1 << 16 };

static void helper_check_segment(TcgState *env, uint64_t offset, uint32_t what)
{
    x86_check_segment(x86_cpu_of_env(env), (X86SegmentName)(what & 15), offset,
                      what >> CHECK_BYTES_SHIFT & 0xfff, what & CHECK_WRITE);
}
X86_HELPER(check_segment, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32);

static void emit_segment_check(X86Translator *t, X86SegmentName segment, IrRef offset,
                               unsigned bytes, bool write)
{
    IrRef last = ir_op2i(t->unit, IR_OP_add, IR_I64, offset, (int64_t)bytes - 1);
    IrRef limit = ir_get(t->unit, X86_VAR_LIMIT + (unsigned)segment, IR_I64);
    IrRef flags = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, last, limit, 0);
    unsigned what = (unsigned)segment | bytes << CHECK_BYTES_SHIFT | (write ? CHECK_WRITE : 0);

    x86_call_if(t, IR_A, flags, &call_check_segment, offset, x86_const(t, 4, what));
}

/* Outside 64-bit mode sums wrap: bases of per-CPU segments and negative indexes make use of it all the time. */
static IrRef sum_of(X86Translator *t, IrRef a, IrRef b)
{
    if (x86_is_code64(t)) {
        return ir_op2(t->unit, IR_OP_add, IR_I64, a, b);
    }
    return x86_zext(t, 4,
                    ir_op2(t->unit, IR_OP_add, IR_I32, x86_from64(t, 4, a), x86_from64(t, 4, b)));
}

/* Outside 64-bit mode linear addresses are 32 bits wide; in flat segments the access itself cuts them off. */
IrRef x86_linear(X86Translator *t, X86SegmentName segment, IrRef offset, int64_t *imm,
                 unsigned bytes, bool write)
{
    bool flat = is_flat(t, segment, write);

    if (!flat) {
        if (*imm) {
            offset = ir_op2i(t->unit, IR_OP_add, IR_I64, offset, *imm);
            offset = x86_zext(t, t->insn.address_bytes == 2 ? 2 : 4, offset);
            *imm = 0;
        }
        emit_segment_check(t, segment, offset, MAX(bytes, 1u), write);
    }
    if (has_base(t, segment)) {
        offset = sum_of(t, ir_get(t->unit, X86_VAR_BASE + (unsigned)segment, IR_I64), offset);
    }
    return offset;
}

static IrRef scaled(X86Translator *t, IrRef index)
{
    unsigned bytes = x86_is_code64(t) ? 8 : 4;

    return x86_zext(
        t, bytes,
        ir_op2i(t->unit, IR_OP_shl, x86_type(bytes), x86_from64(t, bytes, index), t->insn.scale));
}

/* base + index, as i64, of which address size has not been cut off yet. */
static IrRef registers_of_address(X86Translator *t)
{
    const X86Insn *insn = &t->insn;
    IrRef sum = 0, index;

    if (insn->base >= 0) {
        sum = x86_get_reg64(t, (unsigned)insn->base);
    }
    if (insn->index >= 0) {
        index = x86_get_reg64(t, (unsigned)insn->index);
        if (insn->scale) {
            index = scaled(t, index);
        }
        sum = sum ? sum_of(t, sum, index) : index;
    }
    return sum;
}

/* A displacement that is an address itself: what the registers add to it mostly wraps around. */
static bool is_far(const X86Translator *t)
{
    return !x86_is_code64(t) && t->insn.address_bytes == 4 && t->insn.displacement < -(1 << 20);
}

/*
 * The offset of the memory operand without *imm. exact: *imm is 0 and the offset has been cut off to address size;
 * otherwise that is left to the access where it makes no difference.
 */
static IrRef effective(X86Translator *t, bool exact, int64_t *imm)
{
    const X86Insn *insn = &t->insn;
    IrRef sum = registers_of_address(t);
    bool cut = insn->address_bytes != 8 && (exact || insn->address_bytes == 2 || x86_is_code64(t));

    *imm = insn->displacement;
    if (insn->rip_relative) {
        sum = ir_pc(t->unit, t->next + *imm);
        *imm = 0;
    } else if (!sum) {
        sum = ir_const(t->unit, IR_I64, insn->address_bytes == 8 ? *imm : (uint32_t)*imm);
        *imm = 0;
    }
    if (*imm && is_far(t) && !cut) {
        sum = sum_of(t, sum, ir_const(t->unit, IR_I64, *imm));
        *imm = 0;
    }
    if (*imm && (cut || exact)) {
        sum = ir_op2i(t->unit, IR_OP_add, IR_I64, sum, *imm);
        *imm = 0;
    }
    if (cut && (insn->base >= 0 || insn->index >= 0 || insn->address_bytes == 2)) {
        sum = x86_zext(t, insn->address_bytes, sum);
    }
    return sum;
}

IrRef x86_effective_address(X86Translator *t)
{
    int64_t imm;

    return effective(t, true, &imm);
}

IrRef x86_address(X86Translator *t, unsigned bytes, bool write)
{
    X86SegmentName segment = x86_segment(t);

    if (!t->has_address) {
        IrRef offset = effective(t, !is_flat(t, segment, write), &t->address_imm);

        t->address = x86_linear(t, segment, offset, &t->address_imm, bytes, write);
        t->has_address = true;
    }
    return t->address;
}

/* In 64-bit mode the segment only tells which exception an address that is not canonical raises (SDM 1, 3.3.7.1). */
static unsigned flags_of_access(const X86Translator *t, bool stack)
{
    unsigned aligned = t->mode & X86_MODE_ALIGN ? IR_MEM_ALIGNED : 0;

    if (!x86_is_code64(t)) {
        return aligned | IR_MEM_WRAP32;
    }
    return aligned | (stack ? IR_MEM_STACK : 0);
}

unsigned x86_memory_flags(const X86Translator *t)
{
    return flags_of_access(t, x86_segment(t) == X86_SS);
}

IrRef x86_load(X86Translator *t, unsigned bytes, IrRef address, int64_t imm)
{
    return ir_load(t->unit, x86_type(bytes), x86_log2(bytes), x86_memory_flags(t), address, imm);
}

IrRef x86_load_stack(X86Translator *t, unsigned bytes, IrRef address, int64_t imm)
{
    return ir_load(t->unit, x86_type(bytes), x86_log2(bytes), flags_of_access(t, true), address,
                   imm);
}

void x86_store(X86Translator *t, unsigned bytes, IrRef address, int64_t imm, IrRef value)
{
    ir_store(t->unit, x86_type(bytes), x86_log2(bytes), x86_memory_flags(t), address, imm, value);
}

/* what: bytes | flags << PARTS_FLAGS_SHIFT */
enum { PARTS_BYTES = 255, PARTS_WRITE = 256, PARTS_FLAGS_SHIFT = 16 };

static void helper_check_parts(TcgState *env, uint64_t address, uint32_t what)
{
    tcg_check_span(env, address, what & PARTS_BYTES, what & PARTS_WRITE, what >> PARTS_FLAGS_SHIFT);
}
X86_HELPER(check_parts, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32);

IrRef x86_address_of_parts(X86Translator *t, unsigned bytes, bool write)
{
    IrRef address = x86_address(t, bytes, write), first = address;

    if (t->address_imm) {
        first = ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm);
    }
    x86_call(t, &call_check_parts, first,
             x86_const(t, 4,
                       bytes | (write ? PARTS_WRITE : 0) |
                           (int64_t)x86_memory_flags(t) << PARTS_FLAGS_SHIFT),
             0, 0);
    return address;
}

/* Operands. */

static IrRef read_register(X86Translator *t, const X86Operand *o)
{
    if (o->high) {
        return ir_bitfield(t->unit, IR_OP_ubfx, IR_I64, x86_get_reg64(t, o->reg), 0, 8, 8);
    }
    return x86_get_reg(t, o->reg, o->bytes);
}

/* The address of a memory operand, O among them. */
static IrRef operand_address(X86Translator *t, const X86Operand *o, bool write)
{
    if (o->kind == X86_OPERAND_O && !t->has_address) {
        X86SegmentName segment = t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment : X86_DS;

        t->address_imm = 0;
        t->address = x86_linear(t, segment, ir_const(t->unit, IR_I64, o->imm), &t->address_imm,
                                o->bytes, write);
        t->has_address = true;
    }
    return x86_address(t, o->bytes, write);
}

IrRef x86_read(X86Translator *t, unsigned n)
{
    const X86Operand *o = &t->insn.operands[n];

    if (o->memory) {
        IrRef address = operand_address(t, o, false);

        return x86_load(t, o->bytes, address, t->address_imm);
    }
    switch (o->kind) {
    case X86_OPERAND_I:
    case X86_OPERAND_ONE:
        /* Immediates are extended to the size of what they are for. */
        return x86_const(t, n ? x86_bytes(t, 0) : o->bytes, o->imm);
    default:
        return read_register(t, o);
    }
}

IrRef x86_read_zext(X86Translator *t, unsigned n)
{
    return x86_zext(t, x86_bytes(t, n), x86_read(t, n));
}

IrRef x86_read_sext(X86Translator *t, unsigned n)
{
    return x86_sext(t, x86_bytes(t, n), x86_read(t, n));
}

static void write_high(X86Translator *t, unsigned reg, IrRef value)
{
    x86_set_reg64(t, reg,
                  ir_bitfield(t->unit, IR_OP_bfi, IR_I64, x86_get_reg64(t, reg), value, 8, 8));
}

void x86_write(X86Translator *t, unsigned n, IrRef value)
{
    const X86Operand *o = &t->insn.operands[n];

    if (o->memory) {
        IrRef address = operand_address(t, o, true);

        x86_store(t, o->bytes, address, t->address_imm, value);
    } else if (o->high) {
        write_high(t, o->reg, value);
    } else {
        x86_set_reg(t, o->reg, o->bytes, value);
    }
}

IrRef x86_begin_update(X86Translator *t)
{
    const X86Operand *o = &t->insn.operands[0];

    if (o->memory) {
        IrRef address = operand_address(t, o, true);

        return ir_load(t->unit, x86_type(o->bytes), x86_log2(o->bytes), x86_update_flags(t),
                       address, t->address_imm);
    }
    return read_register(t, o);
}

void x86_end_update(X86Translator *t, IrRef value)
{
    const X86Operand *o = &t->insn.operands[0];

    if (o->memory || o->high || o->bytes >= 4) {
        x86_write(t, 0, value);
    } else {
        x86_set_reg64(t, o->reg, value);
    }
}

/* The stack. */

static unsigned stack_pointer_bytes(const X86Translator *t)
{
    return x86_is_code64(t) ? 8 : t->mode & X86_MODE_STACK32 ? 4 : 2;
}

IrRef x86_get_sp(X86Translator *t)
{
    IrRef sp = x86_get_reg64(t, X86_RSP);

    return stack_pointer_bytes(t) == 2 ? x86_zext(t, 2, sp) : sp;
}

/* The whole register with the stack pointer moved. */
static IrRef moved_sp(X86Translator *t, int64_t by)
{
    unsigned bytes = stack_pointer_bytes(t);
    IrRef sp = x86_get_reg64(t, X86_RSP);

    if (bytes == 4) {
        return x86_zext(t, 4,
                        ir_op2i(t->unit, IR_OP_add, IR_I32, x86_from64(t, 4, sp), (int32_t)by));
    }
    return ir_sized(t->unit, IR_OP_add, IR_I64, x86_log2(bytes), 0, sp,
                    ir_const(t->unit, IR_I64, by), 0);
}

void x86_add_sp(X86Translator *t, int64_t bytes)
{
    x86_set_reg64(t, X86_RSP, moved_sp(t, bytes));
}

void x86_push(X86Translator *t, unsigned bytes, IrRef value)
{
    bool flat = is_flat(t, X86_SS, true) && stack_pointer_bytes(t) != 2;
    IrRef sp = moved_sp(t, -(int64_t)bytes), address;
    int64_t imm = 0;

    if (flat) {
        address = x86_get_reg64(t, X86_RSP);
        imm = -(int64_t)bytes;
    } else {
        address = stack_pointer_bytes(t) == 2 ? x86_zext(t, 2, sp) : sp;
        address = x86_linear(t, X86_SS, address, &imm, bytes, true);
    }
    ir_store(t->unit, x86_type(bytes), x86_log2(bytes), flags_of_access(t, true), address, imm,
             value);
    x86_set_reg64(t, X86_RSP, sp);
}

IrRef x86_pop(X86Translator *t, unsigned bytes)
{
    int64_t imm = 0;
    IrRef address = x86_linear(t, X86_SS, x86_get_sp(t), &imm, bytes, false);

    return x86_load_stack(t, bytes, address, imm);
}
