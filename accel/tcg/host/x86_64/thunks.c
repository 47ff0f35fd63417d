/* SPDX-License-Identifier: MIT */
/* Code that all units share: entering and leaving generated code, and reaching C from stubs. */
#include "accel/tcg/host/x86_64/cold.h"

static const int8_t callee_saved[] = { RBP, RBX, R12, R13, R14, R15 };
static const int8_t saved_temporaries[] = { RAX, RCX, RDX, RSI, RDI };

/* Registers that C functions keep. */
enum { C_KEEPS = 1 << RBX | 1 << R12 | 1 << R13 | 1 << R14 };
/* Those that hold values of units. */
#define ALL_INTS (0xffffu & ~(1u << RSP | 1u << RBP | 1u << R15))

static void move_pins(Emitter *e, bool store, uint32_t which)
{
    for (uint32_t map = e->b->pins & which; map; map &= map - 1) {
        int reg = __builtin_ctz(map);
        unsigned var = e->b->pin_var[reg];
        Mem home = emitter_home(e, var);

        if (!store) {
            emitter_load_home(e, var, reg);
        } else if (reg >= XMM0) {
            asm_vector_store(e, 4, home, reg);
        } else {
            asm_store(&e->a, e->b->runtime.vars[var].type == IR_I64, home, reg);
        }
    }
}

static uint8_t *begin(Emitter *e)
{
    asm_nops(&e->a, -(uintptr_t)e->a.p & 15);
    return e->a.p;
}

static void emit_enter(Emitter *e, HostThunks *thunks)
{
    Assembler *a = &e->a;

    thunks->enter = (void (*)(TcgState *, void *))(uintptr_t)begin(e);
    for (unsigned i = 0; i < G_N_ELEMENTS(callee_saved); i++) {
        int reg = callee_saved[i];

        if (reg >= R8) {
            asm_u8(a, 0x41);
        }
        asm_u8(a, 0x50 | (unsigned)(reg & 7));
    }
    asm_group1_imm(a, true, G1_SUB, RSP, FRAME_SIZE);
    asm_lea(a, true, RBP, mem(RDI, e->b->runtime.env_bias));
    asm_store(a, true, ENV(e, host_sp), RSP);
    asm_rm(a, OP(PP_NONE, MAP_0F, 0xae), false, 3, ENV(e, host_fp_word)); /* stmxcsr */
    asm_rm(a, OP(PP_NONE, MAP_0F, 0xae), false, 2, ENV(e, fp_word));      /* ldmxcsr */
    asm_load(a, true, R15, ENV(e, context));
    move_pins(e, false, ~0u);
    asm_jmp_reg(a, RSI);
}

static void emit_exit(Emitter *e, HostThunks *thunks)
{
    Assembler *a = &e->a;
    uint8_t *leave;

    e->b->exit = thunks->exit = begin(e);
    move_pins(e, true, ~0u);
    leave = a->p;
    asm_rm(a, OP(PP_NONE, MAP_0F, 0xae), false, 3, ENV(e, fp_word));
    asm_rm(a, OP(PP_NONE, MAP_0F, 0xae), false, 2, ENV(e, host_fp_word));
    asm_group1_imm(a, true, G1_ADD, RSP, FRAME_SIZE);
    for (unsigned i = G_N_ELEMENTS(callee_saved); i-- > 0;) {
        int reg = callee_saved[i];

        if (reg >= R8) {
            asm_u8(a, 0x41);
        }
        asm_u8(a, 0x58 | (unsigned)(reg & 7));
    }
    asm_u8(a, 0xc3);

    thunks->unwind = (void (*)(TcgState *))(uintptr_t)begin(e);
    asm_lea(a, true, RBP, mem(RDI, e->b->runtime.env_bias));
    asm_load(a, true, RSP, ENV(e, host_sp));
    asm_jmp_to(a, leave);
}

/* Stores the pins, asks a C function where to go, and goes there. rsi, rdx: its arguments. */
static uint8_t *emit_where_to(Emitter *e, void *function)
{
    Assembler *a = &e->a;
    uint8_t *start = begin(e);

    move_pins(e, true, ~0u);
    asm_lea(a, true, RDI, mem(RBP, -e->b->runtime.env_bias));
    asm_call_to(a, function);
    asm_load(a, true, R15, ENV(e, context));
    move_pins(e, false, ~0u);
    asm_jmp_reg(a, RAX);
    return start;
}

static void move_ints(Emitter *e, bool store, uint32_t which)
{
    for (uint32_t map = which; map; map &= map - 1) {
        int reg = __builtin_ctz(map);
        Mem place = mem(RSP, FRAME_SAVED_INTS + 8 * reg);

        if (store) {
            asm_store(&e->a, true, place, reg);
        } else {
            asm_load(&e->a, true, reg, place);
        }
    }
}

static void move_vectors(Emitter *e, bool store)
{
    for (int i = 0; i < 8; i++) {
        Mem place = mem(RSP, FRAME_SAVED_VECTORS + 16 * i);

        if (store) {
            asm_vector_store(e, 4, place, XMM0 + i);
        } else {
            asm_vector_load(e, 4, XMM0 + i, place);
        }
    }
}

