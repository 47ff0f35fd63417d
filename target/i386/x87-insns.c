/* SPDX-License-Identifier: MIT */
/* Translators of x87 instructions: of their forms, of which x87.c computes what they do. */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/x87-translate.h"

/* Above the code of an instruction: the segment of its operand in memory. */
enum { X87_SEGMENT_SHIFT = 11 };

static bool refused(X86Translator *t)
{
    if (t->mode & (X86_MODE_EM | X86_MODE_TS)) {
        x86_raise(t, X86_NM);
        return true;
    }
    x86_end_mmx(t);
    return false;
}

static uint32_t code_of(const X86Translator *t)
{
    const X86Insn *insn = &t->insn;

    return X87_CODE(insn->opcode & 7u, (unsigned)(insn->mod << 6 | insn->reg << 3 | insn->rm));
}

static bool all_masked(const X86Translator *t)
{
    return !(t->mode & X86_MODE_X87_TRAPS);
}

static void set_noted(X86Translator *t, unsigned var, IrRef value)
{
    ir_set(t->unit, var, IR_I64, value);
}

/* Behind the instruction, which can no longer fault: where it is. */
static void note_instruction(X86Translator *t)
{
    set_noted(t, X86_VAR_FIP, ir_pc(t->unit, t->offset));
    set_noted(t, X86_VAR_FOP, x86_const(t, 8, X87_NOTED | code_of(t)));
}

static void note_memory(X86Translator *t, IrRef address)
{
    X86SegmentName segment = x86_segment(t);

    if (segment >= X86_FS) {
        address = ir_op2(t->unit, IR_OP_sub, IR_I64, address,
                         ir_get(t->unit, X86_VAR_BASE + (unsigned)segment, IR_I64));
    }
    note_instruction(t);
    set_noted(t, X86_VAR_FDP, address);
    set_noted(t, X86_VAR_FDS, x86_const(t, 8, X87_NOTED | (unsigned)segment));
}

/* Where exceptions are not masked: a waiting instruction that is not a control one. */
static X86Cpu *begin(TcgState *env, uint32_t code)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x87_check_pending(cpu);
    cpu->x87.fip = x86_eip(cpu);
    cpu->x87.cs = cpu->seg[X86_CS].selector;
    cpu->x87.opcode = code & 0x7ff;
    return cpu;
}

/* Where the operand is: offset and selector, though helpers are given its linear address. */
static void note_operand(X86Cpu *cpu, uint64_t address, uint32_t code)
{
    unsigned segment = code >> X87_SEGMENT_SHIFT;
    bool code64 = x86_code64(cpu);
    uint64_t offset = address - (code64 && segment < X86_FS ? 0 : cpu->seg[segment].base);

    cpu->x87.fdp = code64 ? offset : (uint32_t)offset;
    cpu->x87.ds = cpu->seg[segment].selector;
}

/* Memory operands. */

typedef enum { NONE, LOAD, STORE, STORE_POP, TRUNCATE_POP, ARITHMETIC } Action;
typedef struct {
    uint8_t action, format;
} MemoryForm;

#define ARITHMETIC8(format)                                                                        \
    {                                                                                              \
        { ARITHMETIC, format }, { ARITHMETIC, format }, { ARITHMETIC, format },                    \
            { ARITHMETIC, format }, { ARITHMETIC, format }, { ARITHMETIC, format },                \
            { ARITHMETIC, format }, { ARITHMETIC, format },                                        \
    }
static const MemoryForm memory_forms[8][8] = {
    ARITHMETIC8(X87_F32),
    { { LOAD, X87_F32 }, { NONE }, { STORE, X87_F32 }, { STORE_POP, X87_F32 } },
    ARITHMETIC8(X87_I32),
    { { LOAD, X87_I32 },
      { TRUNCATE_POP, X87_I32 },
      { STORE, X87_I32 },
      { STORE_POP, X87_I32 },
      { NONE },
      { LOAD, X87_F80 },
      { NONE },
      { STORE_POP, X87_F80 } },
    ARITHMETIC8(X87_F64),
    { { LOAD, X87_F64 }, { TRUNCATE_POP, X87_I64 }, { STORE, X87_F64 }, { STORE_POP, X87_F64 } },
    ARITHMETIC8(X87_I16),
    { { LOAD, X87_I16 },
      { TRUNCATE_POP, X87_I16 },
      { STORE, X87_I16 },
      { STORE_POP, X87_I16 },
      { LOAD, X87_BCD },
      { LOAD, X87_I64 },
      { STORE_POP, X87_BCD },
      { STORE_POP, X87_I64 } },
};
static const uint8_t format_bytes[] = { [X87_F32] = 4, [X87_F64] = 8,  [X87_I16] = 2, [X87_I32] = 4,
                                        [X87_I64] = 8, [X87_BCD] = 10, [X87_F80] = 10 };

