/* SPDX-License-Identifier: MIT */
/*
 * Translation of x86 to IR. A unit is an extended block, or some rounds of a loop: conditional jumps are side exits, and it ends at
 * an unconditional one, at what changes the mode, or at the page's end.
 *
 * Values: an operand of 4 bytes is an i32, one of 8 an i64; of 1 and 2 bytes an i64 whose upper bits do not count
 * (flags ops take their width from esz, value ops with IR_MERGE8 or IR_MERGE16 keep the upper bits of their first
 * argument, so that a register is written as a whole).
 */
#ifndef TARGET_I386_TRANSLATE_H
#define TARGET_I386_TRANSLATE_H

#include "accel/tcg/ir/build.h"
#include "target/i386/decode.h"

struct X86Translator {
    IrUnit *unit;
    X86Cpu *cpu;            /* for features and lookups only: state is not part of a translation */
    TcgCode *code;
    uint64_t mode;          /* X86_MODE_*, TCG_MODE_* */
    X86Insn insn;
    uint16_t offset;        /* of the instruction in its page */
    uint16_t next;          /* behind it; may be in the next page */
    bool ended;             /* the unit has got its last control op */
    bool shadow;            /* this instruction holds back interrupts until the next one is done */
    unsigned side_exits, max_insns;
    IrRef address;          /* of the memory operand, once it has been computed */
    int64_t address_imm;    /* to be added to it */
    bool has_address;
    bool mmx_begun;         /* an MMX instruction of the unit has looked for x87 exceptions, and x87 registers are variables */
    bool mmx_entered;       /* and has made them MMX registers */
};

/* The mode. */
static inline bool x86_is_code64(const X86Translator *t)
{
    return (t->mode & X86_MODE_CODE_BITS) == 3;
}

static inline unsigned x86_cpl(const X86Translator *t)
{
    return (unsigned)((t->mode & X86_MODE_CPL) >> X86_MODE_CPL_SHIFT);
}

/* log2 of 1, 2, 4, 8 bytes */
static inline unsigned x86_log2(unsigned bytes)
{
    return bytes == 8 ? 3 : bytes >> 1;
}

static inline IrType x86_type(unsigned bytes)
{
    return bytes == 4 ? IR_I32 : IR_I64;
}

/* Constants and shapes with the translator's unit. */
static inline IrRef x86_const(X86Translator *t, unsigned bytes, int64_t value)
{
    return ir_const(t->unit, x86_type(bytes), value);
}

/* General registers: all 64 bits, and by size. */
static inline IrRef x86_get_reg64(X86Translator *t, unsigned reg)
{
    return ir_get(t->unit, X86_VAR_GPR + reg, IR_I64);
}

static inline void x86_set_reg64(X86Translator *t, unsigned reg, IrRef value)
{
    ir_set(t->unit, X86_VAR_GPR + reg, IR_I64, value);
}

/* The low bytes of a register as a value of that size; writing 4 bytes clears the upper half. */
IrRef x86_get_reg(X86Translator *t, unsigned reg, unsigned bytes);
void x86_set_reg(X86Translator *t, unsigned reg, unsigned bytes, IrRef value);

static inline IrRef x86_get_flags(X86Translator *t)
{
    return ir_get(t->unit, X86_VAR_FLAGS, IR_FLAGS);
}

static inline void x86_set_flags(X86Translator *t, IrRef flags)
{
    ir_set(t->unit, X86_VAR_FLAGS, IR_FLAGS, flags);
}

/* Operand n of the instruction as a value of its size. Immediates and the constant 1 are operands, too. */
IrRef x86_read(X86Translator *t, unsigned n);
/* The same as zero- or sign-extended i64. */
IrRef x86_read_zext(X86Translator *t, unsigned n);
IrRef x86_read_sext(X86Translator *t, unsigned n);
/* Writes operand n. A value of 1 or 2 bytes for a register has only its low bytes written. */
void x86_write(X86Translator *t, unsigned n, IrRef value);
/*
 * Operand 0 is read, changed and written: begin gives its value (of a register of 1 or 2 bytes: the whole, so that
 * IR_MERGE ops keep the rest) and checks a memory operand for writing; end writes it.
 */
