/* SPDX-License-Identifier: MIT */
/* Jumps, calls, returns, loops, software interrupts. */
#include "accel/tcg/ir/flags.h"
#include "target/i386/exception.h"
#include "target/i386/segment.h"
#include "target/i386/svm.h"
#include "target/i386/translate.h"

X86(jcc, "70", "Jb", "f64")
X86(jcc, "71", "Jb", "f64")
X86(jcc, "72", "Jb", "f64")
X86(jcc, "73", "Jb", "f64")
X86(jcc, "74", "Jb", "f64")
X86(jcc, "75", "Jb", "f64")
X86(jcc, "76", "Jb", "f64")
X86(jcc, "77", "Jb", "f64")
X86(jcc, "78", "Jb", "f64")
X86(jcc, "79", "Jb", "f64")
X86(jcc, "7A", "Jb", "f64")
X86(jcc, "7B", "Jb", "f64")
X86(jcc, "7C", "Jb", "f64")
X86(jcc, "7D", "Jb", "f64")
X86(jcc, "7E", "Jb", "f64")
X86(jcc, "7F", "Jb", "f64")
X86(jcc, "0F 80", "Jz", "f64")
X86(jcc, "0F 81", "Jz", "f64")
X86(jcc, "0F 82", "Jz", "f64")
X86(jcc, "0F 83", "Jz", "f64")
X86(jcc, "0F 84", "Jz", "f64")
X86(jcc, "0F 85", "Jz", "f64")
X86(jcc, "0F 86", "Jz", "f64")
X86(jcc, "0F 87", "Jz", "f64")
X86(jcc, "0F 88", "Jz", "f64")
X86(jcc, "0F 89", "Jz", "f64")
X86(jcc, "0F 8A", "Jz", "f64")
X86(jcc, "0F 8B", "Jz", "f64")
X86(jcc, "0F 8C", "Jz", "f64")
X86(jcc, "0F 8D", "Jz", "f64")
X86(jcc, "0F 8E", "Jz", "f64")
X86(jcc, "0F 8F", "Jz", "f64")
void x86_jcc(X86Translator *t)
{
    x86_branch_if(t, x86_condition(t->insn.opcode), x86_get_flags(t), t->insn.operands[0].imm);
}

X86(jmp, "EB", "Jb", "f64")
X86(jmp, "E9", "Jz", "f64")
void x86_jmp(X86Translator *t)
{
    x86_branch(t, t->insn.operands[0].imm);
}

X86(jmp_indirect, "FF /4", "Ev", "f64")
void x86_jmp_indirect(X86Translator *t)
{
    x86_jump_indirect(t, x86_read_zext(t, 0), IR_JUMP, 0);
}

static void push_return(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef eip = x86_next_eip(t, bytes);

    ir_emit(t->unit, (IrOp){ .opcode = IR_OP_push_return, .imm = t->next });
    x86_push(t, bytes, eip);
}

/* Checks of the target come before the push: nothing has happened when they fault. */
X86(call_near, "E8", "Jz", "f64")
void x86_call_near(X86Translator *t)
{
    x86_check_jump(t, t->insn.operands[0].imm);
    push_return(t);
    x86_jump(t, t->insn.operands[0].imm);
}

X86(call_indirect, "FF /2", "Ev", "f64")
void x86_call_indirect(X86Translator *t)
{
    IrRef target = x86_read_zext(t, 0);

    x86_check_target(t, target);
    push_return(t);
    x86_jump_indirect(t, target, IR_CALL, -(int64_t)t->insn.operand_bytes);
}

static void ret(X86Translator *t, int64_t release)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef target = x86_zext(t, bytes, x86_pop(t, bytes));

    x86_add_sp(t, (int64_t)bytes + release);
    x86_jump_indirect(t, target, IR_RETURN, (int64_t)bytes + release);
}

X86(ret, "C3", "", "f64")
void x86_ret(X86Translator *t)
{
    ret(t, 0);
}

X86(ret_release, "C2", "Iw", "f64")
void x86_ret_release(X86Translator *t)
{
    ret(t, (uint16_t)t->insn.operands[0].imm);
}

/* LOOP and JCXZ: the counter has address size. */
static IrRef count_register(X86Translator *t)
{
    return x86_zext(t, t->insn.address_bytes, x86_get_reg64(t, X86_RCX));
}

static IrRef is_zero(X86Translator *t, IrRef value)
{
    return ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, value, value, 0);
}

X86(jcxz, "E3", "Jb", "f64")
void x86_jcxz(X86Translator *t)
{
    x86_branch_if(t, IR_EQ, is_zero(t, count_register(t)), t->insn.operands[0].imm);
}