/* What other processors see at once is as large as the format. */
static void copy_bytes(void *to, const void *from, unsigned n)
{
    switch (n) {
    case 2:
        memcpy(to, from, 2);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 8:
        memcpy(to, from, 8);
        break;
    default:
        memcpy(to, from, 10);
    }
}

static void load_bytes(TcgState *env, uint64_t address, uint32_t flags, uint8_t *bytes, unsigned n)
{
    const void *known = flags & IR_MEM_ALIGNED ? NULL : tcg_known(env, address, n, false);

    if (known) {
        copy_bytes(bytes, known, n);
        return;
    }
    tcg_check_span(env, address, n, false, flags);
    for (unsigned at = 0; at < n;) {
        unsigned size = n - at >= 8 ? 8 : n - at >= 4 ? 4 : 2;
        uint64_t value = tcg_load(env, address + at, size, flags);

        memcpy(bytes + at, &value, size);
        at += size;
    }
}

static void store_bytes(TcgState *env, uint64_t address, uint32_t flags, const uint8_t *bytes,
                        unsigned n)
{
    for (unsigned at = 0; at < n;) {
        unsigned size = n - at >= 8 ? 8 : n - at >= 4 ? 4 : 2;
        uint64_t value = 0;

        memcpy(&value, bytes + at, size);
        tcg_store(env, address + at, value, size, flags);
        at += size;
    }
}

/* Faults before anything has been changed. */
static void check_stores(TcgState *env, uint64_t address, uint32_t flags, unsigned n)
{
    tcg_check_span(env, address, n, true, flags);
    for (unsigned at = 0; at < n; at += 8) {
        tcg_check_store(env, address + at, MIN(n - at, 8), flags);
    }
}

static void set_conditions(X86Cpu *cpu, uint16_t conditions)
{
    cpu->x87.status = (cpu->x87.status & (uint16_t)~0x4700) | conditions;
}

static bool can_pop(const X86Cpu *cpu)
{
    return !(cpu->x87.status & ~cpu->x87.control & 7);
}

static void operate_memory(X86Cpu *cpu, X87Operation op, X87Format format, const void *bytes)
{
    if (op != X87_COM && op != X87_COMP) {
        x87_arithmetic_memory(cpu, op, format, bytes);
        return;
    }
    set_conditions(cpu, x87_compare_memory(cpu, format, bytes));
    if (op == X87_COMP && can_pop(cpu)) {
        x87_pop(cpu);
    }
}

static void load_memory(TcgState *env, uint64_t address, uint32_t code, const MemoryForm *form,
                        uint32_t flags)
{
    uint64_t bytes[2] = { 0 };
    X86Cpu *cpu;

    load_bytes(env, address, flags, (uint8_t *)bytes, format_bytes[form->format]);
    cpu = begin(env, code);
    note_operand(cpu, address, code);
    if (form->action == ARITHMETIC) {
        operate_memory(cpu, (X87Operation)(code >> 3 & 7), (X87Format)form->format, bytes);
    } else {
        x87_load(cpu, (X87Format)form->format, bytes);
    }
}

static void store_memory(TcgState *env, uint64_t address, uint32_t code, const MemoryForm *form,
                         uint32_t flags)
{
    unsigned n = format_bytes[form->format];
    void *known = flags & IR_MEM_ALIGNED ? NULL : tcg_known(env, address, n, true);
    uint64_t bytes[2] = { 0 };
    X86Cpu *cpu;

    if (!known) {
        check_stores(env, address, flags, n);
    }
    cpu = begin(env, code);
    note_operand(cpu, address, code);
    if (x87_store(cpu, (X87Format)form->format, form->action == TRUNCATE_POP, bytes)) {
        if (known) {
            copy_bytes(known, bytes, n);
        } else {
            store_bytes(env, address, flags, (uint8_t *)bytes, n);
        }
        if (form->action != STORE) {
            x87_pop(cpu);
        }
    }
}

