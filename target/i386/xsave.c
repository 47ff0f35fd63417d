/* SPDX-License-Identifier: MIT */
/*
 * The state of x87 and vectors as a whole in memory: FXSAVE, the XSAVE family and XCR0 (Intel SDM 1, 10.5 and chapter
 * 13).
 *
 * Whether a component is in its initial state is told from its contents. The modified optimization, by which XSAVEOPT
 * and XSAVES may leave out what has not changed since an XRSTOR from the same place, is not made use of.
 */
#include "target/i386/xsave.h"

#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/translate.h"
#include "target/i386/x87-ops.h"

/* What areas have, without the room between: PKRU is elsewhere in memory (place_of_pkru). */
typedef struct {
    uint16_t control, status;
    uint8_t valid, reserved_tag;
    uint16_t opcode;
    uint64_t fip, fdp; /* or 32 bits of offset, and a selector */
    uint32_t mxcsr, mxcsr_mask;
    X87Register st[8];
    V128 xmm[16];
    uint64_t reserved[12];
    /* The header; FXSAVE has none. */
    uint64_t xstate_bv, xcomp_bv, reserved_header[6];
    V128 ymm_high[16];
    uint64_t pkru;
} Area;

#define END_OF(member) (offsetof(Area, member) + sizeof((Area *)NULL)->member)

enum {
    LEGACY_BYTES = offsetof(Area, xstate_bv),
    HEADER_BYTES = END_OF(reserved_header) - LEGACY_BYTES,
    FXSAVE_ALIGNMENT = 16,
    XSAVE_ALIGNMENT = 64,
    MXCSR_INITIAL = 0x1f80,
    X87_INITIAL_CONTROL = 0x37f,
    PKRU_PLACE = 0xa80, /* in the standard form */
};
#define XCOMP_BV_COMPACT (UINT64_C(1) << 63)

G_STATIC_ASSERT(LEGACY_BYTES == 512 && HEADER_BYTES == 64 && offsetof(Area, ymm_high) == 576);

const X86StateComponent x86_state_components[X86_STATE_COMPONENTS] = {
    [2] = { offsetof(Area, ymm_high), sizeof((Area *)NULL)->ymm_high, false },
    [9] = { PKRU_PLACE, sizeof((Area *)NULL)->pkru, false },
};

uint32_t x86_xsave_bytes(uint64_t components, bool compact)
{
    uint32_t end = LEGACY_BYTES + HEADER_BYTES;

    for (unsigned i = 2; i < X86_STATE_COMPONENTS; i++) {
        const X86StateComponent *c = &x86_state_components[i];

        if (components >> i & 1) {
            uint32_t start = !compact ? c->offset : c->aligned ? (end + 63) & ~63u : end;

            end = MAX(end, start + c->bytes);
        }
    }
    return end;
}

/* Which components are in use. */

static bool x87_in_use(const X86Cpu *cpu)
{
    const X87State *x = &cpu->x87;
    uint64_t registers = 0;

    for (unsigned i = 0; i < 8; i++) {
        registers |= x->st[i].significand | x->st[i].sign_exponent;
    }
    return x->control != X87_INITIAL_CONTROL || x->status || x->top || x->valid || x->opcode ||
           x->cs || x->ds || x->fip || x->fdp || registers;
}

static bool vectors_in_use(const X86Cpu *cpu, unsigned half)
{
    for (unsigned i = 0; i < 16; i++) {
        if (cpu->xmm[i][half][0] | cpu->xmm[i][half][1]) {
            return true;
        }
    }
    return false;
}

/* MXCSR does not count here. */
static uint64_t components_in_use(const X86Cpu *cpu)
{
    return (x87_in_use(cpu) ? XCR0_X87 : 0) | (vectors_in_use(cpu, 0) ? XCR0_SSE : 0) |
           (vectors_in_use(cpu, 1) ? XCR0_AVX : 0) | (cpu->pkru ? XCR0_PKRU : 0);
}

