/* SPDX-License-Identifier: MIT */
/* Moves, conversions, the stack, flags to and from registers. */
#include "accel/tcg/ir/flags.h"
#include "target/i386/exception.h"
#include "target/i386/segment.h"
#include "target/i386/translate.h"

X86(mov, "88 /r", "Eb Gb")
X86(mov, "89 /r", "Ev Gv")
X86(mov, "8A /r", "Gb Eb")
X86(mov, "8B /r", "Gv Ev")
X86(mov, "A0", "AL Ob")
X86(mov, "A1", "rAX Ov")
X86(mov, "A2", "Ob AL")
X86(mov, "A3", "Ov rAX")
X86(mov, "B0 +r", "Zb Ib")
X86(mov, "B8 +r", "Zv Iv")
X86(mov, "C6 /0", "Eb Ib")
X86(mov, "C7 /0", "Ev Iz")
void x86_mov(X86Translator *t)
{
    x86_write(t, 0, x86_read(t, 1));
}

X86(movzx, "0F B6 /r", "Gv Eb")
X86(movzx, "0F B7 /r", "Gv Ew")
void x86_movzx(X86Translator *t)
{
    x86_write(t, 0, x86_from64(t, x86_bytes(t, 0), x86_read_zext(t, 1)));
}

X86(movsx, "0F BE /r", "Gv Eb")
X86(movsx, "0F BF /r", "Gv Ew")
X86(movsx, "63 /r", "Gv Ez", "o64")
void x86_movsx(X86Translator *t)
{
    x86_write(t, 0, x86_from64(t, x86_bytes(t, 0), x86_read_sext(t, 1)));
}

X86(lea, "8D /r mem", "Gv Ms")
void x86_lea(X86Translator *t)
{
    x86_write(t, 0, x86_from64(t, x86_bytes(t, 0), x86_effective_address(t)));
}

X86(movbe, "NP 0F 38 F0 /r", "Gv Mv", "MOVBE")
X86(movbe, "66 0F 38 F0 /r", "Gv Mv", "MOVBE")
X86(movbe, "NP 0F 38 F1 /r", "Mv Gv", "MOVBE")
X86(movbe, "66 0F 38 F1 /r", "Mv Gv", "MOVBE")
void x86_movbe(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);

    x86_write(t, 0,
              ir_extend(t->unit, IR_OP_bswap, x86_type(bytes), x86_log2(bytes), x86_read(t, 1)));
}

/* MOVDIRI is a plain store here; MOVNTI is one, too. */
X86(movnti, "NP 0F C3 /r", "My Gy", "SSE2")
X86(movnti, "NP 0F 38 F9 /r", "My Gy", "MOVDIRI")
void x86_movnti(X86Translator *t)
{
    x86_mov(t);
}

X86(bswap, "0F C8 +r", "Zv")
void x86_bswap(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);

    /* Undefined for 16 bits: 0, as processors do. */
    x86_write(t, 0,
              bytes == 2 ? ir_const(t->unit, IR_I64, 0)
                         : ir_extend(t->unit, IR_OP_bswap, x86_type(bytes), x86_log2(bytes),
                                     x86_read(t, 0)));
}

/* CBW, CWDE, CDQE */
X86(cbw, "98")
void x86_cbw(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef wide = x86_sext(t, bytes / 2, x86_get_reg(t, X86_RAX, bytes / 2));

    x86_set_reg(t, X86_RAX, bytes, x86_from64(t, bytes, wide));
}

/* CWD, CDQ, CQO */
X86(cwd, "99")
void x86_cwd(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef wide = x86_sext(t, bytes, x86_get_reg(t, X86_RAX, bytes));

    x86_set_reg(t, X86_RDX, bytes,
                x86_from64(t, bytes, ir_op2i(t->unit, IR_OP_sar, IR_I64, wide, 63)));
}