/* With an exception that is not masked. */
static void helper_x87_memory(TcgState *env, uint64_t address, uint32_t code, uint32_t flags)
{
    const MemoryForm *form = &memory_forms[code >> 8 & 7][code >> 3 & 7];

    x87_check_pending(x86_cpu_of_env(env)); /* comes before what the access raises */
    if (form->action == LOAD || form->action == ARITHMETIC) {
        load_memory(env, address, code, form, flags);
    } else {
        store_memory(env, address, code, form, flags);
    }
}
X86_HELPER(x87_memory, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32, IR_I32);

/* With all of them masked: the operand is at `host`, a cookie. */
static void helper_masked_memory(TcgState *env, uint64_t host, uint64_t code)
{
    const MemoryForm *form = &memory_forms[code >> 8 & 7][code >> 3 & 7];
    X86Cpu *cpu = x86_cpu_of_env(env);
    X87Format format = (X87Format)form->format;
    unsigned n = format_bytes[form->format];
    void *operand = (void *)(uintptr_t)host;
    uint64_t bytes[2] = { 0 };

    if (form->action == LOAD || form->action == ARITHMETIC) {
        copy_bytes(bytes, operand, n);
        if (form->action == LOAD) {
            x87_load(cpu, format, bytes);
        } else {
            operate_memory(cpu, (X87Operation)(code >> 3 & 7), format, bytes);
        }
        return;
    }
    x87_store(cpu, format, form->action == TRUNCATE_POP, bytes);
    copy_bytes(operand, bytes, n);
    if (form->action != STORE) {
        x87_pop(cpu);
    }
}
X87_HELPER(masked_memory, IR_VOID, IR_I64);

/* What the host could not store by itself. */
static void helper_store_bounced(TcgState *env, uint64_t address, uint32_t bytes, uint32_t flags)
{
    store_bytes(env, address, flags, (const uint8_t *)env->bounce, bytes);
}
X86_HELPER(store_bounced, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32, IR_I32);

static IrRef operand_address(X86Translator *t, unsigned bytes, bool write)
{
    IrRef address = x86_address(t, bytes, write);

    return t->address_imm ? ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm) : address;
}

static IrRef check_operand(X86Translator *t, IrRef address, unsigned bytes, unsigned flags)
{
    return ir_emit(t->unit, (IrOp){ .opcode = IR_OP_ldchk,
                                    .esz = (uint8_t)x86_log2(MIN(bytes, 8)),
                                    .sub = (uint16_t)flags,
                                    .args = { address },
                                    .aux = bytes });
}

void x87_masked_memory(X86Translator *t, const TcgHelper *helper, IrRef address, uint32_t code,
                       unsigned bytes, bool write)
{
    unsigned flags = x86_memory_flags(t), check = write ? IR_MEM_FOR_WRITE | IR_MEM_ONLY_STORED : 0;
    IrRef cookie, bounce, same;

    if (bytes > 8 && (flags & IR_MEM_ALIGNED)) {
        check_operand(t, address, 8, flags | check);
        flags &= ~(unsigned)IR_MEM_ALIGNED;
    }
    cookie = check_operand(t, address, bytes, flags | check);
    x87_call(t, helper, cookie, code);
    if (write) {
        bounce = ir_get(t->unit, X86_VAR_BOUNCE, IR_I64);
        same = ir_flags(t->unit, IR_OP_subf, IR_I64, 3, IR_BORROW, cookie, bounce, 0);
        ir_call_if(t->unit, IR_EQ, same, &call_store_bounced, address, x86_const(t, 4, bytes),
                   x86_const(t, 4, flags));
    }
}

