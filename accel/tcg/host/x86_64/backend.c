/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 back end: one pass over a unit's ops, then its cold stubs and constants.
 *
 * Registers: rsp frame, rbp env, r15 context; eight integer and eight vector pins; five integer and
 * five vector temporaries; three scratch vectors.
 */
#include <cpuid.h>

#include "accel/tcg/host/x86_64/emitter.h"
#include "base/error.h"

enum { PAD_SIZE = 5, ENTRY_ALIGNMENT = 8, ROOM_PER_OP = 4096, STUB_ROOM = 2048 };

static const int8_t int_pins[] = { RBX, R12, R13, R14, R8, R9, R10, R11 };
static const int8_t vector_pins[] = { XMM0 + 8,  XMM0 + 9,  XMM0 + 10, XMM0 + 11,
                                      XMM0 + 12, XMM0 + 13, XMM0 + 14, XMM0 + 15 };
enum { TEMPORARIES = 1 << RAX | 1 << RCX | 1 << RDX | 1 << RSI | 1 << RDI | 0x1f << XMM0 };

static bool os_saves_ymm(void)
{
    uint32_t low, high;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

static bool detect_features(HostFeatures *has)
{
    unsigned a, b, c = 0, d, b7 = 0, c7 = 0, d7 = 0, c81 = 0;
    unsigned v2 = bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & v2) != v2) {
        return false;
    }
    __get_cpuid_count(7, 0, &a, &b7, &c7, &d7);
    has->gfni = c7 & bit_GFNI;
    __get_cpuid(0x80000001, &a, &b, &c81, &d);
    if (!(c81 & bit_LAHF_LM)) {
        return false;
    }
    has->avx = (c & bit_AVX) && (c & bit_OSXSAVE) && os_saves_ymm();
    has->avx2 = has->avx && (b7 & bit_AVX2);
    has->fma = has->avx && (c & bit_FMA);
    has->f16c = has->avx && (c & bit_F16C);
    has->bmi1 = has->avx && (b7 & bit_BMI);
    has->bmi2 = has->avx && (b7 & bit_BMI2);
    has->sse4a = c81 & bit_SSE4a;
    has->lzcnt = c81 & bit_ABM;
    has->aes = c & bit_AES;
    has->sha = b7 & bit_SHA;
    has->pclmul = c & bit_PCLMUL;
    return true;
}

static void assign_pins(HostBackend *b, const uint8_t *vars, const int8_t *registers,
                        unsigned register_count)
{
    for (unsigned i = 0; vars && i < register_count && vars[i] != NO_VAR; i++) {
        b->var_pin[vars[i]] = registers[i];
        b->pin_var[registers[i]] = vars[i];
        b->pins |= 1u << registers[i];
    }
}

static void apply_overrides(HostFeatures *has)
{
    const char *without = g_getenv("KASO_HOST_WITHOUT");

    if (without && strstr(without, "avx")) {
        *has = (HostFeatures){ 0 };
    }
}

HostBackend *host_backend_new(const HostRuntime *runtime, GError **error)
{
    HostBackend *b = g_new0(HostBackend, 1);

    if (!detect_features(&b->has)) {
        g_free(b);
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "this processor lacks x86-64-v2 (SSE4.2, POPCNT, LAHF), which the translator "
                   "needs: use -accel kvm or another host");
        return NULL;
    }
    apply_overrides(&b->has);
    b->runtime = *runtime;
    b->flags_var = NO_VAR;
    memset(b->var_pin, NO_REG, sizeof(b->var_pin));
    memset(b->pin_var, NO_VAR, sizeof(b->pin_var));
    for (unsigned i = 0; i < runtime->var_count; i++) {
        if (runtime->vars[i].type == IR_FLAGS) {
            b->flags_var = (uint8_t)i;
        }
    }
    assign_pins(b, runtime->pinned_ints, int_pins, G_N_ELEMENTS(int_pins));
    assign_pins(b, runtime->pinned_vectors, vector_pins, G_N_ELEMENTS(vector_pins));
    b->temporaries = TEMPORARIES;
    b->description = g_strdup_printf("x86-64%s%s%s%s%s", b->has.avx ? " avx" : " sse4.2",
                                     b->has.avx2 ? " avx2" : "", b->has.bmi2 ? " bmi2" : "",
                                     b->has.fma ? " fma" : "", b->has.aes ? " aes" : "");
    return b;
}

void host_backend_free(HostBackend *backend)
{
    if (backend) {
        g_free(atomic_load(&backend->spare));
        g_free(backend->description);
        g_free(backend);
    }
}