X86(cmov, "0F 40 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 41 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 42 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 43 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 44 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 45 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 46 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 47 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 48 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 49 /r", "Gv Ev", "CMOV")
X86(cmov, "0F 4A /r", "Gv Ev", "CMOV")
X86(cmov, "0F 4B /r", "Gv Ev", "CMOV")
X86(cmov, "0F 4C /r", "Gv Ev", "CMOV")
X86(cmov, "0F 4D /r", "Gv Ev", "CMOV")
X86(cmov, "0F 4E /r", "Gv Ev", "CMOV")
X86(cmov, "0F 4F /r", "Gv Ev", "CMOV")
void x86_cmov(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef source = x86_read(t, 1), flags = x86_get_flags(t);
    IrRef value = ir_sel(t->unit, x86_type(bytes), x86_condition(t->insn.opcode), flags, source,
                         x86_read(t, 0));

    x86_write(t, 0, value);
}

X86(setcc, "0F 90 /r", "Eb")
X86(setcc, "0F 91 /r", "Eb")
X86(setcc, "0F 92 /r", "Eb")
X86(setcc, "0F 93 /r", "Eb")
X86(setcc, "0F 94 /r", "Eb")
X86(setcc, "0F 95 /r", "Eb")
X86(setcc, "0F 96 /r", "Eb")
X86(setcc, "0F 97 /r", "Eb")
X86(setcc, "0F 98 /r", "Eb")
X86(setcc, "0F 99 /r", "Eb")
X86(setcc, "0F 9A /r", "Eb")
X86(setcc, "0F 9B /r", "Eb")
X86(setcc, "0F 9C /r", "Eb")
X86(setcc, "0F 9D /r", "Eb")
X86(setcc, "0F 9E /r", "Eb")
X86(setcc, "0F 9F /r", "Eb")
void x86_setcc(X86Translator *t)
{
    /* What the byte goes into is there before the condition: the host then sets it in place. */
    if (!t->insn.operands[0].memory) {
        x86_get_reg64(t, t->insn.operands[0].reg);
    }
    x86_write(t, 0, ir_cset(t->unit, IR_I64, x86_condition(t->insn.opcode), x86_get_flags(t)));
}

X86(xlat, "D7")
void x86_xlat(X86Translator *t)
{
    IrRef al = x86_zext(t, 1, x86_get_reg64(t, X86_RAX));
    IrRef offset = ir_op2(t->unit, IR_OP_add, IR_I64, x86_get_reg64(t, X86_RBX), al);
    X86SegmentName segment = t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment : X86_DS;
    int64_t imm = 0;
    IrRef address;

    if (t->insn.address_bytes != 8) {
        offset = x86_zext(t, t->insn.address_bytes, offset);
    }
    address = x86_linear(t, segment, offset, &imm, 1, false);
    x86_set_reg(t, X86_RAX, 1, x86_load(t, 1, address, imm));
}

/* The stack. */

X86(push_operand, "50 +r", "Zv", "d64")
X86(push_operand, "FF /6", "Ev", "d64")
X86(push_operand, "68", "Iz", "d64")
X86(push_operand, "6A", "Ibs", "d64")
void x86_push_operand(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    const X86Operand *o = &t->insn.operands[0];

    x86_push(t, bytes, o->kind == X86_OPERAND_I ? x86_const(t, bytes, o->imm) : x86_read(t, 0));
}

X86(pop_register, "58 +r", "Zv", "d64")
void x86_pop_register(X86Translator *t)
{
    IrRef value = x86_pop(t, x86_bytes(t, 0));

    x86_add_sp(t, x86_bytes(t, 0));
    x86_write(t, 0, value);
}

