/* SPDX-License-Identifier: MIT */
/* Instructions about descriptor tables and selectors: LGDT and the like, LAR, LSL, VERR, VERW, ARPL. */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"
#include "target/i386/translate.h"

static uint64_t helper_table_base(TcgState *env, uint32_t idt)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    return idt ? cpu->idtr.base : cpu->gdtr.base;
}
X86_HELPER(table_base, IR_I64, HELPER_ENV, IR_I32);

static uint64_t helper_table_limit(TcgState *env, uint32_t idt)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    return idt ? cpu->idtr.limit : cpu->gdtr.limit;
}
X86_HELPER(table_limit, IR_I64, HELPER_ENV, IR_I32);

static void store_table(X86Translator *t, bool idt)
{
    unsigned bytes = x86_is_code64(t) ? 8 : 4;
    IrRef address, which = x86_const(t, 4, idt), base;

    if (x86_is_hidden(t)) {
        return;
    }
    address = x86_address_of_parts(t, bytes + 2, true);
    x86_store(t, 2, address, t->address_imm, x86_call(t, &call_table_limit, which, 0, 0, 0));
    base = x86_call(t, &call_table_base, which, 0, 0, 0);
    x86_store(t, bytes, address, t->address_imm + 2, x86_from64(t, bytes, base));
}

X86(sgdt, "0F 01 /0 mem", "Ms")
void x86_sgdt(X86Translator *t)
{
    store_table(t, false);
}

X86(sidt, "0F 01 /1 mem", "Ms")
void x86_sidt(X86Translator *t)
{
    store_table(t, true);
}

static void helper_load_table(TcgState *env, uint64_t base, uint64_t limit, uint32_t idt)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    X86TableRegister *table = idt ? &cpu->idtr : &cpu->gdtr;

    if (x86_code64(cpu) && !x86_is_canonical_base(cpu, base)) {
        x86_fault(cpu, X86_GP, 0);
    }
    *table = (X86TableRegister){ .base = base, .limit = (uint32_t)limit };
}
X86_HELPER(load_table, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I64, IR_I32);

static void load_table(X86Translator *t, bool idt)
{
    unsigned bytes = x86_is_code64(t) ? 8 : 4;
    IrRef address, limit, base;

    if (x86_not_privileged(t)) {
        return;
    }
    address = x86_address_of_parts(t, bytes + 2, false);
    limit = x86_load(t, 2, address, t->address_imm);
    base = x86_zext(t, bytes, x86_load(t, bytes, address, t->address_imm + 2));
    if (!x86_is_code64(t) && t->insn.operand_bytes == 2) {
        base = ir_op2i(t->unit, IR_OP_and, IR_I64, base, 0xffffff);
    }
    x86_call(t, &call_load_table, base, limit, x86_const(t, 4, idt), 0);
}

X86(lgdt, "0F 01 /2 mem", "Ms")
void x86_lgdt(X86Translator *t)
{
    load_table(t, false);
}

X86(lidt, "0F 01 /3 mem", "Ms")
void x86_lidt(X86Translator *t)
{
    load_table(t, true);
}

static uint64_t helper_selector(TcgState *env, uint32_t which)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    return which == X86_LDTR ? cpu->ldtr.selector
           : which == X86_TR ? cpu->tr.selector
                             : cpu->seg[which].selector;
}
X86_HELPER(selector, IR_I64, HELPER_ENV | HELPER_READS, IR_I32);

IrRef x86_selector_of(X86Translator *t, unsigned which)
{
    return x86_call(t, &call_selector, x86_const(t, 4, which), 0, 0, 0);
}

X86(sldt, "0F 00 /0", "Ev", "PROT")
void x86_sldt(X86Translator *t)
{
    if (!x86_is_hidden(t)) {
        x86_store_word(t, x86_selector_of(t, X86_LDTR));
    }
}

X86(str, "0F 00 /1", "Ev", "PROT")
void x86_str(X86Translator *t)
{
    if (!x86_is_hidden(t)) {
        x86_store_word(t, x86_selector_of(t, X86_TR));
    }
}