const char *host_backend_describe(const HostBackend *backend)
{
    return backend->description;
}

size_t host_emit_thunks(HostBackend *backend, uint8_t *code, size_t room, HostThunks *thunks)
{
    return emit_thunks(backend, code, room, thunks);
}

static void emit_op(Emitter *e, const IrOp *op)
{
    unsigned effects = ir_op_info[op->opcode].effects;

    switch (op->opcode) {
    case IR_OP_nop:
    case IR_OP_const:
    case IR_OP_vconst:
    case IR_OP_fconst:
        return;
    case IR_OP_pc:
        if (!emitter_is_near_pc(op)) {
            emit_integer_op(e, op);
        }
        return;
    case IR_OP_insn:
        e->pc_offset = (uint16_t)op->imm;
        return;
    case IR_OP_get:
        emitter_get(e, op);
        return;
    case IR_OP_set:
        emitter_set(e, op);
        return;
    case IR_OP_call_if:
        e->called |= op->helper->flags & HELPER_EFFECT;
        emit_call_if(e, op);
        return;
    case IR_OP_call:
        if (!emit_encoded(e, op) && !emit_intrinsic(e, op)) {
            e->called |= op->helper->flags & HELPER_EFFECT;
            emit_call(e, op);
        }
        return;
    case IR_OP_push_return:
        emit_control_op(e, op);
        return;
    }
    if (effects & IR_CONTROL) {
        emit_control_op(e, op);
    } else if (effects & IR_MEMORY) {
        emit_memory_op(e, op);
    } else if (emit_flags_op(e, op) || emit_vector_op(e, op) || emit_float_op(e, op)) {
        return;
    } else {
        emit_integer_op(e, op);
    }
}

static void emit_body(Emitter *e)
{
    emit_entry(e);
    for (unsigned i = 1; i < e->unit->count && !e->done && !e->failed; i++) {
        if (e->values[i].skip != SKIP_NO) {
            continue;
        }
        if (e->a.end - e->a.p < ROOM_PER_OP) {
            e->failed = true;
            return;
        }
        e->at = i;
        emitter_forget_unseen(e);
        emit_op(e, &e->unit->ops[i]);
        e->locked = 0;
    }
}

static void emit_stub(Emitter *e, ColdStub *stub)
{
    if (e->a.end - e->a.p < STUB_ROOM) {
        e->failed = true;
        return;
    }
    if (stub->kind >= STUB_EXIT) {
        emit_control_stub(e, stub);
        return;
    }
    for (unsigned j = 0; j < stub->jump_count; j++) {
        asm_patch(&e->a, stub->jumps[j]);
    }
    if (stub->kind == STUB_HELPER) {
        emit_helper_stub(e, stub);
    } else if (stub->kind == STUB_CALL) {
        emit_call_stub(e, stub);
    } else if (stub->kind == STUB_X87) {
        emit_x87_stub(e, stub);
    } else if (stub->kind == STUB_UPDATE) {
        emit_update_stub(e, stub);
    } else {
        emit_memory_stub(e, stub);
    }
}

typedef enum { STUBS_NEAR, STUBS_COLD, STUBS_RECORDS } StubPlace;

/* What often runs stays with the code; the rest does not, so that it takes no room in the host's caches. */
static StubPlace stub_place(StubKind kind)
{
    return kind == STUB_EXIT ? STUBS_NEAR : kind >= STUB_HELPER ? STUBS_COLD : STUBS_RECORDS;
}

/* Stubs that are code may add more of those that come later. */
static void emit_stubs(Emitter *e, StubPlace place)
{
    for (unsigned i = 0; i < e->stub_count && !e->failed; i++) {
        if (stub_place(e->stubs[i].kind) == place) {
            emit_stub(e, &e->stubs[i]);
        }
    }
}

/* Points a user at an equal constant that is there already. */
static bool share_constant(Emitter *e, unsigned i, const uint8_t *first)
{
    for (unsigned j = i; j-- > 0 && i - j <= 32;) {
        if (e->constants[j].low == e->constants[i].low &&
            e->constants[j].high == e->constants[i].high) {
            e->constants[i].place = e->constants[j].place;
            asm_patch_to(&e->a, e->constants[i].at, first + 16 * e->constants[i].place);
            return true;
        }
    }
    return false;
}

static void emit_constants(Emitter *e)
{
    const uint8_t *first;
    unsigned places = 0;

    if (e->constant_count == 0 || e->failed) {
        return;
    }
    asm_nops(&e->a, -(uintptr_t)e->a.p & 15);
    first = e->a.p;
    for (unsigned i = 0; i < e->constant_count; i++) {
        if (!share_constant(e, i, first)) {
            e->constants[i].place = places++;
            asm_patch(&e->a, e->constants[i].at);
            asm_u64(&e->a, e->constants[i].low);
            asm_u64(&e->a, e->constants[i].high);
        }
    }
}