/* An address that uses the stack pointer is computed after it has moved; a fault leaves it as it was. */
X86(pop_memory, "8F /0", "Ev", "d64")
void x86_pop_memory(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef value = x86_pop(t, bytes), old = x86_get_reg64(t, X86_RSP), moved;

    if (!t->insn.operands[0].memory) {
        x86_add_sp(t, bytes);
        x86_write(t, 0, value);
        return;
    }
    x86_add_sp(t, bytes);
    moved = x86_get_reg64(t, X86_RSP);
    x86_address(t, bytes, true);
    x86_set_reg64(t, X86_RSP, old);
    x86_write(t, 0, value);
    x86_set_reg64(t, X86_RSP, moved);
}

static void helper_pusha(TcgState *env, uint32_t bytes)
{
    static const uint8_t order[] = { X86_RAX, X86_RCX, X86_RDX, X86_RBX,
                                     X86_RSP, X86_RBP, X86_RSI, X86_RDI };
    X86Cpu *cpu = x86_cpu_of_env(env);
    X86Stack stack;

    x86_stack_begin(&stack, cpu);
    for (unsigned i = 0; i < G_N_ELEMENTS(order); i++) {
        x86_stack_push(&stack, bytes, cpu->gpr[order[i]]);
    }
    x86_stack_end(&stack);
}
X86_HELPER(pusha, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

X86(pusha, "60", "", "i64")
void x86_pusha(X86Translator *t)
{
    x86_call(t, &call_pusha, x86_const(t, 4, t->insn.operand_bytes), 0, 0, 0);
}

static void helper_popa(TcgState *env, uint32_t bytes)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t values[8];
    X86Stack stack;

    x86_stack_begin(&stack, cpu);
    for (unsigned i = 8; i-- > 0;) {
        values[i] = x86_stack_pop(&stack, bytes);
    }
    x86_stack_end(&stack);
    for (unsigned i = 0; i < 8; i++) {
        if (i != X86_RSP) {
            cpu->gpr[i] = bytes == 2 ? (cpu->gpr[i] & ~UINT64_C(0xffff)) | values[i] : values[i];
        }
    }
}
X86_HELPER(popa, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

X86(popa, "61", "", "i64")
void x86_popa(X86Translator *t)
{
    x86_call(t, &call_popa, x86_const(t, 4, t->insn.operand_bytes), 0, 0, 0);
}

static void helper_enter(TcgState *env, uint32_t bytes, uint32_t size, uint32_t level)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    X86Stack stack;
    uint64_t frame;

    x86_stack_begin(&stack, cpu);
    x86_stack_push(&stack, bytes, cpu->gpr[X86_RBP]);
    frame = stack.sp;
    if (level) {
        for (unsigned i = 1; i < level; i++) {
            x86_stack_push(&stack, bytes,
                           x86_stack_peek(&stack, cpu->gpr[X86_RBP] - (uint64_t)i * bytes, bytes));
        }
        x86_stack_push(&stack, bytes, frame);
    }
    stack.sp = (stack.sp & ~stack.mask) | ((stack.sp - size) & stack.mask);
    /* The new top must be writable. */
    x86_stack_probe(&stack, bytes);
    x86_stack_end(&stack);
    cpu->gpr[X86_RBP] =
        bytes == 2 ? (cpu->gpr[X86_RBP] & ~UINT64_C(0xffff)) | (uint16_t)frame : frame;
}
X86_HELPER(enter, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I32, IR_I32);

X86(enter, "C8", "Iw Ib", "d64")
void x86_enter(X86Translator *t)
{
    x86_call(t, &call_enter, x86_const(t, 4, t->insn.operand_bytes),
             x86_const(t, 4, (uint16_t)t->insn.operands[0].imm),
             x86_const(t, 4, t->insn.operands[1].imm & 31), 0);
}