X86(x87_memory, "D8 /r mem", "Md", "FPU")
X86(x87_memory, "D9 /0 mem", "Md", "FPU")
X86(x87_memory, "D9 /2 mem", "Md", "FPU")
X86(x87_memory, "D9 /3 mem", "Md", "FPU")
X86(x87_memory, "DA /r mem", "Md", "FPU")
X86(x87_memory, "DB /0 mem", "Md", "FPU")
X86(x87_memory, "DB /1 mem", "Md", "SSE3")
X86(x87_memory, "DB /2 mem", "Md", "FPU")
X86(x87_memory, "DB /3 mem", "Md", "FPU")
X86(x87_memory, "DB /5 mem", "Mt", "FPU")
X86(x87_memory, "DB /7 mem", "Mt", "FPU")
X86(x87_memory, "DC /r mem", "Mq", "FPU")
X86(x87_memory, "DD /0 mem", "Mq", "FPU")
X86(x87_memory, "DD /1 mem", "Mq", "SSE3")
X86(x87_memory, "DD /2 mem", "Mq", "FPU")
X86(x87_memory, "DD /3 mem", "Mq", "FPU")
X86(x87_memory, "DE /r mem", "Mw", "FPU")
X86(x87_memory, "DF /0 mem", "Mw", "FPU")
X86(x87_memory, "DF /1 mem", "Mw", "SSE3")
X86(x87_memory, "DF /2 mem", "Mw", "FPU")
X86(x87_memory, "DF /3 mem", "Mw", "FPU")
X86(x87_memory, "DF /4 mem", "Mt", "FPU")
X86(x87_memory, "DF /5 mem", "Mq", "FPU")
X86(x87_memory, "DF /6 mem", "Mt", "FPU")
X86(x87_memory, "DF /7 mem", "Mq", "FPU")
void x86_x87_memory(X86Translator *t)
{
    uint32_t code = code_of(t);
    const MemoryForm *form = &memory_forms[code >> 8 & 7][code >> 3 & 7];
    bool write = form->action == STORE || form->action == STORE_POP || form->action == TRUNCATE_POP;
    IrRef address;

    if (refused(t)) {
        return;
    }
    address = operand_address(t, x86_bytes(t, 0), write);
    if (all_masked(t)) {
        x87_masked_memory(t, &call_masked_memory, address, code, format_bytes[form->format], write);
        note_memory(t, address);
        return;
    }
    code |= (uint32_t)x86_segment(t) << X87_SEGMENT_SHIFT;
    x86_call(t, &call_x87_memory, address, x86_const(t, 4, code),
             x86_const(t, 4, x86_memory_flags(t)), 0);
}

/* Registers. */

static const X87Register indefinite = { .significand = UINT64_C(3) << 62, .sign_exponent = 0xffff };

/* A register that is used is empty. true: nothing happens but an exception. */
static bool underflow(X86Cpu *cpu)
{
    cpu->x87.status = (cpu->x87.status & (uint16_t)~X87_C1) | 0x40;
    return x87_note(cpu, 1);
}

static void exchange(X86Cpu *cpu, unsigned i)
{
    X87Register held = indefinite;

    cpu->x87.status &= (uint16_t)~X87_C1;
    if ((x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) && underflow(cpu)) {
        return;
    }
    if (!x87_is_empty(cpu, 0)) {
        x87_copy(&held, x87_st(cpu, 0));
    }
    x87_put(cpu, 0, x87_is_empty(cpu, i) ? &indefinite : x87_st(cpu, i));
    x87_put(cpu, i, &held);
}

/* ST(to) = ST(from), which must not be empty: FST, FCMOV. false: a stack fault that is not masked. */
static bool copy(X86Cpu *cpu, unsigned to, unsigned from)
{
    const X87Register *value = x87_st(cpu, from);

    cpu->x87.status &= (uint16_t)~X87_C1;
    if (x87_is_empty(cpu, from)) {
        if (underflow(cpu)) {
            return false;
        }
        value = &indefinite;
    }
    x87_put(cpu, to, value);
    return true;
}

static void compare_registers(X86Cpu *cpu, unsigned i, bool quiet, unsigned pops)
{
    set_conditions(cpu, x87_compare(cpu, i, quiet));
    for (unsigned k = 0; k < pops && can_pop(cpu); k++) {
        x87_pop(cpu);
    }
}

static void load_register(X86Cpu *cpu, unsigned i)
{
    cpu->x87.status &= (uint16_t)~X87_C1;
    if (!x87_is_empty(cpu, i)) {
        x87_push(cpu, x87_st(cpu, i));
    } else if (!underflow(cpu)) {
        /* A full stack is no second exception. */
        cpu->x87.top = (cpu->x87.top - 1) & 7;
        x87_put(cpu, 0, &indefinite);
    }
}