static void begin_unit(Emitter *e, HostBackend *b, const IrUnit *unit)
{
    e->b = b;
    e->has = &b->has;
    e->unit = unit;
    e->at = 0;
    e->pc_offset = unit->start;
    e->failed = e->done = e->called = false;
    e->link_count = e->stub_count = e->cold_store_count = e->constant_count = 0;
    e->locked = e->reserved = 0;
    e->eflags = 0;
    e->recipe = e->planned = (KeptRecipe){ 0 };
    memset(e->reg_value, 0, sizeof(e->reg_value));
    memset(e->home_value, 0, sizeof(e->home_value));
    memset(e->dirty, 0, sizeof(e->dirty));
    memset(e->slot_map, 0, sizeof(e->slot_map));
    emitter_analyse(e);
}

/* The pad before the entry, where a killed unit's entry jumps to: it refuses as the entry may. */
static void emit_pad(Emitter *e, uint8_t *code)
{
    e->entry = code + PAD_SIZE + (-((uintptr_t)code + PAD_SIZE) & (ENTRY_ALIGNMENT - 1));
    e->a.p = e->entry - PAD_SIZE;
    asm_jmp(&e->a);
}

/* Everything that follows the code of a unit, at cold; *insns: the part of it that is instructions. */
static size_t emit_cold_part(Emitter *e, uint8_t *cold, size_t room, size_t *insns)
{
    e->a.p = cold;
    e->a.end = cold + room;
    emit_stubs(e, STUBS_COLD);
    *insns = (size_t)(e->a.p - cold);
    emit_stubs(e, STUBS_RECORDS);
    emit_constants(e);
    return (size_t)(e->a.p - cold);
}

bool host_emit_unit(HostBackend *backend, const IrUnit *unit, uint8_t *code, size_t room,
                    uint8_t *cold, size_t cold_room, TcgLink *links, unsigned max_links,
                    HostCode *out)
{
    size_t cold_size, cold_insns;
    const uint8_t *end;
    Emitter *e;
    bool ok;

    if (room < ROOM_PER_OP) {
        return false;
    }
    e = atomic_exchange(&backend->spare, NULL);
    if (!e) {
        e = g_new(Emitter, 1);
    }
    e->links = links;
    e->max_links = max_links;
    e->a = (Assembler){ .p = code, .end = code + room };
    begin_unit(e, backend, unit);
    emit_pad(e, code);
    emit_body(e);
    emit_stubs(e, STUBS_NEAR);
    end = e->a.p;
    cold_size = emit_cold_part(e, cold ? cold : e->a.p,
                               cold ? cold_room : (size_t)(e->a.end - e->a.p), &cold_insns);
    ok = !e->failed && !e->a.full && e->done;
    if (ok) {
        *out = (HostCode){ .entry = e->entry,
                           .body = e->body,
                           .size = (size_t)(end - code) + (cold ? 0 : cold_size),
                           .insn_size = (size_t)(end - code),
                           .cold_size = cold_size,
                           .cold_insn_size = cold_insns,
                           .link_count = e->link_count };
    }
    e = atomic_exchange(&backend->spare, e);
    g_free(e);
    return ok;
}

void host_kill_unit(uint8_t *entry)
{
    uint16_t jump = 0xeb | (uint16_t)((uint8_t)(-PAD_SIZE - 2)) << 8;

    atomic_store_explicit((_Atomic uint16_t *)(void *)entry, jump, memory_order_release);
}

bool host_unit_is_dead(const uint8_t *entry)
{
    return *entry == 0xeb;
}

static void patch_jump(TcgLink *link, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (link->jump + 4));

    atomic_store_explicit((_Atomic int32_t *)(void *)link->jump, rel, memory_order_release);
}

static void set_guard(TcgLink *link, uint64_t host_page)
{
    if (link->guard) {
        atomic_store_explicit((_Atomic uint64_t *)(void *)link->guard, host_page,
                              memory_order_release);
    }
}

void host_link(TcgLink *link, uint8_t *target, uint64_t host_page)
{
    set_guard(link, 0);
    patch_jump(link, target);
    set_guard(link, host_page);
    link->linked = 1;
}

void host_unlink(TcgLink *link)
{
    set_guard(link, 0);
    patch_jump(link, link->stub);
    link->linked = 0;
}