static void loop(X86Translator *t, int condition)
{
    unsigned bytes = t->insn.address_bytes;
    IrRef left = ir_op2i(t->unit, IR_OP_sub, IR_I64, count_register(t), 1), taken;

    left = taken = x86_zext(t, bytes, left);
    if (condition >= 0) {
        /* Both hold: a select of the counter or 0. */
        taken = ir_sel(t->unit, IR_I64, (IrCond)condition, x86_get_flags(t), left,
                       ir_const(t->unit, IR_I64, 0));
    }
    x86_check_jump_if(t, IR_NE, is_zero(t, taken), t->insn.operands[0].imm);
    x86_set_reg(t, X86_RCX, bytes, x86_from64(t, bytes, left));
    x86_branch_if(t, IR_NE, is_zero(t, taken), t->insn.operands[0].imm);
}

X86(loopne, "E0", "Jb", "f64")
void x86_loopne(X86Translator *t)
{
    loop(t, IR_NE);
}

X86(loope, "E1", "Jb", "f64")
void x86_loope(X86Translator *t)
{
    loop(t, IR_EQ);
}

X86(loop, "E2", "Jb", "f64")
void x86_loop(X86Translator *t)
{
    loop(t, -1);
}

/* Far transfers. what: operand bytes | selector << 16 */
enum { FAR_BYTES = 15, FAR_SELECTOR_SHIFT = 16 };

static uint64_t next_eip_of(const X86Cpu *cpu, uint32_t length)
{
    uint64_t eip = x86_eip(cpu) + length;

    return x86_code64(cpu) ? eip : (uint32_t)eip;
}

/* lengths: of the instruction, above the operand bytes. */
enum { FAR_LENGTH_SHIFT = 8, FAR_LENGTH = 15 << 8 };