/* For what looks at MXCSR, too: XGETBV, XSAVEC, XSAVES. */
static uint64_t components_and_mxcsr_in_use(X86Cpu *cpu)
{
    return components_in_use(cpu) | (x86_get_mxcsr(cpu) != MXCSR_INITIAL ? XCR0_SSE : 0);
}

static void set_pkru(X86Cpu *cpu, uint32_t value)
{
    if (value != cpu->pkru) {
        cpu->pkru = value;
        x86_update_context(cpu);
    }
}

/* Between the registers and an area. */

enum {                     /* bits of `what` */
       LONG_MODE = 1,      /* 16 vector registers, not 8 */
       WIDE = 2,           /* pointers of 64 bits without selectors */
       INIT_OPTIMIZED = 4, /* components that are not in use are not written */
       COMPACT = 8,
       SUPERVISOR = 16,
};

static unsigned vector_count(uint32_t what)
{
    return what & LONG_MODE ? 16 : 8;
}

static void gather(X86Cpu *cpu, uint32_t what, Area *area)
{
    const X87State *x = &cpu->x87;

    area->control = x->control;
    area->status = x87_status_word(cpu);
    area->valid = x->valid;
    area->opcode = x->opcode;
    area->fip = what & WIDE ? x->fip : (uint32_t)x->fip | (uint64_t)x->cs << 32;
    area->fdp = what & WIDE ? x->fdp : (uint32_t)x->fdp | (uint64_t)x->ds << 32;
    area->mxcsr = x86_get_mxcsr(cpu);
    area->mxcsr_mask = x86_mxcsr_mask(cpu);
    for (unsigned i = 0; i < 8; i++) {
        area->st[i].significand = x87_st(cpu, i)->significand;
        area->st[i].sign_exponent = x87_st(cpu, i)->sign_exponent;
    }
    for (unsigned i = 0; i < vector_count(what); i++) {
        area->xmm[i] = cpu->xmm[i][0];
        area->ymm_high[i] = cpu->xmm[i][1];
    }
    area->pkru = cpu->pkru;
}

/* Pointers are as wide as addresses. */
static uint64_t canonical(const X86Cpu *cpu, uint64_t address)
{
    return (uint64_t)bits_sign_extend(address, cpu->virt_bits);
}

static void put_x87(X86Cpu *cpu, uint32_t what, const Area *area)
{
    X87State *x = &cpu->x87;

    x87_set_control_word(cpu, area->control);
    x87_set_status_word(cpu, area->status);
    x->valid = area->valid;
    x->opcode = area->opcode & 0x7ff;
    x->fip = what & WIDE ? canonical(cpu, area->fip) : (uint32_t)area->fip;
    x->fdp = what & WIDE ? canonical(cpu, area->fdp) : (uint32_t)area->fdp;
    x->cs = what & WIDE ? 0 : (uint16_t)(area->fip >> 32);
    x->ds = what & WIDE ? 0 : (uint16_t)(area->fdp >> 32);
    for (unsigned i = 0; i < 8; i++) {
        X87Register *st = x87_st(cpu, i);

        st->significand = area->st[i].significand;
        st->sign_exponent = area->st[i].sign_exponent;
    }
    x87_update_ferr(cpu);
}

static void put_vectors(X86Cpu *cpu, uint32_t what, unsigned half, const V128 values[16])
{
    for (unsigned i = 0; i < vector_count(what); i++) {
        cpu->xmm[i][half] = values[i];
    }
}

static void put_mxcsr(X86Cpu *cpu, uint32_t value)
{
    if (value != x86_get_mxcsr(cpu)) {
        x86_set_mxcsr(cpu, value);
    }
}

/* Between an area and guest memory: pieces of it, of whole words of 8 bytes. */

typedef struct {
    uint16_t start, bytes; /* of Area */
    uint16_t place;        /* in memory */
} Piece;

