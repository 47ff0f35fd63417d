/* SPDX-License-Identifier: MIT */
/* Instructions that read and load segment registers and their bases. */
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"
#include "target/i386/translate.h"

/* Whether the mode is another now. */
static uint64_t helper_load_segment(TcgState *env, uint32_t name, uint64_t selector)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t mode = cpu->mode;

    x86_load_segment(cpu, (X86SegmentName)name, (uint16_t)selector);
    return cpu->mode ^ mode;
}
X86_HELPER(load_segment, IR_I64, X86_HELPER_SYSTEM, IR_I32, IR_I64);

static IrRef load_segment(X86Translator *t, unsigned name, IrRef selector)
{
    return x86_call(t, &call_load_segment, x86_const(t, 4, name), selector, 0, 0);
}

/* A stack pointer comes after its segment (not with LSS): between the two there are neither interrupts nor debug traps. */
static void begin_stack_shadow(X86Translator *t, unsigned name)
{
    if (name == X86_SS) {
        ir_set(t->unit, X86_VAR_SHADOW, IR_I64, ir_const(t->unit, IR_I64, X86_SHADOW_STACK));
    }
}

/* Flatness may have changed: on by the dispatcher. That of DS and ES seldom does. */
static void end_segment_load(X86Translator *t, unsigned name, IrRef changed)
{
    if (name == X86_SS || (name >= X86_FS && !x86_is_code64(t))) {
        x86_dispatch_next(t);
    } else if (!x86_is_code64(t)) {
        ir_exit_if(t->unit, IR_NE, ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, changed, changed, 0),
                   t->next);
        t->side_exits++;
    }
}

X86(mov_from_segment, "8C /r", "Ev Ss")
void x86_mov_from_segment(X86Translator *t)
{
    x86_store_word(t, x86_selector_of(t, t->insn.operands[1].reg));
}

X86(mov_to_segment, "8E /r", "Ss Ew")
void x86_mov_to_segment(X86Translator *t)
{
    unsigned name = t->insn.operands[0].reg;
    IrRef changed;

    if (name == X86_CS) {
        x86_undefined(t);
        return;
    }
    changed = load_segment(t, name, x86_read_zext(t, 1));
    begin_stack_shadow(t, name);
    end_segment_load(t, name, changed);
}

X86(push_segment, "06", "ES", "i64 d64")
X86(push_segment, "0E", "CS", "i64 d64")
X86(push_segment, "16", "SS", "i64 d64")
X86(push_segment, "1E", "DS", "i64 d64")
X86(push_segment, "0F A0", "FS", "d64")
X86(push_segment, "0F A8", "GS", "d64")
void x86_push_segment(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes;

    x86_push(t, bytes, x86_from64(t, bytes, x86_selector_of(t, t->insn.operands[0].reg)));
}

X86(pop_segment, "07", "ES", "i64 d64")
X86(pop_segment, "17", "SS", "i64 d64")
X86(pop_segment, "1F", "DS", "i64 d64")
X86(pop_segment, "0F A1", "FS", "d64")
X86(pop_segment, "0F A9", "GS", "d64")
void x86_pop_segment(X86Translator *t)
{
    unsigned bytes = t->insn.operand_bytes, name = t->insn.operands[0].reg;
    IrRef selector = x86_zext(t, bytes, x86_pop(t, bytes)), changed;

    changed = load_segment(t, name, ir_op2i(t->unit, IR_OP_and, IR_I64, selector, 0xffff));
    x86_add_sp(t, bytes);
    begin_stack_shadow(t, name);
    end_segment_load(t, name, changed);
}

static void load_far_pointer(X86Translator *t, unsigned name)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef address = x86_address_of_parts(t, bytes + 2, false);
    IrRef offset = x86_load(t, bytes, address, t->address_imm), changed;

    changed = load_segment(t, name, x86_load(t, 2, address, t->address_imm + bytes));
    x86_write(t, 0, offset);
    end_segment_load(t, name, changed);
}

X86(les, "C4 /r mem", "Gv Mp", "i64")
void x86_les(X86Translator *t)
{
    load_far_pointer(t, X86_ES);
}

X86(lds, "C5 /r mem", "Gv Mp", "i64")
void x86_lds(X86Translator *t)
{
    load_far_pointer(t, X86_DS);
}

X86(lss, "0F B2 /r mem", "Gv Mp")
void x86_lss(X86Translator *t)
{
    load_far_pointer(t, X86_SS);
}

X86(lfs, "0F B4 /r mem", "Gv Mp")
void x86_lfs(X86Translator *t)
{
    load_far_pointer(t, X86_FS);
}

X86(lgs, "0F B5 /r mem", "Gv Mp")
void x86_lgs(X86Translator *t)
{
    load_far_pointer(t, X86_GS);
}

/* FSGSBASE */

static void base_of_segment(X86Translator *t, unsigned name, bool write)
{
    unsigned bytes = x86_bytes(t, 0);

    if (!(t->mode & X86_MODE_FSGSBASE)) {
        x86_undefined(t);
    } else if (write) {
        IrRef value = x86_read_zext(t, 0);

        if (bytes == 8) {
            x86_check_canonical_base(t, value);
        }
        ir_set(t->unit, X86_VAR_BASE + name, IR_I64, value);
    } else {
        x86_write(t, 0, x86_from64(t, bytes, ir_get(t->unit, X86_VAR_BASE + name, IR_I64)));
    }
}

X86(rdfsbase, "F3 0F AE /0 reg", "Ry", "o64 FSGSBASE")
void x86_rdfsbase(X86Translator *t)
{
    base_of_segment(t, X86_FS, false);
}

X86(rdgsbase, "F3 0F AE /1 reg", "Ry", "o64 FSGSBASE")
void x86_rdgsbase(X86Translator *t)
{
    base_of_segment(t, X86_GS, false);
}

X86(wrfsbase, "F3 0F AE /2 reg", "Ry", "o64 FSGSBASE")
void x86_wrfsbase(X86Translator *t)
{
    base_of_segment(t, X86_FS, true);
}

X86(wrgsbase, "F3 0F AE /3 reg", "Ry", "o64 FSGSBASE")
void x86_wrgsbase(X86Translator *t)
{
    base_of_segment(t, X86_GS, true);
}

static void helper_not_canonical_base(TcgState *env, uint64_t address, uint64_t b)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (!x86_is_canonical_base(cpu, address)) {
        x86_fault(cpu, X86_GP, 0);
    }
}
X86_HELPER(not_canonical_base, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I64);

void x86_check_canonical_base(X86Translator *t, IrRef address)
{
    /* Below 2^47 there is nothing to ask. */
    IrRef high = ir_op2i(t->unit, IR_OP_shr, IR_I64, address, 47);

    x86_call_if(t, IR_NE, ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, high, high, 0),
                &call_not_canonical_base, address, ir_const(t->unit, IR_I64, 0));
}

X86(swapgs, "0F 01 /7 rm=0", "", "o64")
void x86_swapgs(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        IrRef base = ir_get(t->unit, X86_VAR_BASE + X86_GS, IR_I64);

        ir_set(t->unit, X86_VAR_BASE + X86_GS, IR_I64,
               ir_get(t->unit, X86_VAR_KERNEL_GS_BASE, IR_I64));
        ir_set(t->unit, X86_VAR_KERNEL_GS_BASE, IR_I64, base);
    }
}