/* D9 D0 and above. */
static void special_operation(X86Cpu *cpu, unsigned modrm)
{
    static const uint8_t binaries[] = { [0xf1 - 0xf0] = X87_YL2X,   [0xf3 - 0xf0] = X87_ATAN,
                                        [0xf5 - 0xf0] = X87_PREM1,  [0xf8 - 0xf0] = X87_PREM,
                                        [0xf9 - 0xf0] = X87_YL2XP1, [0xfd - 0xf0] = X87_SCALE };

    switch (modrm) {
    case 0xe0:
        x87_change_sign(cpu, false);
        break;
    case 0xe1:
        x87_change_sign(cpu, true);
        break;
    case 0xe4:
        set_conditions(cpu, x87_test(cpu));
        break;
    case 0xe5:
        x87_examine(cpu);
        break;
    case 0xf0:
        x87_unary(cpu, X87_F2XM1);
        break;
    case 0xf2:
        x87_pushing(cpu, X87_TAN);
        break;
    case 0xf4:
        x87_pushing(cpu, X87_XTRACT);
        break;
    case 0xf6:
    case 0xf7:
        cpu->x87.top = (cpu->x87.top + (modrm == 0xf7 ? 1 : 7)) & 7;
        cpu->x87.status &= (uint16_t)~X87_C1;
        break;
    case 0xfa:
        x87_unary(cpu, X87_SQRT);
        break;
    case 0xfb:
        x87_pushing(cpu, X87_SINCOS);
        break;
    case 0xfc:
        x87_unary(cpu, X87_RNDINT);
        break;
    case 0xfe:
        x87_unary(cpu, X87_SIN);
        break;
    case 0xff:
        x87_unary(cpu, X87_COS);
        break;
    default:
        x87_binary(cpu, (X87Binary)binaries[modrm - 0xf0]);
    }
}

static void d9_register(X86Cpu *cpu, unsigned modrm)
{
    unsigned i = modrm & 7;

    if (modrm < 0xc8) {
        load_register(cpu, i);
    } else if (modrm < 0xd0) {
        exchange(cpu, i);
    } else if (modrm == 0xd0) {
        return;
    } else if (modrm >= 0xd8 && modrm < 0xe0) {
        if (copy(cpu, i, 0)) {
            x87_pop(cpu);
        }
    } else if (modrm >= 0xe8 && modrm < 0xef) {
        x87_push_constant(cpu, i);
    } else {
        special_operation(cpu, modrm);
    }
}

static void dd_register(X86Cpu *cpu, unsigned modrm)
{
    unsigned i = modrm & 7, op = modrm >> 3 & 7;

    switch (op) {
    case 0:
        cpu->x87.status &= (uint16_t)~X87_C1;
        cpu->x87.valid &= (uint8_t) ~(1u << ((cpu->x87.top + i) & 7));
        break;
    case 1:
        exchange(cpu, i);
        break;
    case 2:
    case 3:
        if (copy(cpu, i, 0) && op == 3) {
            x87_pop(cpu);
        }
        break;
    default:
        compare_registers(cpu, i, true, op == 5);
    }
}

/* D8 */
static void operate(X86Cpu *cpu, X87Operation op, unsigned i)
{
    if (op == X87_COM || op == X87_COMP) {
        compare_registers(cpu, i, false, op == X87_COMP);
    } else {
        x87_arithmetic(cpu, op, 0, i);
    }
}

/* DC and DE: the result goes to ST(i), and what subtracts and divides is reversed in the encoding. */
static void to_register(X86Cpu *cpu, unsigned modrm, bool pop)
{
    static const uint8_t operations[] = { X87_ADD,  X87_MUL, X87_COM,  X87_COMP,
                                          X87_SUBR, X87_SUB, X87_DIVR, X87_DIV };
    unsigned i = modrm & 7, op = modrm >> 3 & 7;

    if (op == X87_COM || op == X87_COMP) {
        compare_registers(cpu, i, false, pop ? (op == X87_COMP ? 2 : 1) : op == X87_COMP);
        return;
    }
    x87_arithmetic(cpu, (X87Operation)operations[op], i, 0);
    if (pop && can_pop(cpu)) {
        x87_pop(cpu);
    }
}

static void df_register(X86Cpu *cpu, unsigned modrm)
{
    unsigned i = modrm & 7;

    switch (modrm >> 3 & 7) {
    case 0: /* FFREEP */
        cpu->x87.status &= (uint16_t)~X87_C1;
        cpu->x87.valid &= (uint8_t) ~(1u << ((cpu->x87.top + i) & 7));
        x87_pop(cpu);
        break;
    case 1:
        exchange(cpu, i);
        break;
    default:
        if (copy(cpu, i, 0)) {
            x87_pop(cpu);
        }
    }
}