IrRef x86_begin_update(X86Translator *t);
void x86_end_update(X86Translator *t, IrRef value);
static inline unsigned x86_bytes(const X86Translator *t, unsigned n)
{
    return t->insn.operands[n].bytes;
}

/* A value of a size as i64, zero- or sign-extended; and an i64's low bytes as a value of a size. */
IrRef x86_zext(X86Translator *t, unsigned bytes, IrRef value);
IrRef x86_sext(X86Translator *t, unsigned bytes, IrRef value);
IrRef x86_from64(X86Translator *t, unsigned bytes, IrRef value);

/*
 * Memory. The memory operand's linear address is x86_address() plus t->address_imm, for an access of `bytes` at
 * offset `extra`; segment checks have been emitted. write: rights for writing are checked.
 */
IrRef x86_address(X86Translator *t, unsigned bytes, bool write);
/* The same of an operand that is accessed in parts, none of which is when one faults. */
IrRef x86_address_of_parts(X86Translator *t, unsigned bytes, bool write);
/* The offset within the segment (LEA), of address size, as i64. */
IrRef x86_effective_address(X86Translator *t);
/* The segment of the memory operand. */
X86SegmentName x86_segment(const X86Translator *t);
/* The linear address of an offset (i64, already of address size) in a segment, checked; adds to *imm. */
IrRef x86_linear(X86Translator *t, X86SegmentName segment, IrRef offset, int64_t *imm, unsigned bytes, bool write);
/* IR_MEM_* that go with each access. */
unsigned x86_memory_flags(const X86Translator *t);
/* Of what is read and then written: faults are a write's. */
static inline unsigned x86_update_flags(const X86Translator *t)
{
    return x86_memory_flags(t) | IR_MEM_FOR_WRITE;
}
IrRef x86_load(X86Translator *t, unsigned bytes, IrRef address, int64_t imm);
/* The same through SS, whatever the memory operand's segment is. */
IrRef x86_load_stack(X86Translator *t, unsigned bytes, IrRef address, int64_t imm);
void x86_store(X86Translator *t, unsigned bytes, IrRef address, int64_t imm, IrRef value);
/* descriptor.c: the selector (i64) of a segment register, or of X86_LDTR or X86_TR. */
IrRef x86_selector_of(X86Translator *t, unsigned which);
/* system.c: operand 0 of SMSW, SLDT, STR: a register of operand size, or 16 bits of memory. */
void x86_store_word(X86Translator *t, IrRef value);

/* The stack: pushes and pops values of `bytes` (2, 4, 8). x86_pop does not write the stack pointer: */
void x86_push(X86Translator *t, unsigned bytes, IrRef value);
IrRef x86_pop(X86Translator *t, unsigned bytes);
/* … this does, after what may fault. */
void x86_add_sp(X86Translator *t, int64_t bytes);
IrRef x86_get_sp(X86Translator *t);

/* The condition of a condition code (the low four bits of Jcc's opcode). */
IrCond x86_condition(unsigned cc);

/* EIP of the next instruction, of operand size, and of this one. */
IrRef x86_next_eip(X86Translator *t, unsigned bytes);

/* alu.c: one atomic step on host memory, as helpers of locked instructions do it; returns what was there. */
uint64_t x86_compare_and_swap(void *place, unsigned size, uint64_t expected, uint64_t wanted);