enum { MAX_PIECES = 7 };
typedef struct {
    Piece piece[MAX_PIECES];
    unsigned count;
} Pieces;

#define PIECE(first, last)                                                                         \
    (Piece)                                                                                        \
    {                                                                                              \
        offsetof(Area, first), END_OF(last) - offsetof(Area, first), offsetof(Area, first)         \
    }

static void add_piece(Pieces *pieces, Piece piece)
{
    pieces->piece[pieces->count++] = piece;
}

/* compact: the components that an area in the compact form has room for; 0: the standard form. */
static uint16_t place_of_pkru(uint64_t compact)
{
    return compact ? (uint16_t)x86_xsave_bytes(compact & XCR0_AVX, true) : PKRU_PLACE;
}

static Pieces pieces_of(uint64_t components, bool mxcsr, uint32_t what, uint64_t compact)
{
    uint16_t vector_bytes = (uint16_t)(vector_count(what) * sizeof(V128));
    Pieces pieces = { 0 };

    if (components & XCR0_X87) {
        add_piece(&pieces, PIECE(control, fdp));
        add_piece(&pieces, PIECE(st, st));
    }
    if (mxcsr) {
        add_piece(&pieces, PIECE(mxcsr, mxcsr_mask));
    }
    if (components & XCR0_SSE) {
        add_piece(&pieces, (Piece){ offsetof(Area, xmm), vector_bytes, offsetof(Area, xmm) });
    }
    if (components & XCR0_AVX) {
        add_piece(&pieces,
                  (Piece){ offsetof(Area, ymm_high), vector_bytes, offsetof(Area, ymm_high) });
    }
    if (components & XCR0_PKRU) {
        add_piece(&pieces,
                  (Piece){ offsetof(Area, pkru), sizeof(uint64_t), place_of_pkru(compact) });
    }
    return pieces;
}

static void copy_in(TcgState *env, uint64_t address, uint8_t *to, unsigned bytes, uint32_t flags)
{
    const void *host = tcg_probe(env, address, bytes, false, flags);

    if (host) {
        memcpy(to, host, bytes);
        return;
    }
    for (unsigned i = 0; i < bytes; i += 8) {
        uint64_t value = tcg_load(env, address + i, 8, flags);

        memcpy(to + i, &value, 8);
    }
}

static void copy_out(TcgState *env, uint64_t address, const uint8_t *from, unsigned bytes,
                     uint32_t flags)
{
    void *host = tcg_probe(env, address, bytes, true, flags);
    uint64_t value;

    if (host) {
        memcpy(host, from, bytes);
        return;
    }
    for (unsigned i = 0; i < bytes; i += 8) {
        memcpy(&value, from + i, 8);
        tcg_store(env, address + i, value, 8, flags);
    }
}

/* Of the whole: all begin at its start. */
static void check_span(TcgState *env, uint64_t address, const Pieces *pieces, bool write,
                       uint32_t flags)
{
    unsigned bytes = 1;

    for (unsigned i = 0; i < pieces->count; i++) {
        bytes = MAX(bytes, (unsigned)(pieces->piece[i].place + pieces->piece[i].bytes));
    }
    tcg_check_span(env, address, bytes, write, flags);
}

static void load_pieces(TcgState *env, uint64_t address, const Pieces *pieces, uint32_t flags,
                        Area *area)
{
    check_span(env, address, pieces, false, flags);
    for (unsigned i = 0; i < pieces->count; i++) {
        Piece p = pieces->piece[i];

        copy_in(env, address + p.place, (uint8_t *)area + p.start, p.bytes, flags);
    }
}

/* Faults come before anything is written. */
static void store_pieces(TcgState *env, uint64_t address, const Pieces *pieces, uint32_t flags,
                         const Area *area)
{
    check_span(env, address, pieces, true, flags);
    for (unsigned i = 0; i < pieces->count; i++) {
        tcg_check_store(env, address + pieces->piece[i].place, pieces->piece[i].bytes, flags);
    }
    for (unsigned i = 0; i < pieces->count; i++) {
        Piece p = pieces->piece[i];

        copy_out(env, address + p.place, (const uint8_t *)area + p.start, p.bytes, flags);
    }
}

