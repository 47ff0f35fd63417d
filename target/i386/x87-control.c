/* SPDX-License-Identifier: MIT */
/* x87 control instructions, the environment and whole states in memory (FSTENV, FSAVE), WAIT and EMMS. */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/translate.h"
#include "target/i386/x87-translate.h"

enum { EXCEPTIONS = 0x3f };

static bool refused(X86Translator *t)
{
    if (t->mode & (X86_MODE_EM | X86_MODE_TS)) {
        x86_raise(t, X86_NM);
        return true;
    }
    x86_end_mmx(t);
    return false;
}

static IrRef operand_address(X86Translator *t, unsigned bytes, bool write)
{
    IrRef address = x86_address(t, bytes, write);

    return t->address_imm ? ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm) : address;
}

static void helper_fwait(TcgState *env)
{
    x87_check_pending(x86_cpu_of_env(env));
}
X86_HELPER(fwait, IR_VOID, X86_HELPER_FAULTING, IR_VOID);

X86(fwait, "9B", "")
void x86_fwait(X86Translator *t)
{
    if ((t->mode & X86_MODE_MP) && (t->mode & X86_MODE_TS)) {
        x86_raise(t, X86_NM);
        return;
    }
    if (t->mode & X86_MODE_X87_TRAPS) {
        x86_call(t, &call_fwait, 0, 0, 0, 0);
    }
}

static void helper_emms(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x87_settle(cpu);
    x87_check_pending(cpu);
    cpu->x87.valid = 0;
    cpu->x87.top = 0;
}
X86_HELPER(emms, IR_VOID, X86_HELPER_SYSTEM, IR_VOID);

X86(emms, "NP 0F 77", "", "MMX")
X86(emms, "0F 0E", "", "3DNOW") /* FEMMS */
void x86_emms(X86Translator *t)
{
    if (t->mode & X86_MODE_EM) {
        x86_undefined(t);
    } else if (!refused(t)) {
        x86_call(t, &call_emms, 0, 0, 0, 0);
    }
}

static void helper_fninit(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x87_settle(cpu);
    x87_init(cpu);
    x87_update_ferr(cpu);
    x86_update_mode(cpu);
}
X86_HELPER(fninit, IR_VOID, X86_HELPER_SYSTEM, IR_VOID);

static void helper_fnclex(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (env->x87_lent) {
        __asm__ volatile("fnclex");
        return;
    }
    cpu->x87.status &= 0x7f00;
    x87_update_ferr(cpu);
}
X86_HELPER(fnclex, IR_VOID, HELPER_ENV | HELPER_EFFECT, IR_VOID);

X86(fninit, "DB /4 rm=3", "", "FPU")
void x86_fninit(X86Translator *t)
{
    if (!refused(t)) {
        x86_call(t, &call_fninit, 0, 0, 0, 0);
        x86_dispatch_next(t);
    }
}

X86(fnclex, "DB /4 rm=2", "", "FPU")
void x86_fnclex(X86Translator *t)
{
    if (!refused(t)) {
        x86_call(t, &call_fnclex, 0, 0, 0, 0);
    }
}

/* FNENI, FNDISI, FNSETPM: of the 8087 and 80287, nothing since. */
X86(x87_nop, "DB /4 rm=0", "", "FPU")
X86(x87_nop, "DB /4 rm=1", "", "FPU")
X86(x87_nop, "DB /4 rm=4", "", "FPU")
void x86_x87_nop(X86Translator *t)
{
    refused(t);
}

/* Words. */

static uint32_t helper_control_word(TcgState *env)
{
    return x86_cpu_of_env(env)->x87.control;
}
X86_HELPER(control_word, IR_I32, HELPER_ENV | HELPER_EFFECT, IR_VOID);

static uint32_t helper_status_word(TcgState *env)
{
    return x87_status_word(x86_cpu_of_env(env));
}
X86_HELPER(status_word, IR_I32, HELPER_ENV | HELPER_EFFECT, IR_VOID);

/* In code where all exceptions are masked. */
static uint32_t helper_masked_status(TcgState *env, uint64_t code)
{
    return x87_status_word(x86_cpu_of_env(env));
}
X87_HELPER(masked_status, IR_I32, IR_VOID);

/* Where it masks exceptions that were not, or the reverse, the next instruction is one of another mode. */
static void helper_fldcw(TcgState *env, uint32_t value, uint64_t next_eip)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t mode = cpu->mode;

    x87_settle(cpu);
    x87_set_control_word(cpu, (uint16_t)value);
    x87_update_ferr(cpu);
    if (cpu->mode != mode) {
        x86_set_eip(cpu, next_eip);
        tcg_insn_done(env);
        tcg_unwind(env);
    }
}
X86_HELPER(fldcw, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I64);