/* Control. All but the branches end the unit. */
void x86_goto(X86Translator *t, int64_t page_offset);
/* A relative branch by displacement from the next instruction; checks the limit where there is one. */
void x86_jump(X86Translator *t, int64_t displacement);
/* Raises #GP when the target is beyond CS's limit or the canonical addresses: for CALL, which has not pushed anything then. */
void x86_check_jump(X86Translator *t, int64_t displacement);
/* The same when the branch is taken: for LOOP, which has not counted. */
void x86_check_jump_if(X86Translator *t, IrCond cond, IrRef flags, int64_t displacement);
void x86_check_target(X86Translator *t, IrRef eip);
/* Jumps that loops end with: where they lead to the unit's start, it may go on with another round. */
void x86_branch(X86Translator *t, int64_t displacement);
void x86_branch_if(X86Translator *t, IrCond cond, IrRef flags, int64_t displacement);
/* To an EIP (i64, of operand size). kind: IR_JUMP, IR_CALL, IR_RETURN. sp_moved: what the instruction has added to RSP. */
void x86_jump_indirect(X86Translator *t, IrRef eip, unsigned kind, int64_t sp_moved);
/* On with the next instruction by way of the dispatcher: the mode may have changed. */
void x86_dispatch_next(X86Translator *t);
/* A helper has set the pc. */
void x86_dispatch_env(X86Translator *t);

/* Exceptions of this instruction. These end the unit. */
void x86_raise(X86Translator *t, X86Vector vector);
void x86_raise_error(X86Translator *t, X86Vector vector, unsigned error_code);
void x86_undefined(X86Translator *t);
/* Raises #GP(0) unless CPL is 0; true when it did. */
bool x86_not_privileged(X86Translator *t);
/* The same for what UMIP hides. */
bool x86_is_hidden(X86Translator *t);
/* Calls helper(env, a, b) when cond holds on flags; the helper leaves the unit, or returns and has changed no variables. */
void x86_call_if(X86Translator *t, IrCond cond, IrRef flags, const TcgHelper *helper, IrRef a, IrRef b);

/* #GP(0) unless an address is canonical. */
void x86_check_canonical_base(X86Translator *t, IrRef address);
/* Rights to ports in protected and virtual-8086 mode. */
void x86_check_io(X86Translator *t, IrRef port, unsigned bytes);
/* PAUSE: others may run, and interrupts are looked for. */
void x86_pause(X86Translator *t);

/* vector.c: an x87 instruction comes: MMX registers are in their places, and what follows of MMX begins anew. */
void x86_end_mmx(X86Translator *t);

/*
 * svm-insns.c: in a virtual machine, leaves at this instruction when the exit code is intercepted. info: i64 for EXITINFO1,
 * 0: nothing. Nothing is emitted elsewhere. The instructions that have no more to tell are in a table.
 */
void x86_svm_intercept(X86Translator *t, unsigned code, IrRef info);
void x86_svm_intercept_plain(X86Translator *t, bool privileged);
/* A move between a general register and a control or debug register; to CR0, with its value. */
void x86_svm_intercept_move(X86Translator *t, unsigned code, unsigned gpr);
void x86_svm_intercept_cr0(X86Translator *t, IrRef value, unsigned gpr);
void x86_svm_intercept_io(X86Translator *t, IrRef port, unsigned bytes);
void x86_svm_intercept_msr(X86Translator *t, bool write);

static inline IrRef x86_call(X86Translator *t, const TcgHelper *helper, IrRef a, IrRef b, IrRef c, IrRef d)
{
    return ir_call(t->unit, helper, a, b, c, d);
}

/* Helpers. FAULTING ones may raise; all of them may read variables. */
enum {
    X86_HELPER_FAULTING = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
    X86_HELPER_SYSTEM = X86_HELPER_FAULTING | HELPER_WRITES,
};
/* Makes call_NAME of a function helper_NAME: X86_HELPER(name, result type, flags, argument types). */
#define X86_HELPER(id, helper_result, helper_flags, ...)                                           \
    static const TcgHelper call_##id = { .name = #id, .function = (void *)helper_##id,             \
                                         .result = helper_result, .flags = helper_flags,           \
                                         .arg_types = { __VA_ARGS__ } };                           \
    TCG_HELPER(call_##id)

/* The translator for TcgTarget.translate. */
void x86_translate(IrUnit *unit, TcgState *env, TcgCode *code, uint16_t start, uint64_t mode, unsigned max_insns);

#endif