static void helper_far_jump(TcgState *env, uint64_t offset, uint32_t what)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_far_jump(cpu, (uint16_t)(what >> FAR_SELECTOR_SHIFT), offset, what & FAR_BYTES,
                 next_eip_of(cpu, (what & FAR_LENGTH) >> FAR_LENGTH_SHIFT));
}
X86_HELPER(far_jump, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

static void helper_far_call(TcgState *env, uint64_t offset, uint32_t what)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_far_call(cpu, (uint16_t)(what >> FAR_SELECTOR_SHIFT), offset, what & FAR_BYTES,
                 next_eip_of(cpu, (what & FAR_LENGTH) >> FAR_LENGTH_SHIFT));
}
X86_HELPER(far_call, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

static void far_transfer(X86Translator *t, const TcgHelper *helper, IrRef selector, IrRef offset)
{
    IrRef what = ir_op2i(t->unit, IR_OP_shl, IR_I32, selector, FAR_SELECTOR_SHIFT);

    what = ir_op2i(t->unit, IR_OP_or, IR_I32, what,
                   t->insn.operand_bytes | (int64_t)t->insn.length << FAR_LENGTH_SHIFT);
    x86_call(t, helper, offset, what, 0, 0);
    x86_dispatch_env(t);
}

static void far_direct(X86Translator *t, const TcgHelper *helper)
{
    far_transfer(t, helper, x86_const(t, 4, t->insn.far_selector),
                 ir_const(t->unit, IR_I64, t->insn.operands[0].imm));
}

static void far_indirect(X86Translator *t, const TcgHelper *helper)
{
    unsigned bytes = t->insn.operand_bytes;
    IrRef address = x86_address_of_parts(t, bytes + 2, false);
    IrRef offset = x86_load(t, bytes, address, t->address_imm);
    IrRef selector = x86_load(t, 2, address, t->address_imm + bytes);

    far_transfer(t, helper, x86_from64(t, 4, selector), x86_zext(t, bytes, offset));
}

X86(jmp_far, "EA", "Ap", "i64")
void x86_jmp_far(X86Translator *t)
{
    far_direct(t, &call_far_jump);
}

X86(call_far, "9A", "Ap", "i64")
void x86_call_far(X86Translator *t)
{
    far_direct(t, &call_far_call);
}

X86(jmp_far_indirect, "FF /5 mem", "Mp")
void x86_jmp_far_indirect(X86Translator *t)
{
    far_indirect(t, &call_far_jump);
}

X86(call_far_indirect, "FF /3 mem", "Mp")
void x86_call_far_indirect(X86Translator *t)
{
    far_indirect(t, &call_far_call);
}

static void helper_far_return(TcgState *env, uint32_t bytes, uint32_t release)
{
    x86_far_return(x86_cpu_of_env(env), bytes, release);
}
X86_HELPER(far_return, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I32);

static void ret_far(X86Translator *t, int64_t release)
{
    x86_call(t, &call_far_return, x86_const(t, 4, t->insn.operand_bytes), x86_const(t, 4, release),
             0, 0);
    x86_dispatch_env(t);
}

X86(retf, "CB")
void x86_retf(X86Translator *t)
{
    ret_far(t, 0);
}

X86(retf_release, "CA", "Iw")
void x86_retf_release(X86Translator *t)
{
    ret_far(t, (uint16_t)t->insn.operands[0].imm);
}

static void helper_iret(TcgState *env, uint32_t bytes, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_interrupt_return(cpu, bytes, next_eip_of(cpu, length));
}
X86_HELPER(iret, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I32);

X86(iret, "CF")
void x86_iret(X86Translator *t)
{
    x86_call(t, &call_iret, x86_const(t, 4, t->insn.operand_bytes), x86_const(t, 4, t->insn.length),
             0, 0);
    x86_dispatch_env(t);
}

/* Software interrupts. what: vector | length << 8 | kind << 16 */
enum { SOFTWARE_LENGTH_SHIFT = 8, SOFTWARE_KIND_SHIFT = 16 };

static void helper_software_interrupt(TcgState *env, uint32_t what)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_software_interrupt(cpu, what & 255, next_eip_of(cpu, what >> SOFTWARE_LENGTH_SHIFT & 15),
                           (X86SoftwareKind)(what >> SOFTWARE_KIND_SHIFT));
}
X86_HELPER(software_interrupt, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

static void software_interrupt(X86Translator *t, unsigned vector, X86SoftwareKind kind)
{
    unsigned what = vector | (unsigned)t->insn.length << SOFTWARE_LENGTH_SHIFT |
                    (unsigned)kind << SOFTWARE_KIND_SHIFT;

    x86_call(t, &call_software_interrupt, x86_const(t, 4, what), 0, 0, 0);
    x86_dispatch_env(t);
}

X86(int3, "CC")
void x86_int3(X86Translator *t)
{
    software_interrupt(t, X86_BP, X86_INT3_INTO);
}

X86(int1, "F1")
void x86_int1(X86Translator *t)
{
    software_interrupt(t, X86_DB, X86_INT1);
}

X86(int, "CD", "Ib")
void x86_int(X86Translator *t)
{
    x86_svm_intercept(t, SVM_EXIT_SOFTWARE_INTERRUPT,
                      ir_const(t->unit, IR_I64, (uint8_t)t->insn.operands[0].imm));
    software_interrupt(t, (uint8_t)t->insn.operands[0].imm, X86_INT_N);
}

X86(into, "CE", "", "i64")
void x86_into(X86Translator *t)
{
    ir_exit_if(t->unit, IR_VC, x86_get_flags(t), t->next);
    x86_svm_intercept(t, SVM_EXIT_EXCEPTION + X86_OF, 0);
    software_interrupt(t, X86_OF, X86_INT3_INTO);
}

static void helper_bound(TcgState *env, uint64_t a, uint64_t b)
{
    x86_fault(x86_cpu_of_env(env), X86_BR, 0);
}
X86_HELPER(bound, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I64);

X86(bound, "62 /r mem", "Gv Mv", "i64")
void x86_bound(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef index = x86_read_sext(t, 0), address = x86_address(t, 2 * bytes, false), low, high;
    IrRef zero = ir_const(t->unit, IR_I64, 0);

    low = x86_sext(t, bytes, x86_load(t, bytes, address, t->address_imm));
    high = x86_sext(t, bytes, x86_load(t, bytes, address, t->address_imm + bytes));
    x86_call_if(t, IR_LT, ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, index, low, 0),
                &call_bound, zero, zero);
    x86_call_if(t, IR_GT, ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, index, high, 0),
                &call_bound, zero, zero);
}

/* Undefined on purpose, with room for an operand. */
X86(ud, "0F 0B")
X86(ud, "0F B9 /r", "Gv Ev")
X86(ud, "0F FF /r", "Gv Ev")
void x86_ud(X86Translator *t)
{
    x86_undefined(t);
}

/* NOPs: 0F 1F, the hint space around it (ENDBR, PREFETCH …), and what prefetches. */
X86(nop, "0F 18 /r", "Ev")
X86(nop, "0F 19 /r", "Ev")
X86(nop, "0F 1A /r", "Ev")
X86(nop, "0F 1B /r", "Ev")
X86(nop, "0F 1C /r", "Ev")
X86(nop, "0F 1D /r", "Ev")
X86(nop, "0F 1E /r", "Ev")
X86(nop, "0F 1F /r", "Ev")
X86(nop, "0F 0D /r mem", "Ev")
void x86_nop(X86Translator *t)
{
}