static void operate_registers(X86Cpu *cpu, uint32_t code)
{
    unsigned modrm = code & 0xff, i = modrm & 7;

    switch (code >> 8 & 7) {
    case 0:
        operate(cpu, (X87Operation)(modrm >> 3 & 7), i);
        break;
    case 1:
        d9_register(cpu, modrm);
        break;
    case 2: /* FUCOMPP */
        compare_registers(cpu, 1, true, 2);
        break;
    case 4:
        to_register(cpu, modrm, false);
        break;
    case 5:
        dd_register(cpu, modrm);
        break;
    case 6:
        to_register(cpu, modrm, true);
        break;
    default:
        df_register(cpu, modrm);
    }
}

static void helper_x87_register(TcgState *env, uint32_t code)
{
    operate_registers(begin(env, code), code);
}
X86_HELPER(x87_register, IR_VOID, X86_HELPER_FAULTING, IR_I32);

static void helper_masked_register(TcgState *env, uint64_t code)
{
    operate_registers(x86_cpu_of_env(env), (uint32_t)code);
}
X87_HELPER(masked_register, IR_VOID, IR_VOID);

/* clang-format off */
X86(x87_register, "D8 /r reg", "", "FPU")
X86(x87_register, "D9 /0 reg", "", "FPU")
X86(x87_register, "D9 /1 reg", "", "FPU")
X86(x87_register, "D9 /2 rm=0", "", "FPU")
X86(x87_register, "D9 /4 rm=0", "", "FPU")
X86(x87_register, "D9 /4 rm=1", "", "FPU")
X86(x87_register, "D9 /4 rm=4", "", "FPU")
X86(x87_register, "D9 /4 rm=5", "", "FPU")
X86(x87_register, "D9 /5 rm=0", "", "FPU")
X86(x87_register, "D9 /5 rm=1", "", "FPU")
X86(x87_register, "D9 /5 rm=2", "", "FPU")
X86(x87_register, "D9 /5 rm=3", "", "FPU")
X86(x87_register, "D9 /5 rm=4", "", "FPU")
X86(x87_register, "D9 /5 rm=5", "", "FPU")
X86(x87_register, "D9 /5 rm=6", "", "FPU")
X86(x87_register, "D9 /6 reg", "", "FPU")
X86(x87_register, "D9 /7 reg", "", "FPU")
X86(x87_register, "DA /5 rm=1", "", "FPU")
X86(x87_register, "DC /r reg", "", "FPU")
X86(x87_register, "DD /0 reg", "", "FPU")
X86(x87_register, "DD /1 reg", "", "FPU")
X86(x87_register, "DD /2 reg", "", "FPU")
X86(x87_register, "DD /3 reg", "", "FPU")
X86(x87_register, "DD /4 reg", "", "FPU")
X86(x87_register, "DD /5 reg", "", "FPU")
X86(x87_register, "DE /0 reg", "", "FPU")
X86(x87_register, "DE /1 reg", "", "FPU")
X86(x87_register, "DE /2 reg", "", "FPU")
X86(x87_register, "DE /3 rm=1", "", "FPU")
X86(x87_register, "DE /4 reg", "", "FPU")
X86(x87_register, "DE /5 reg", "", "FPU")
X86(x87_register, "DE /6 reg", "", "FPU")
X86(x87_register, "DE /7 reg", "", "FPU")
X86(x87_register, "DF /0 reg", "", "FPU")
X86(x87_register, "DF /1 reg", "", "FPU")
X86(x87_register, "DF /2 reg", "", "FPU")
X86(x87_register, "DF /3 reg", "", "FPU")
/* clang-format on */
void x86_x87_register(X86Translator *t)
{
    if (refused(t)) {
        return;
    }
    if (all_masked(t)) {
        x87_call(t, &call_masked_register, 0, code_of(t));
        note_instruction(t);
    } else {
        x86_call(t, &call_x87_register, x86_const(t, 4, code_of(t)), 0, 0, 0);
    }
}

/* An alias of FSTP that nobody documents; processors differ in what they make of empty registers. */
X86(fstpnce, "D9 /3 reg", "", "FPU")
void x86_fstpnce(X86Translator *t)
{
    x86_x87_register(t);
}

/* FCMOVcc: the condition is known here. */
static void move_if(X86Cpu *cpu, unsigned i, bool holds)
{
    if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) {
        if (!underflow(cpu)) {
            x87_put(cpu, 0, &indefinite);
        }
        return;
    }
    if (holds) {
        x87_copy(x87_st(cpu, 0), x87_st(cpu, i));
    }
}