X86(leave, "C9", "", "d64")
void x86_leave(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    unsigned stack = x86_is_code64(t) ? 8 : t->mode & X86_MODE_STACK32 ? 4 : 2;
    IrRef old = x86_get_reg64(t, X86_RSP), base = x86_get_reg(t, X86_RBP, stack), value, moved;

    /* The pop may fault: the stack pointer changes after it. */
    x86_set_reg(t, X86_RSP, stack, base);
    value = x86_get_reg64(t, X86_RSP);
    x86_set_reg64(t, X86_RSP, old);
    {
        int64_t imm = 0;
        IrRef offset = stack == 2 ? x86_zext(t, 2, value) : value;
        IrRef address = x86_linear(t, X86_SS, offset, &imm, bytes, false);

        moved = value;
        value = x86_load_stack(t, bytes, address, imm);
    }
    x86_set_reg64(t, X86_RSP, moved);
    x86_add_sp(t, bytes);
    x86_set_reg(t, X86_RBP, bytes, value);
}

/* Flags. */

static uint64_t helper_get_eflags(TcgState *env)
{
    return x86_get_eflags(x86_cpu_of_env(env));
}
X86_HELPER(get_eflags, IR_I64, HELPER_ENV | HELPER_READS);

/* Whether PUSHF and POPF may be executed with this IOPL; virtual-8086 mode with VME uses VIF. */
static bool flags_are_trapped(const X86Translator *t)
{
    return (t->mode & X86_MODE_VM86) && !(t->mode & X86_MODE_IOPL) &&
           !((t->mode & X86_MODE_VME) && t->insn.operand_bytes == 2);
}

X86(pushf, "9C", "", "d64")
void x86_pushf(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef flags, value;

    if (flags_are_trapped(t)) {
        x86_raise(t, X86_GP);
        return;
    }
    flags = x86_call(t, &call_get_eflags, 0, 0, 0, 0);
    if ((t->mode & X86_MODE_VM86) && !(t->mode & X86_MODE_IOPL)) {
        /* VME: IF shows VIF, IOPL shows 3. */
        value = ir_bitfield(t->unit, IR_OP_ubfx, IR_I64, flags, 0, 19, 1);
        flags = ir_bitfield(t->unit, IR_OP_bfi, IR_I64, flags, value, 9, 1);
        flags = ir_op2i(t->unit, IR_OP_or, IR_I64, flags, EFLAGS_IOPL);
    }
    /* RF and VM are pushed as 0. */
    flags = ir_op2i(t->unit, IR_OP_and, IR_I64, flags, 0xfcffff);
    x86_push(t, bytes, x86_from64(t, bytes, flags));
}

/* What POPF may change, by privilege (SDM 2, POPF). */
static uint64_t changeable_flags(const X86Cpu *cpu, unsigned bytes)
{
    uint64_t mask = EFLAGS_STATUS | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_RF;
    unsigned iopl = (unsigned)(cpu->eflags & EFLAGS_IOPL) >> EFLAGS_IOPL_SHIFT;

    if (x86_has(cpu, X86_FEATURE_CX8) || x86_has(cpu, X86_FEATURE_FPU)) {
        mask |= EFLAGS_AC | EFLAGS_ID;
    }
    if (cpu->cpl == 0) {
        mask |= EFLAGS_IOPL;
    }
    if (cpu->cpl <= iopl) {
        mask |= EFLAGS_IF;
    }
    return bytes == 2 ? mask & 0xffff : mask;
}

static void popf_vme(X86Cpu *cpu, uint64_t value, uint64_t mask)
{
    if ((value & EFLAGS_TF) || ((value & EFLAGS_IF) && (cpu->eflags & EFLAGS_VIP))) {
        x86_fault(cpu, X86_GP, 0);
    }
    value = (value & ~(uint64_t)EFLAGS_VIF) | (value & EFLAGS_IF ? EFLAGS_VIF : 0);
    x86_set_eflags(cpu, value, (mask & ~(uint64_t)(EFLAGS_IF | EFLAGS_IOPL)) | EFLAGS_VIF);
}