static void helper_masked_fldcw(TcgState *env, uint32_t value, uint64_t code)
{
    x87_set_control_word(x86_cpu_of_env(env), (uint16_t)value);
}
X87_HELPER(masked_fldcw, IR_VOID, IR_I32);

X86(fldcw, "D9 /5 mem", "Mw", "FPU")
void x86_fldcw(X86Translator *t)
{
    IrRef value, masks, flags;

    if (refused(t)) {
        return;
    }
    if (t->mode & X86_MODE_X87_TRAPS) {
        x86_call(t, &call_fwait, 0, 0, 0, 0); /* comes before what the access raises */
    }
    value = ir_op1(t->unit, IR_OP_trunc, IR_I32, x86_read(t, 0));
    if (t->mode & X86_MODE_X87_TRAPS) {
        x86_call(t, &call_fldcw, value, x86_next_eip(t, 8), 0, 0);
        return;
    }
    masks = ir_op2i(t->unit, IR_OP_and, IR_I32, value, EXCEPTIONS);
    flags = ir_flags(t->unit, IR_OP_subf, IR_I32, 2, IR_BORROW, masks,
                     ir_const(t->unit, IR_I32, EXCEPTIONS), 0);
    x86_call_if(t, IR_NE, flags, &call_fldcw, value, x86_next_eip(t, 8));
    x87_call(t, &call_masked_fldcw, value, X87_FLDCW);
}

static void helper_masked_fnstcw(TcgState *env, uint64_t host, uint64_t code)
{
    memcpy((void *)(uintptr_t)host, &x86_cpu_of_env(env)->x87.control, 2);
}
X87_HELPER(masked_fnstcw, IR_VOID, IR_I64);

X86(fnstcw, "D9 /7 mem", "Mw", "FPU")
void x86_fnstcw(X86Translator *t)
{
    if (refused(t)) {
        return;
    }
    if (t->mode & X86_MODE_X87_TRAPS) {
        x86_write(t, 0, x86_zext(t, 4, x86_call(t, &call_control_word, 0, 0, 0, 0)));
    } else {
        x87_masked_memory(t, &call_masked_fnstcw, operand_address(t, 2, true), X87_FNSTCW, 2, true);
    }
}

X86(fnstsw, "DD /7 mem", "Mw", "FPU")
X86(fnstsw, "DF /4 rm=0", "AX", "FPU")
void x86_fnstsw(X86Translator *t)
{
    if (!refused(t)) {
        IrRef status = t->mode & X86_MODE_X87_TRAPS
                           ? x86_call(t, &call_status_word, 0, 0, 0, 0)
                           : x87_call(t, &call_masked_status, 0, X87_FNSTSW_AX);

        x86_write(t, 0, x86_zext(t, 4, status));
    }
}

/* The environment: seven words of 16 or 32 bits. */

enum { WIDE = 1, PROTECTED = 2 }; /* of `what` */

static uint64_t linear_of(const X86Cpu *cpu, uint16_t selector, uint64_t offset)
{
    return ((uint64_t)selector << 4) + offset;
}

static void gather_environment(const X86Cpu *cpu, uint32_t what, uint32_t words[7])
{
    const X87State *x = &cpu->x87;
    uint64_t fip = x->fip, fdp = x->fdp;
    unsigned fill = what & WIDE ? 0xffff0000u : 0;

    words[0] = x->control | fill;
    words[1] = x87_status_word(cpu) | fill;
    words[2] = x87_full_tag_word(cpu) | fill;
    if (what & PROTECTED) {
        words[3] = (uint32_t)fip;
        words[4] = x->cs | (what & WIDE ? (uint32_t)x->opcode << 16 : 0);
        words[5] = (uint32_t)fdp;
        words[6] = x->ds | fill;
        return;
    }
    fip = linear_of(cpu, x->cs, fip);
    fdp = linear_of(cpu, x->ds, fdp);
    words[3] = (uint16_t)fip | fill;
    words[4] = x->opcode | (uint32_t)(fip >> 16) << 12;
    words[5] = (uint16_t)fdp | fill;
    words[6] = (uint32_t)(fdp >> 16) << 12;
}

static unsigned word_bytes(uint32_t what)
{
    return what & WIDE ? 4 : 2;
}

static void store_environment(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    uint32_t words[7];

    gather_environment(x86_cpu_of_env(env), what, words);
    for (unsigned i = 0; i < 7; i++) {
        tcg_store(env, address + i * word_bytes(what), words[i], word_bytes(what), flags);
    }
}