/* Behind the call lies a ColdRecord, which says where to go on. Pins that C keeps are in their registers throughout. */
static uint8_t *emit_cold_access(Emitter *e, bool vectors)
{
    Assembler *a = &e->a;
    uint8_t *start, *hit;

    start = begin(e);
    asm_store(a, true, mem(RSP, 8 + FRAME_SAVED_INTS + 8 * RDI), RDI);
    asm_u8(a, BYTE_POP | RDI);
    move_ints(e, true, ALL_INTS & ~(1u << RDI));
    asm_mov(a, true, RSI, RSP);
    asm_mov(a, true, RDX, R15);
    asm_call_to(a, (void *)cold_try);
    asm_test_imm(a, false, RAX, 0xff);
    hit = asm_jcc(a, CC_NE);
    move_ints(e, false, 1u << R8 | 1u << R9 | 1u << R10 | 1u << R11);
    if (vectors) {
        move_vectors(e, true);
    }
    move_pins(e, true, ~0u);
    asm_lea(a, true, RDI, mem(RBP, -e->b->runtime.env_bias));
    asm_mov(a, true, RSI, RSP);
    asm_mov_imm(a, RDX, (uintptr_t)e->b);
    asm_call_to(a, (void *)cold_access);
    if (vectors) {
        move_vectors(e, false);
    }
    move_pins(e, false, ~ALL_INTS);
    asm_patch(a, hit);
    move_ints(e, false, ALL_INTS);
    asm_jmp_mem(a, mem(RSP, FRAME_JOIN));
    return start;
}

/* Calls a helper whose arguments are in the frame, and keeps all registers. */
static uint8_t *emit_cold_helper(Emitter *e)
{
    static const int8_t args[] = { RSI, RDX, RCX, R8, R9 };
    Assembler *a = &e->a;
    uint8_t *start = begin(e);
    int frame = 8; /* the return address */

    for (unsigned i = 0; i < G_N_ELEMENTS(saved_temporaries); i++) {
        asm_store(a, true, mem(RSP, frame + FRAME_SAVED_INTS + 8 * (int)i), saved_temporaries[i]);
    }
    for (int i = 0; i < 8; i++) {
        asm_vector_store(e, 4, mem(RSP, frame + FRAME_SAVED_VECTORS + 16 * i), XMM0 + i);
    }
    move_pins(e, true, ~0u);
    asm_lea(a, true, RDI, mem(RBP, -e->b->runtime.env_bias));
    for (unsigned i = 0; i < G_N_ELEMENTS(args); i++) {
        asm_load(a, true, args[i], mem(RSP, frame + FRAME_INT_ARGS + 8 * (int)i));
    }
    for (int i = 0; i < 4; i++) {
        asm_vector_load(e, 4, XMM0 + i, mem(RSP, frame + FRAME_VECTOR_ARGS + 16 * i));
    }
    asm_group1_imm(a, true, G1_SUB, RSP, 8);
    frame += 8;
    asm_call_mem(a, mem(RSP, frame + FRAME_FUNCTION));
    asm_group1_imm(a, true, G1_ADD, RSP, 8);
    frame -= 8;
    asm_store(a, true, mem(RSP, frame + FRAME_RESULT), RAX);
    asm_vector_store(e, 4, mem(RSP, frame + FRAME_VECTOR_RESULT), XMM0);
    for (unsigned i = 0; i < G_N_ELEMENTS(saved_temporaries); i++) {
        asm_load(a, true, saved_temporaries[i], mem(RSP, frame + FRAME_SAVED_INTS + 8 * (int)i));
    }
    for (int i = 0; i < 8; i++) {
        asm_vector_load(e, 4, XMM0 + i, mem(RSP, frame + FRAME_SAVED_VECTORS + 16 * i));
    }
    move_pins(e, false, ~(uint32_t)C_KEEPS);
    asm_u8(a, 0xc3);
    return start;
}

static uint8_t *emit_pin_mover(Emitter *e, bool store, uint32_t which)
{
    uint8_t *start = begin(e);

    move_pins(e, store, which);
    asm_u8(&e->a, 0xc3);
    return start;
}

size_t emit_thunks(HostBackend *b, uint8_t *code, size_t room, HostThunks *thunks)
{
    Emitter *e = g_new0(Emitter, 1);
    const HostRuntime *r = &b->runtime;
    size_t size;

    e->b = b;
    e->has = &b->has;
    e->a = (Assembler){ .p = code, .end = code + room };
    emit_enter(e, thunks);
    emit_exit(e, thunks);
    b->dispatch = thunks->dispatch = emit_where_to(e, (void *)r->dispatch);
    b->refuse = begin(e);
    asm_store_imm(&e->a, 0, ENV(e, unit_refused), 1);
    asm_jmp_to(&e->a, b->dispatch);
    b->follow_link = emit_where_to(e, (void *)r->follow_link);
    b->indirect = emit_where_to(e, (void *)r->indirect);
    b->ungrouped = emit_where_to(e, (void *)r->ungrouped);
    /* A return to TCG_JUMP_EMPTY matched an empty entry. */
    thunks->empty_return = begin(e);
    asm_mov_imm(&e->a, RSI, TCG_JUMP_EMPTY);
    asm_mov_imm(&e->a, RDX, 0);
    asm_mov_imm(&e->a, RCX, 0);
    asm_jmp_to(&e->a, b->indirect);
    b->save_pins = emit_pin_mover(e, true, ~0u);
    b->load_pins = emit_pin_mover(e, false, ~0u);
    b->load_volatile_pins = emit_pin_mover(e, false, ~(uint32_t)C_KEEPS);
    b->cold_access[false] = emit_cold_access(e, false);
    b->cold_access[true] = emit_cold_access(e, true);
    b->cold_helper = emit_cold_helper(e);
    b->float_flags_table = begin(e);
    emit_float_flags_table(&e->a);
    size = e->a.full ? 0 : (size_t)(e->a.p - code);
    g_free(e);
    return size;
}