static void helper_popf(TcgState *env, uint64_t value, uint32_t bytes)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t mask = changeable_flags(cpu, bytes);

    if ((cpu->eflags & EFLAGS_VM) && (cpu->eflags & EFLAGS_IOPL) != EFLAGS_IOPL) {
        popf_vme(cpu, value, mask);
    } else {
        x86_set_eflags(cpu, value & ~(uint64_t)EFLAGS_RF, mask);
    }
}
X86_HELPER(popf, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

X86(popf, "9D", "", "d64")
void x86_popf(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef value, old, moved;

    if (flags_are_trapped(t)) {
        x86_raise(t, X86_GP);
        return;
    }
    value = x86_zext(t, bytes, x86_pop(t, bytes));
    old = x86_get_reg64(t, X86_RSP);
    x86_add_sp(t, bytes);
    moved = x86_get_reg64(t, X86_RSP);
    x86_set_reg64(t, X86_RSP, old);
    x86_call(t, &call_popf, value, x86_const(t, 4, bytes), 0, 0);
    x86_set_reg64(t, X86_RSP, moved);
    x86_dispatch_next(t);
}

X86(lahf, "9F", "", "i64")
X86(lahf, "9F", "", "o64 LAHF_LM")
void x86_lahf(X86Translator *t)
{
    IrRef flags = ir_pack(t->unit, IR_OP_funpack, IR_X86, x86_get_flags(t));

    flags = ir_op2i(t->unit, IR_OP_or, IR_I32, flags, EFLAGS_ONE);
    x86_set_reg64(t, X86_RAX,
                  ir_bitfield(t->unit, IR_OP_bfi, IR_I64, x86_get_reg64(t, X86_RAX),
                              x86_zext(t, 4, flags), 8, 8));
}

X86(sahf, "9E", "", "i64")
X86(sahf, "9E", "", "o64 LAHF_LM")
void x86_sahf(X86Translator *t)
{
    IrRef ah = ir_bitfield(t->unit, IR_OP_ubfx, IR_I64, x86_get_reg64(t, X86_RAX), 0, 8, 8);
    IrRef flags = ir_pack(t->unit, IR_OP_fpack, IR_X86, x86_from64(t, 4, ah));

    x86_set_flags(t, ir_fmerge(t->unit, x86_get_flags(t), flags, TCG_FLAGS_ALL & ~TCG_FLAG_V));
}

static void set_carry(X86Translator *t, IrRef flags)
{
    x86_set_flags(t, ir_fmerge(t->unit, x86_get_flags(t), flags, TCG_FLAG_C));
}

X86(clc, "F8")
void x86_clc(X86Translator *t)
{
    set_carry(t, ir_fconst_x86(t->unit, 0));
}

X86(stc, "F9")
void x86_stc(X86Translator *t)
{
    set_carry(t, ir_fconst_x86(t->unit, EFLAGS_CF));
}

X86(cmc, "F5")
void x86_cmc(X86Translator *t)
{
    /* 0 - "no carry" borrows when there was none. */
    IrRef none = ir_cset(t->unit, IR_I32, IR_CC, x86_get_flags(t));

    set_carry(t, ir_flags(t->unit, IR_OP_negf, IR_I32, 2, 0, none, 0, 0));
}

X86(cld, "FC")
void x86_cld(X86Translator *t)
{
    ir_set(t->unit, X86_VAR_DF, IR_I64, ir_const(t->unit, IR_I64, 1));
}

X86(std, "FD")
void x86_std(X86Translator *t)
{
    ir_set(t->unit, X86_VAR_DF, IR_I64, ir_const(t->unit, IR_I64, -1));
}

/* SALC is not in the manuals, but in all processors. */
X86(salc, "D6", "", "i64")
void x86_salc(X86Translator *t)
{
    IrRef carry = ir_cset(t->unit, IR_I64, IR_CS, x86_get_flags(t));

    x86_set_reg(t, X86_RAX, 1, ir_op1(t->unit, IR_OP_neg, IR_I64, carry));
}