void x86_get_xsave(X86Cpu *cpu, uint8_t *bytes, size_t size)
{
    Area area = { 0 };

    g_assert(size >= END_OF(ymm_high));
    gather(cpu, LONG_MODE | WIDE, &area);
    memset(bytes, 0, size);
    memcpy(bytes, &area, END_OF(ymm_high));
}

void x86_set_xsave(X86Cpu *cpu, const uint8_t *bytes, size_t size)
{
    Area area = { 0 };

    g_assert(size >= END_OF(ymm_high));
    memcpy(&area, bytes, END_OF(ymm_high));
    put_x87(cpu, LONG_MODE | WIDE, &area);
    put_vectors(cpu, LONG_MODE, 0, area.xmm);
    put_vectors(cpu, LONG_MODE, 1, area.ymm_high);
    put_mxcsr(cpu, area.mxcsr & x86_mxcsr_mask(cpu));
}

static void check_alignment(X86Cpu *cpu, uint64_t address, unsigned alignment)
{
    if (address & (alignment - 1)) {
        x86_fault(cpu, X86_GP, 0);
    }
}

static void check_mxcsr(X86Cpu *cpu, uint32_t value)
{
    if (value & ~x86_mxcsr_mask(cpu)) {
        x86_fault(cpu, X86_GP, 0);
    }
}

/*
 * FXSAVE, FXRSTOR. Without CR4.OSFXSR they are about the x87 alone; with EFER.FFXSR a system leaves the vector registers out, but not
 * MXCSR.
 */

static bool fxsave_has_vectors(const X86Cpu *cpu, uint32_t what)
{
    return cpu->cr4 & CR4_OSFXSR && !(cpu->efer & EFER_FFXSR && what & LONG_MODE && cpu->cpl == 0);
}

static Pieces fxsave_pieces(const X86Cpu *cpu, uint32_t what)
{
    uint64_t vectors = fxsave_has_vectors(cpu, what) ? XCR0_SSE : 0;

    return pieces_of(XCR0_X87 | vectors, true, what, 0);
}