static void helper_load_system_segment(TcgState *env, uint64_t selector, uint32_t tr)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (tr) {
        x86_load_tr(cpu, (uint16_t)selector);
    } else {
        x86_load_ldtr(cpu, (uint16_t)selector);
    }
}
X86_HELPER(load_system_segment, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

static void load_system_segment(X86Translator *t, bool tr)
{
    if (!x86_not_privileged(t)) {
        x86_call(t, &call_load_system_segment, x86_read(t, 0), x86_const(t, 4, tr), 0, 0);
    }
}

X86(lldt, "0F 00 /2", "Ew", "PROT")
void x86_lldt(X86Translator *t)
{
    load_system_segment(t, false);
}

X86(ltr, "0F 00 /3", "Ew", "PROT")
void x86_ltr(X86Translator *t)
{
    load_system_segment(t, true);
}

/* Rights of selectors: ZF tells whether there is an answer; the other flags stay. */

enum { RIGHTS_LAR, RIGHTS_LSL, RIGHTS_VERR, RIGHTS_VERW };

/* Returns the answer, or the old value where there is none. */
static uint64_t helper_rights(TcgState *env, uint64_t selector, uint64_t old, uint32_t what)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint32_t value = 0;
    bool ok = what == RIGHTS_LAR   ? x86_lar(cpu, (uint16_t)selector, &value)
              : what == RIGHTS_LSL ? x86_lsl(cpu, (uint16_t)selector, &value)
                                   : x86_verify(cpu, (uint16_t)selector, what == RIGHTS_VERW);

    x86_set_zf(cpu, ok);
    return ok ? value : old;
}
X86_HELPER(rights, IR_I64, X86_HELPER_SYSTEM, IR_I64, IR_I64, IR_I32);

/* The destination keeps its value, upper half and all, when there is no answer. */
static void read_rights(X86Translator *t, unsigned what)
{
    const X86Operand *o = &t->insn.operands[0];
    IrRef old = x86_get_reg64(t, o->reg), selector = x86_read(t, 1), value, changed;

    value = x86_call(t, &call_rights, x86_zext(t, x86_bytes(t, 1), selector), old,
                     x86_const(t, 4, what), 0);
    changed = o->bytes == 2 ? ir_bitfield(t->unit, IR_OP_bfi, IR_I64, old, value, 0, 16) : value;
    x86_set_reg64(t, o->reg, ir_sel(t->unit, IR_I64, IR_EQ, x86_get_flags(t), changed, old));
}

X86(lar_instruction, "0F 02 /r", "Gv Ew", "PROT")
void x86_lar_instruction(X86Translator *t)
{
    read_rights(t, RIGHTS_LAR);
}

X86(lsl_instruction, "0F 03 /r", "Gv Ew", "PROT")
void x86_lsl_instruction(X86Translator *t)
{
    read_rights(t, RIGHTS_LSL);
}

static void verify(X86Translator *t, unsigned what)
{
    x86_call(t, &call_rights, x86_read_zext(t, 0), ir_const(t->unit, IR_I64, 0),
             x86_const(t, 4, what), 0);
}

X86(verr, "0F 00 /4", "Ew", "PROT")
void x86_verr(X86Translator *t)
{
    verify(t, RIGHTS_VERR);
}

X86(verw, "0F 00 /5", "Ew", "PROT")
void x86_verw(X86Translator *t)
{
    verify(t, RIGHTS_VERW);
}

X86(arpl, "63 /r", "Ew Gw", "i64 PROT")
void x86_arpl(X86Translator *t)
{
    IrRef a = x86_begin_update(t), b = x86_read(t, 1), old = x86_get_flags(t);
    IrRef rpl = ir_op2i(t->unit, IR_OP_and, IR_I64, a, 3);
    IrRef wanted = ir_op2i(t->unit, IR_OP_and, IR_I64, b, 3);
    IrRef lower = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, rpl, wanted, 0);
    IrRef raised = ir_bitfield(t->unit, IR_OP_bfi, IR_I64, a, wanted, 0, 2);
    IrRef zero = ir_cset(t->unit, IR_I64, IR_CC, lower);

    x86_end_update(t, ir_sel(t->unit, IR_I64, IR_CS, lower, raised, a));
    x86_set_flags(t, ir_fmerge(t->unit, old,
                               ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, zero, zero, 0),
                               TCG_FLAG_Z));
}