static void load_words(TcgState *env, uint64_t address, uint32_t what, uint32_t flags,
                       uint32_t words[7])
{
    for (unsigned i = 0; i < 7; i++) {
        words[i] = (uint32_t)tcg_load(env, address + i * word_bytes(what), word_bytes(what), flags);
    }
}

static void put_environment(X86Cpu *cpu, uint32_t what, const uint32_t words[7])
{
    X87State *x = &cpu->x87;

    x87_set_control_word(cpu, (uint16_t)words[0]);
    x87_set_status_word(cpu, (uint16_t)words[1]);
    x87_set_full_tag_word(cpu, (uint16_t)words[2]);
    x->fip = words[3];
    x->fdp = words[5];
    if (what & PROTECTED) {
        x->cs = (uint16_t)words[4];
        x->ds = (uint16_t)words[6];
        x->opcode = what & WIDE ? words[4] >> 16 & 0x7ff : 0;
    } else {
        x->fip = (uint16_t)words[3] | (uint64_t)(words[4] >> 12) << 16;
        x->fdp = (uint16_t)words[5] | (uint64_t)(words[6] >> 12) << 16;
        x->cs = x->ds = 0;
        x->opcode = words[4] & 0x7ff;
    }
    x87_update_ferr(cpu);
}

static void check_stores(TcgState *env, uint64_t address, uint32_t flags, unsigned n)
{
    tcg_check_span(env, address, n, true, flags);
    for (unsigned at = 0; at < n; at += 2) {
        tcg_check_store(env, address + at, 2, flags);
    }
}

static void helper_fnstenv(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    check_stores(env, address, flags, 7 * word_bytes(what));
    x87_settle(cpu);
    store_environment(env, address, what, flags);
    x87_set_control_word(cpu, cpu->x87.control | 0x3f);
    x87_update_ferr(cpu);
}
X86_HELPER(fnstenv, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

static void helper_fldenv(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    uint32_t words[7];

    x87_settle(x86_cpu_of_env(env));
    x87_check_pending(x86_cpu_of_env(env));
    load_words(env, address, what, flags, words);
    put_environment(x86_cpu_of_env(env), what, words);
}
X86_HELPER(fldenv, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

static void helper_fnsave(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t at = address + 7 * word_bytes(what);

    check_stores(env, address, flags, 7 * word_bytes(what) + 80);
    x87_settle(cpu);
    store_environment(env, address, what, flags);
    for (unsigned i = 0; i < 8; i++, at += 10) {
        tcg_store(env, at, x87_st(cpu, i)->significand, 8, flags);
        tcg_store(env, at + 8, x87_st(cpu, i)->sign_exponent, 2, flags);
    }
    x87_init(cpu);
    x87_update_ferr(cpu);
    x86_update_mode(cpu);
}
X86_HELPER(fnsave, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

static void helper_frstor(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t at = address + 7 * word_bytes(what);
    X87Register registers[8] = { 0 };
    uint32_t words[7];

    x87_settle(cpu);
    x87_check_pending(cpu);
    load_words(env, address, what, flags, words);
    for (unsigned i = 0; i < 8; i++, at += 10) {
        registers[i].significand = tcg_load(env, at, 8, flags);
        registers[i].sign_exponent = (uint16_t)tcg_load(env, at + 8, 2, flags);
    }
    put_environment(cpu, what, words);
    for (unsigned i = 0; i < 8; i++) {
        *x87_st(cpu, i) = registers[i];
    }
}
X86_HELPER(frstor, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

static void environment(X86Translator *t, const TcgHelper *helper, bool whole, bool write)
{
    bool wide = t->insn.operand_bytes != 2;
    unsigned what = (wide ? WIDE : 0) | (t->mode & X86_MODE_PROTECTED ? PROTECTED : 0);
    unsigned bytes = (wide ? 28u : 14u) + (whole ? 80u : 0);

    if (!refused(t)) {
        x86_call(t, helper, operand_address(t, bytes, write), x86_const(t, 4, what),
                 x86_const(t, 4, x86_memory_flags(t)), 0);
        x86_dispatch_next(t); /* exceptions may be masked now, or no longer */
    }
}

X86(fldenv, "D9 /4 mem", "Ms", "FPU")
void x86_fldenv(X86Translator *t)
{
    environment(t, &call_fldenv, false, false);
}

X86(fnstenv, "D9 /6 mem", "Ms", "FPU")
void x86_fnstenv(X86Translator *t)
{
    environment(t, &call_fnstenv, false, true);
}

X86(frstor, "DD /4 mem", "Ms", "FPU")
void x86_frstor(X86Translator *t)
{
    environment(t, &call_frstor, true, false);
}

X86(fnsave, "DD /6 mem", "Ms", "FPU")
void x86_fnsave(X86Translator *t)
{
    environment(t, &call_fnsave, true, true);
}