static void helper_fxsave(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    Pieces pieces = fxsave_pieces(cpu, what);
    Area area = { 0 };

    check_alignment(cpu, address, FXSAVE_ALIGNMENT);
    x87_settle(cpu);
    gather(cpu, what, &area);
    store_pieces(env, address, &pieces, flags, &area);
}
X86_HELPER(fxsave, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

static void helper_fxrstor(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    Pieces pieces = fxsave_pieces(cpu, what);
    Area area;

    check_alignment(cpu, address, FXSAVE_ALIGNMENT);
    x87_settle(cpu);
    load_pieces(env, address, &pieces, flags, &area);
    if (cpu->cr4 & CR4_OSFXSR) {
        check_mxcsr(cpu, area.mxcsr);
        put_mxcsr(cpu, area.mxcsr);
    }
    if (fxsave_has_vectors(cpu, what)) {
        put_vectors(cpu, what, 0, area.xmm);
    }
    put_x87(cpu, what, &area);
}
X86_HELPER(fxrstor, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

static void call_with_area(X86Translator *t, const TcgHelper *helper, unsigned bytes, uint32_t what,
                           bool write)
{
    IrRef address = x86_address(t, bytes, write);
    unsigned flags = x86_memory_flags(t) & ~(unsigned)IR_MEM_ALIGNED;

    if (t->address_imm) {
        address = ir_op2i(t->unit, IR_OP_add, IR_I64, address, t->address_imm);
    }
    what |= (x86_is_code64(t) ? LONG_MODE : 0) | (t->insn.rex & 8 ? WIDE : 0);
    x86_call(t, helper, address, x86_const(t, 4, what), x86_const(t, 4, flags), 0);
}

static bool fx_refused(X86Translator *t)
{
    if (t->mode & (X86_MODE_EM | X86_MODE_TS)) {
        x86_raise(t, X86_NM);
        return true;
    }
    x86_end_mmx(t);
    return false;
}

X86(fxsave, "NP 0F AE /0 mem", "Ms", "FXSR")
void x86_fxsave(X86Translator *t)
{
    if (!fx_refused(t)) {
        call_with_area(t, &call_fxsave, LEGACY_BYTES, 0, true);
    }
}

X86(fxrstor, "NP 0F AE /1 mem", "Ms", "FXSR")
void x86_fxrstor(X86Translator *t)
{
    if (!fx_refused(t)) {
        call_with_area(t, &call_fxrstor, LEGACY_BYTES, 0, false);
        x86_dispatch_next(t);
    }
}

/* XSAVE, XSAVEOPT, XSAVEC, XSAVES. */

/* The components that EDX:EAX asks for, of those that are enabled. */
static uint64_t requested_components(const X86Cpu *cpu, uint32_t what)
{
    uint64_t enabled = cpu->xcr0 | (what & SUPERVISOR ? cpu->xss : 0);

    return enabled & ((uint32_t)cpu->gpr[X86_RAX] | cpu->gpr[X86_RDX] << 32);
}

static void helper_xsave(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t requested = requested_components(cpu, what), in_use, saved;
    bool compact = what & COMPACT;
    Area area = { 0 };
    Pieces pieces;

    check_alignment(cpu, address, XSAVE_ALIGNMENT);
    x87_settle(cpu);
    in_use = requested & (compact ? components_and_mxcsr_in_use(cpu) : components_in_use(cpu));
    saved = what & INIT_OPTIMIZED ? in_use : requested;
    pieces = pieces_of(saved, compact ? saved & XCR0_SSE : requested & (XCR0_SSE | XCR0_AVX), what,
                       compact ? requested | XCOMP_BV_COMPACT : 0);
    gather(cpu, what, &area);
    area.xstate_bv = in_use;
    if (compact) {
        area.xcomp_bv = requested | XCOMP_BV_COMPACT;
        add_piece(&pieces, PIECE(xstate_bv, xcomp_bv));
    } else {
        area.xstate_bv |= tcg_load(env, address + offsetof(Area, xstate_bv), 8, flags) & ~requested;
        add_piece(&pieces, PIECE(xstate_bv, xstate_bv));
    }
    store_pieces(env, address, &pieces, flags, &area);
}
X86_HELPER(xsave, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

/* XRSTOR, XRSTORS. */

static uint64_t reserved_bits(const Area *area)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(area->reserved_header); i++) {
        bits |= area->reserved_header[i];
    }
    return bits;
}

static void check_header(X86Cpu *cpu, uint32_t what, const Area *area)
{
    uint64_t enabled = cpu->xcr0 | (what & SUPERVISOR ? cpu->xss : 0), bad;

    if (area->xcomp_bv & XCOMP_BV_COMPACT) {
        bad = area->xcomp_bv & ~enabled & ~XCOMP_BV_COMPACT;
        bad |= area->xstate_bv & (~area->xcomp_bv | XCOMP_BV_COMPACT);
        bad |= reserved_bits(area);
        bad |= !x86_has(cpu, X86_FEATURE_XSAVEC) && !x86_has(cpu, X86_FEATURE_XSAVES);
    } else {
        bad = (area->xstate_bv & ~enabled) | area->xcomp_bv | area->reserved_header[0];
        bad |= what & SUPERVISOR;
    }
    if (bad) {
        x86_fault(cpu, X86_GP, 0);
    }
}

static void put_components(X86Cpu *cpu, uint32_t what, uint64_t components, const Area *area)
{
    if (components & XCR0_X87) {
        put_x87(cpu, what, area);
    }
    if (components & XCR0_SSE) {
        put_vectors(cpu, what, 0, area->xmm);
    }
    if (components & XCR0_AVX) {
        put_vectors(cpu, what, 1, area->ymm_high);
    }
    if (components & XCR0_PKRU) {
        set_pkru(cpu, (uint32_t)area->pkru);
    }
}

static void helper_xrstor(TcgState *env, uint64_t address, uint32_t what, uint32_t flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t requested = requested_components(cpu, what), loaded;
    /* What is asked for and not there is put in its initial state. */
    Area area = { .control = X87_INITIAL_CONTROL, .mxcsr = MXCSR_INITIAL };
    bool compact, mxcsr;
    Pieces pieces;

    check_alignment(cpu, address, XSAVE_ALIGNMENT);
    copy_in(env, address + LEGACY_BYTES, (uint8_t *)&area + LEGACY_BYTES, HEADER_BYTES, flags);
    check_header(cpu, what, &area);
    compact = area.xcomp_bv & XCOMP_BV_COMPACT;
    loaded = requested & area.xstate_bv;
    mxcsr = compact ? loaded & XCR0_SSE : requested & (XCR0_SSE | XCR0_AVX);
    pieces = pieces_of(loaded, mxcsr, what, compact ? area.xcomp_bv : 0);
    load_pieces(env, address, &pieces, flags, &area);
    check_mxcsr(cpu, area.mxcsr);
    x87_settle(cpu);
    put_components(cpu, what, requested, &area);
    if (mxcsr || (compact && (requested & XCR0_SSE))) {
        put_mxcsr(cpu, area.mxcsr);
    }
}
X86_HELPER(xrstor, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

/* CR0.EM does not count here. */
static bool refused(X86Translator *t, uint32_t what)
{
    if (!(t->mode & X86_MODE_OSXSAVE)) {
        x86_undefined(t);
        return true;
    }
    if ((what & SUPERVISOR) && x86_not_privileged(t)) {
        return true;
    }
    if (t->mode & X86_MODE_TS) {
        x86_raise(t, X86_NM);
        return true;
    }
    x86_end_mmx(t);
    return false;
}

static unsigned area_bytes(const X86Translator *t)
{
    return x86_xsave_bytes(t->mode & X86_MODE_AVX ? XCR0_AVX : 0, false);
}

static void save(X86Translator *t, uint32_t what)
{
    if (!refused(t, what)) {
        call_with_area(t, &call_xsave, area_bytes(t), what, true);
    }
}

static void restore(X86Translator *t, uint32_t what)
{
    if (!refused(t, what)) {
        call_with_area(t, &call_xrstor, area_bytes(t), what, false);
        x86_dispatch_next(t);
    }
}

X86(xsave, "NP 0F AE /4 mem", "Ms", "XSAVE")
void x86_xsave(X86Translator *t)
{
    save(t, 0);
}

X86(xsaveopt, "NP 0F AE /6 mem", "Ms", "XSAVEOPT")
void x86_xsaveopt(X86Translator *t)
{
    save(t, INIT_OPTIMIZED);
}

X86(xsavec, "NP 0F C7 /4 mem", "Ms", "XSAVEC")
void x86_xsavec(X86Translator *t)
{
    save(t, INIT_OPTIMIZED | COMPACT);
}

X86(xsaves, "NP 0F C7 /5 mem", "Ms", "XSAVES")
void x86_xsaves(X86Translator *t)
{
    save(t, INIT_OPTIMIZED | COMPACT | SUPERVISOR);
}

X86(xrstor, "NP 0F AE /5 mem", "Ms", "XSAVE")
void x86_xrstor(X86Translator *t)
{
    restore(t, 0);
}

X86(xrstors, "NP 0F C7 /3 mem", "Ms", "XSAVES")
void x86_xrstors(X86Translator *t)
{
    restore(t, COMPACT | SUPERVISOR);
}

/* XCR0. */

uint64_t x86_xcr0_mask(const X86Cpu *cpu)
{
    return XCR0_X87 | (x86_has(cpu, X86_FEATURE_SSE) ? XCR0_SSE : 0) |
           (x86_has(cpu, X86_FEATURE_AVX) ? XCR0_AVX : 0) |
           (x86_has(cpu, X86_FEATURE_PKU) ? XCR0_PKRU : 0) |
           (x86_has(cpu, X86_FEATURE_AVX512F) ? XCR0_AVX512 : 0) |
           (x86_has(cpu, X86_FEATURE_AMX_TILE) ? XCR0_AMX : 0);
}

static void helper_xgetbv(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint32_t index = (uint32_t)cpu->gpr[X86_RCX];
    uint64_t value = cpu->xcr0;

    if (index > 1 || (index == 1 && !x86_has(cpu, X86_FEATURE_XGETBV1))) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (index == 1) {
        x87_settle(cpu);
        value &= components_and_mxcsr_in_use(cpu);
    }
    cpu->gpr[X86_RAX] = (uint32_t)value;
    cpu->gpr[X86_RDX] = value >> 32;
}
X86_HELPER(xgetbv, IR_VOID, X86_HELPER_SYSTEM);

X86(xgetbv, "NP 0F 01 /2 rm=0", "", "XSAVE")
void x86_xgetbv(X86Translator *t)
{
    if (t->mode & X86_MODE_OSXSAVE) {
        x86_call(t, &call_xgetbv, 0, 0, 0, 0);
    } else {
        x86_undefined(t);
    }
}

static void helper_xsetbv(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t value = (uint32_t)cpu->gpr[X86_RAX] | cpu->gpr[X86_RDX] << 32;

    if ((uint32_t)cpu->gpr[X86_RCX] != 0 || !(value & XCR0_X87) || (value & ~x86_xcr0_mask(cpu)) ||
        ((value & XCR0_AVX) && !(value & XCR0_SSE))) {
        x86_fault(cpu, X86_GP, 0);
    }
    cpu->xcr0 = value;
    x86_update_mode(cpu);
}
X86_HELPER(xsetbv, IR_VOID, X86_HELPER_SYSTEM);

X86(xsetbv, "NP 0F 01 /2 rm=1", "", "XSAVE")
void x86_xsetbv(X86Translator *t)
{
    if (!(t->mode & X86_MODE_OSXSAVE)) {
        x86_undefined(t);
    } else if (!x86_not_privileged(t)) {
        x86_call(t, &call_xsetbv, 0, 0, 0, 0);
        x86_dispatch_next(t);
    }
}

/* PKRU, by instructions of its own. */

static void check_keys(X86Cpu *cpu, bool write)
{
    if (!(cpu->cr4 & CR4_PKE)) {
        x86_fault(cpu, X86_UD, 0);
    }
    if ((uint32_t)cpu->gpr[X86_RCX] || (write && (uint32_t)cpu->gpr[X86_RDX])) {
        x86_fault(cpu, X86_GP, 0);
    }
}

static void helper_rdpkru(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    check_keys(cpu, false);
    cpu->gpr[X86_RAX] = cpu->pkru;
    cpu->gpr[X86_RDX] = 0;
}
X86_HELPER(rdpkru, IR_VOID, X86_HELPER_SYSTEM);

X86(rdpkru, "NP 0F 01 /5 rm=6", "", "PKU")
void x86_rdpkru(X86Translator *t)
{
    x86_call(t, &call_rdpkru, 0, 0, 0, 0);
}

static void helper_wrpkru(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    check_keys(cpu, true);
    set_pkru(cpu, (uint32_t)cpu->gpr[X86_RAX]);
}
X86_HELPER(wrpkru, IR_VOID, X86_HELPER_SYSTEM);

X86(wrpkru, "NP 0F 01 /5 rm=7", "", "PKU")
void x86_wrpkru(X86Translator *t)
{
    x86_call(t, &call_wrpkru, 0, 0, 0, 0);
    x86_dispatch_next(t);
}