static void helper_x87_move(TcgState *env, uint32_t code, uint32_t holds)
{
    move_if(begin(env, code), code & 7, holds);
}
X86_HELPER(x87_move, IR_VOID, X86_HELPER_FAULTING, IR_I32, IR_I32);

static void helper_masked_move(TcgState *env, uint32_t holds, uint64_t code)
{
    move_if(x86_cpu_of_env(env), code & 7, holds);
}
X87_HELPER(masked_move, IR_VOID, IR_I32);

X86(fcmov, "DA /0 reg", "", "CMOV")
X86(fcmov, "DA /1 reg", "", "CMOV")
X86(fcmov, "DA /2 reg", "", "CMOV")
X86(fcmov, "DA /3 reg", "", "CMOV")
X86(fcmov, "DB /0 reg", "", "CMOV")
X86(fcmov, "DB /1 reg", "", "CMOV")
X86(fcmov, "DB /2 reg", "", "CMOV")
X86(fcmov, "DB /3 reg", "", "CMOV")
void x86_fcmov(X86Translator *t)
{
    static const uint8_t conditions[] = { IR_CS, IR_EQ, IR_BE, IR_PE };
    IrCond cond = (IrCond)conditions[t->insn.reg & 3];
    IrRef holds;

    if (refused(t)) {
        return;
    }
    cond = t->insn.opcode & 1 ? ir_cond_invert(cond) : cond;
    holds = ir_cset(t->unit, IR_I32, cond, x86_get_flags(t));
    if (all_masked(t)) {
        x87_call(t, &call_masked_move, holds, code_of(t));
        note_instruction(t);
    } else {
        x86_call(t, &call_x87_move, x86_const(t, 4, code_of(t)), holds, 0, 0);
    }
}

/* FCOMI, FUCOMI: conditions for EFLAGS. */
static uint16_t compare_for_flags(X86Cpu *cpu, uint32_t code)
{
    unsigned i = code & 7;
    bool quiet = (code >> 3 & 7) == 5, pop = (code >> 8 & 7) == 7;
    uint16_t c1 = cpu->x87.status & X87_C1;
    uint16_t conditions;

    /* Unlike other comparisons these leave C1 as it is, but for empty registers. */
    if (x87_is_empty(cpu, 0) || x87_is_empty(cpu, i)) {
        c1 = 0;
    }
    conditions = x87_compare(cpu, i, quiet);
    cpu->x87.status |= c1;
    if (pop && can_pop(cpu)) {
        x87_pop(cpu);
    }
    return conditions;
}

static uint32_t helper_x87_compare(TcgState *env, uint32_t code)
{
    uint16_t conditions = compare_for_flags(begin(env, code), code);

    return (conditions & X87_C0 ? EFLAGS_CF : 0u) | (conditions & X87_C2 ? EFLAGS_PF : 0u) |
           (conditions & X87_C3 ? EFLAGS_ZF : 0u);
}
X86_HELPER(x87_compare, IR_I32, X86_HELPER_FAULTING, IR_I32);

static uint64_t helper_masked_compare(TcgState *env, uint64_t code)
{
    uint16_t conditions = compare_for_flags(x86_cpu_of_env(env), (uint32_t)code);

    return (conditions & X87_C0 ? TCG_FLAG_C : 0u) | (conditions & X87_C2 ? TCG_FLAG_P : 0u) |
           (conditions & X87_C3 ? TCG_FLAG_Z : 0u);
}
X87_HELPER(masked_compare, IR_FLAGS, IR_VOID);

X86(fcomi, "DB /5 reg", "", "CMOV")
X86(fcomi, "DB /6 reg", "", "CMOV")
X86(fcomi, "DF /5 reg", "", "CMOV")
X86(fcomi, "DF /6 reg", "", "CMOV")
void x86_fcomi(X86Translator *t)
{
    IrRef eflags;

    if (refused(t)) {
        return;
    }
    if (all_masked(t)) {
        x86_set_flags(t, x87_call(t, &call_masked_compare, 0, code_of(t)));
        note_instruction(t);
    } else {
        eflags = x86_call(t, &call_x87_compare, x86_const(t, 4, code_of(t)), 0, 0, 0);
        x86_set_flags(t, ir_pack(t->unit, IR_OP_fpack, IR_X86, eflags));
    }
}
