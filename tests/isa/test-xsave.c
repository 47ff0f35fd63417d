/* SPDX-License-Identifier: MIT */
/*
 * FNSAVE, FNSTENV, FXSAVE and the XSAVE family, on this host and on a bare machine: random areas, valid and invalid, are
 * restored, and what has become of the registers is saved in some other form. The same bytes at the same addresses.
 * usage: test-xsave [-i] [ROUNDS] [SEED]     (-i: on the interpreter)
 */
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "target/i386/mmu.h"
#include "tests/isa/host-x86.h"
#include "tests/isa/rig-x86.h"

#define CODE UINT32_C(0x2000000)
#define DATA UINT32_C(0x2800000)
enum {
    REGION = 0x10000,
    AREA = 0x400, /* more than an area has */
    BASE = 0,     /* a valid state, loaded first */
    SOURCE = AREA,
    TARGET = 2 * AREA,
    BV = 512,
    COMP_BV = 520,
    MXCSR = 24,
    COMPONENTS = 7,
    HANDLER = CODE + 0x8000,
    IDT = CODE + 0x9000,
    GDT = CODE + 0xa000,
};

/* Where a form has status, pointers and opcode, and the pointers' selectors unless it is wide. */
typedef struct {
    uint8_t status, pointers, pointers_bytes, selectors[2];
} Layout;

static const Layout fx_layout = { 2, 6, 18, { 12, 20 } }, env32_layout = { 4, 12, 16, { 16, 24 } },
                    env16_layout = { 2, 6, 8, { 8, 12 } };

typedef struct {
    const char *name, *opcode;
    uint8_t opcode_bytes, digit;
    bool restores, wide, has_header;
    uint32_t feature; /* bit of leaf D.1, EAX; 0: none needed */
    const Layout *layout;
} Form;

#define FORM(name, opcode, ...)                                                                    \
    {                                                                                              \
        name, opcode, sizeof(opcode) - 1, __VA_ARGS__                                              \
    }
static const Form forms[] = {
    FORM("fnstenv", "\xd9", 6, false, false, false, 0, &env32_layout),
    FORM("fnstenv16", "\x66\xd9", 6, false, false, false, 0, &env16_layout),
    FORM("fnsave", "\xdd", 6, false, false, false, 0, &env32_layout),
    FORM("fnsave16", "\x66\xdd", 6, false, false, false, 0, &env16_layout),
    FORM("fxsave", "\x0f\xae", 0, false, false, false, 0, &fx_layout),
    FORM("fxsave64", "\x0f\xae", 0, false, true, false, 0, &fx_layout),
    FORM("xsave", "\x0f\xae", 4, false, false, true, 0, &fx_layout),
    FORM("xsave64", "\x0f\xae", 4, false, true, true, 0, &fx_layout),
    FORM("xsaveopt", "\x0f\xae", 6, false, false, true, 1, &fx_layout),
    FORM("xsaveopt64", "\x0f\xae", 6, false, true, true, 1, &fx_layout),
    FORM("xsavec", "\x0f\xc7", 4, false, false, true, 2, &fx_layout),
    FORM("xsavec64", "\x0f\xc7", 4, false, true, true, 2, &fx_layout),
    FORM("fldenv", "\xd9", 4, true, false, false, 0, &env32_layout),
    FORM("fldenv16", "\x66\xd9", 4, true, false, false, 0, &env16_layout),
    FORM("frstor", "\xdd", 4, true, false, false, 0, &env32_layout),
    FORM("frstor16", "\x66\xdd", 4, true, false, false, 0, &env16_layout),
    FORM("fxrstor", "\x0f\xae", 1, true, false, false, 0, &fx_layout),
    FORM("fxrstor64", "\x0f\xae", 1, true, true, false, 0, &fx_layout),
    FORM("xrstor", "\x0f\xae", 5, true, false, true, 0, &fx_layout),
    FORM("xrstor64", "\x0f\xae", 5, true, true, true, 0, &fx_layout),
};

typedef struct {
    const Form *restore, *save;
    uint32_t restore_mask, save_mask;
    uint8_t data[3 * AREA]; /* before */
} Case;

static GRand *rng;
static X86Host judge;
static uint32_t host_forms;      /* leaf D.1, EAX */
static uint32_t host_components; /* leaf D.0, EAX */

static uint32_t below(uint32_t n)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)n);
}

static uint64_t random64(void)
{
    return (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);
}

static void put64(uint8_t *area, unsigned at, uint64_t value)
{
    memcpy(area + at, &value, 8);
}

static void fill_random(uint8_t *to, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 8) {
        put64(to, i, random64() | 1);
    }
}

static void random_area(uint8_t *area, bool compact)
{
    uint64_t bv = below(8);

    fill_random(area, AREA);
    area[0] |= below(2) ? 0x3f : 0;
    for (unsigned at = 8; at < 24; at += 8) {
        put64(area, at, (uint64_t)((int64_t)random64() >> 17)); /* canonical addresses */
    }
    put64(area, MXCSR, below(4) ? 0x1f80 : random64() & 0xffff);
    memset(area + BV, 0, 64);
    put64(area, BV, bv);
    put64(area, COMP_BV, compact ? UINT64_C(1) << 63 | bv | below(8) : 0);
}

/* A bit that must not be there, more or less. */
static void spoil(uint8_t *area)
{
    static const uint16_t places[] = { BV, BV, COMP_BV, COMP_BV, 528, 536, 544, 568, MXCSR };
    unsigned at = places[below(G_N_ELEMENTS(places))];
    uint64_t value, bit = UINT64_C(1) << below(at == MXCSR ? 32 : 64);

    /* Components and modes of SSE that only the host has. */
    if ((bit & host_components & ~(uint64_t)COMPONENTS) || (at == MXCSR && bit == 1 << 17)) {
        return;
    }
    memcpy(&value, area + at, 8);
    put64(area, at, value ^ bit);
}

static const Form *random_form(bool restores)
{
    const Form *f;

    do {
        f = &forms[below(G_N_ELEMENTS(forms))];
    } while (f->restores != restores || (f->feature & ~host_forms));
    return f;
}

static void make_case(Case *c)
{
    bool compact = (host_forms & 2) && below(2);

    c->restore = random_form(true);
    c->save = random_form(false);
    c->restore_mask = below(3) ? below(8) : g_rand_int(rng);
    c->save_mask = below(3) ? below(8) : g_rand_int(rng);
    /* What only the host has is not asked for. */
    c->restore_mask &= COMPONENTS;
    c->save_mask &= COMPONENTS;
    random_area(c->data + BASE, false);
    put64(c->data + BASE, BV, COMPONENTS);
    random_area(c->data + SOURCE, compact && c->restore->has_header);
    fill_random(c->data + TARGET, AREA);
    if (below(4) == 0) {
        spoil(c->data + SOURCE);
    }
}

/* The program. */

static uint8_t *put(uint8_t *p, uint64_t value, unsigned bytes)
{
    memcpy(p, &value, bytes);
    return p + bytes;
}

/* mov eax, mask; xor edx, edx; FORM [address] */
static uint8_t *emit_form(uint8_t *p, const Form *f, uint32_t mask, uint32_t address)
{
    *p++ = 0xb8;
    p = put(p, mask, 4);
    p = put(p, 0xd231, 2);
    if (f->wide) {
        *p++ = 0x48;
    }
    memcpy(p, f->opcode, f->opcode_bytes);
    p += f->opcode_bytes;
    *p++ = (uint8_t)(f->digit << 3 | 4);
    *p++ = 0x25;
    return put(p, address, 4);
}

static const Form *find_form(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (strcmp(forms[i].name, name) == 0) {
            return &forms[i];
        }
    }
    g_assert_not_reached();
}

static uint8_t *emit(uint8_t *p, const Case *c)
{
    p = emit_form(p, find_form("xrstor64"), COMPONENTS, DATA + BASE);
    p = emit_form(p, c->restore, c->restore_mask, DATA + SOURCE);
    return emit_form(p, c->save, c->save_mask, DATA + TARGET);
}

/* How a program ended. */
enum { END_DONE = 1, END_UD = 6, END_GP = 13, END_PF = 14, END_MF = 16, END_XM = 19 };

/* On the host. */

static sigjmp_buf faulted;

static void on_signal(int number)
{
    siglongjmp(faulted, number);
}

static __attribute__((noinline)) void call_code(void)
{
    const uint32_t mxcsr = 0x1f80;
    void *entry = (void *)(uintptr_t)CODE;

    __asm__ volatile("sub $128, %%rsp; call *%0; add $128, %%rsp; fninit; ldmxcsr %1"
                     : "+r"(entry)
                     : "m"(mxcsr)
                     : "rax", "rdx", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                       "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
                       "xmm15");
}

/* END_*: how it ended. */
static unsigned run_host(const Case *c, uint8_t *data)
{
    uint8_t *p = emit((uint8_t *)(uintptr_t)CODE, c);

    *p = 0xc3;
    memcpy((void *)(uintptr_t)DATA, c->data, sizeof c->data);
    switch (sigsetjmp(faulted, 1)) {
    case 0:
        call_code();
        memcpy(data, (void *)(uintptr_t)DATA, sizeof c->data);
        return END_DONE;
    case SIGFPE:
        return END_MF;
    default:
        return END_GP;
    }
}

/* On the machine. */

/* mov al, value; mov edx, END; out dx, al */
static uint8_t *emit_end(uint8_t *p, uint8_t value)
{
    *p++ = 0xb0;
    *p++ = value;
    *p++ = 0xba;
    p = put(p, X86_RIG_END_PORT, 4);
    *p++ = 0xee;
    *p++ = 0xeb;
    *p++ = 0xfe;
    return p;
}

/* Gates for #UD to #XM, and the code segment that they need. */
static void prepare_machine(X86Rig *rig)
{
    const uint64_t code = UINT64_C(0x00209b0000000000);

    rig->cpu->features[X86_FEATURE_AVX / 32] |= 1u << X86_FEATURE_AVX % 32;
    /* Protection keys are tested apart: this host may lack them. */
    rig->cpu->features[X86_FEATURE_PKU / 32] &= ~(1u << X86_FEATURE_PKU % 32);
    x86_rig_long_mode(rig);
    memcpy(rig->ram + GDT + 8, &code, 8);
    rig->cpu->gdtr = (X86TableRegister){ GDT, 15 };
    rig->cpu->idtr = (X86TableRegister){ IDT, 16 * 32 - 1 };
    for (unsigned vector = END_UD; vector <= END_XM; vector++) {
        uint32_t handler = HANDLER + 64 * vector;
        uint64_t gate =
            (handler & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(handler >> 16) << 48;

        memcpy(rig->ram + IDT + 16 * vector, &gate, 8);
        emit_end(rig->ram + handler, (uint8_t)vector);
    }
}

static unsigned run_code(X86Rig *rig, const uint8_t *end)
{
    address_space_dirty(rig->cpu->vcpu.memory, CODE, (uint64_t)(end - (rig->ram + CODE)));
    rig->cpu->gpr[X86_RSP] = CODE + REGION - 64;
    rig->end_value = 0;
    x86_rig_run(rig, CODE);
    return rig->end_value;
}

static unsigned run_machine(X86Rig *rig, const Case *c, uint8_t *data)
{
    unsigned end;

    memcpy(rig->ram + DATA, c->data, sizeof c->data);
    end = run_code(rig, emit_end(emit(rig->ram + CODE, c), END_DONE));
    memcpy(data, rig->ram + DATA, sizeof c->data);
    return end;
}

/*
 * What processors do differently: MXCSR's mask; AMD has pointers only while an exception is pending; selectors may be
 * saved as 0.
 */
static void even_out(const Form *form, const uint8_t *host, uint8_t *area, bool pending)
{
    const Layout *layout = form->layout;

    if (layout == &fx_layout) {
        area[30] &= (uint8_t)~2;
    }
    if (!pending && !judge.intel) {
        memset(area + layout->pointers, 0, layout->pointers_bytes);
    }
    for (unsigned i = 0; judge.no_selectors && !form->wide && i < 2; i++) {
        unsigned at = layout->selectors[i];

        if (!host[at] && !host[at + 1]) {
            area[at] = area[at + 1] = 0;
        }
    }
}

static bool differs(const Case *c, unsigned host_end, const uint8_t *host, unsigned end,
                    const uint8_t *got)
{
    bool bad = host_end != end;

    for (unsigned i = 0; end == END_DONE && host_end == end && i < sizeof c->data; i += 8) {
        if (memcmp(host + i, got + i, 8)) {
            uint64_t h, g;

            memcpy(&h, host + i, 8);
            memcpy(&g, got + i, 8);
            printf("  byte %u: host %016" PRIx64 " got %016" PRIx64 "\n", i - TARGET, h, g);
            bad = true;
        }
    }
    if (bad) {
        uint64_t header[3];

        memcpy(header, c->data + SOURCE + BV, sizeof header);
        printf("%s %u (header %" PRIx64 " %" PRIx64 " %" PRIx64 "), %s %u: host %u, here %u\n",
               c->restore->name, c->restore_mask, header[0], header[1], header[2], c->save->name,
               c->save_mask, host_end, end);
    }
    return bad;
}

static unsigned compare(X86Rig *rig, unsigned rounds)
{
    unsigned bad = 0, refused = 0;

    for (unsigned i = 0; i < rounds && bad < 10; i++) {
        uint8_t host[3 * AREA], got[3 * AREA];
        unsigned host_end, end;
        bool pending;
        Case c;

        make_case(&c);
        host_end = run_host(&c, host);
        end = run_machine(rig, &c, got);
        pending = host[TARGET + c.save->layout->status] & 0x80;
        even_out(c.save, host + TARGET, host + TARGET, pending);
        even_out(c.save, host + TARGET, got + TARGET, pending);
        bad += differs(&c, host_end, host, end, got);
        refused += end != END_DONE;
    }
    printf("%u cases, %u of them refused, %u disagree\n", rounds, refused, bad);
    return bad;
}

static bool host_is_fit(void)
{
    uint32_t a, b, c, d, amd_b;

    /* Error pointers are always saved, but on old AMD processors. */
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX)) {
        return false;
    }
    __cpuid_count(0xd, 0, host_components, b, c, d);
    __cpuid_count(0xd, 1, host_forms, b, c, d);
    __cpuid(0, a, b, c, d);
    if (b == signature_AMD_ebx) {
        return __get_cpuid(0x80000008, &a, &amd_b, &c, &d) && (amd_b & 1 << 2);
    }
    return true;
}

static void *map(uint32_t address)
{
    void *p = mmap((void *)(uintptr_t)address, REGION, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    g_assert_true(p == (void *)(uintptr_t)address);
    return p;
}

/* What only the machine is asked. */

/* The privileged forms do the same, but for the header that XRSTORS insists on. */
static void check_supervisor(X86Rig *rig)
{
    static const Form xsaves = FORM("xsaves", "\x0f\xc7", 5, false, false, true, 8, &fx_layout),
                      xrstors = FORM("xrstors", "\x0f\xc7", 3, true, false, true, 8, &fx_layout);

    for (unsigned i = 0; i < 40; i++) {
        uint8_t user[3 * AREA], supervisor[3 * AREA];
        bool compact = i & 1;
        Case c;

        make_case(&c);
        random_area(c.data + SOURCE, compact);
        c.restore = find_form("xrstor");
        c.save = find_form("xsavec");
        g_assert_cmpuint(run_machine(rig, &c, user), ==, END_DONE);
        c.restore = &xrstors;
        c.save = &xsaves;
        g_assert_cmpuint(run_machine(rig, &c, supervisor), ==, compact ? END_DONE : END_GP);
        g_assert_true(!compact || memcmp(user, supervisor, sizeof user) == 0);
    }
}

/* Pages of 4 KiB below DATA + 2 MiB; the second one of DATA with these rights. */
static void map_second_page(X86Rig *rig, uint64_t rights)
{
    const uint32_t directory = X86_RIG_RAM_BYTES - 0x8000, table = directory + 0x1000;
    uint64_t *tables = (uint64_t *)(void *)(rig->ram + directory);
    uint64_t *pdpt = (uint64_t *)(void *)(rig->ram + rig->cpu->cr3 + 0x1000);

    for (unsigned i = 0; i < 512; i++) {
        tables[i] = (uint64_t)i << 21 | 0x87;
        tables[512 + i] = DATA + (uint64_t)i * 4096 + 7;
    }
    tables[DATA >> 21] = table | 7;
    tables[513] = (tables[513] & ~UINT64_C(7)) | rights;
    pdpt[0] = directory | 7;
}

/* An area over two pages, of which the second one is not there or not writable: nothing of it is done. */
static void check_pages(X86Rig *rig)
{
    const uint32_t page = DATA + 0x1000;

    for (unsigned i = 0; i < 6 * G_N_ELEMENTS(forms); i++) {
        const Form *f = &forms[i % G_N_ELEMENTS(forms)];
        bool env = f->layout != &fx_layout;
        uint32_t area =
            env ? page - 1 - below(12) : page - 0x40 * (1 + below(f->has_header ? 8 : 6));
        bool absent = i / G_N_ELEMENTS(forms) & 1;
        uint8_t *ram = rig->ram + area, before[AREA];
        V128 xmm[16][2];
        unsigned end;

        fill_random(ram, AREA);
        memcpy(before, ram, AREA);
        for (unsigned k = 0; k < 16; k++) {
            rig->cpu->xmm[k][0] = rig->cpu->xmm[k][1] = (V128){ random64(), random64() };
        }
        memcpy(xmm, rig->cpu->xmm, sizeof xmm);
        rig->cpu->x87.status = 0;
        random_area(rig->ram + DATA, false);
        map_second_page(rig, absent ? 0 : 1);
        x86_flush_translations(rig->cpu, true);
        if (f->has_header && f->restores) {
            memset(ram + BV, 0, 64);
            put64(ram, BV, COMPONENTS);
        }
        memcpy(before, ram, AREA);
        end = run_code(rig, emit_end(emit_form(rig->ram + CODE, f, COMPONENTS, area), END_DONE));
        if (f->restores && !absent) {
            g_assert_cmpuint(end, !=, END_PF);
            continue;
        }
        g_assert_cmpuint(end, ==, END_PF);
        g_assert_cmphex(rig->cpu->cr2 & ~UINT64_C(0xfff), ==, page);
        g_assert_cmpmem(ram, AREA, before, AREA);
        g_assert_cmpmem(rig->cpu->xmm, sizeof xmm, xmm, sizeof xmm);
    }
    map_second_page(rig, 7);
    x86_flush_translations(rig->cpu, true);
}

/* XSETBV: what XCR0 may be. */
static void check_xcr0(X86Rig *rig)
{
    static const struct {
        uint32_t ecx, edx, eax;
        unsigned end;
    } cases[] = {
        { 0, 0, 1, END_DONE }, { 0, 0, 3, END_DONE },        { 0, 0, 7, END_DONE },
        { 0, 0, 0, END_GP },   { 0, 0, 2, END_GP },          { 0, 0, 5, END_GP },
        { 0, 0, 9, END_GP },   { 0, 0, 0x107, END_GP },      { 0, 1, 7, END_GP },
        { 1, 0, 7, END_GP },   { UINT32_MAX, 0, 7, END_GP },
    };
    static const uint8_t xsetbv[] = { 0x0f, 0x01, 0xd1 };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t before = rig->cpu->xcr0;

        memcpy(rig->ram + CODE, xsetbv, sizeof xsetbv);
        rig->cpu->gpr[X86_RCX] = cases[i].ecx;
        rig->cpu->gpr[X86_RDX] = cases[i].edx;
        rig->cpu->gpr[X86_RAX] = cases[i].eax;
        g_assert_cmpuint(run_code(rig, emit_end(rig->ram + CODE + sizeof xsetbv, END_DONE)), ==,
                         cases[i].end);
        g_assert_cmphex(rig->cpu->xcr0, ==, cases[i].end == END_DONE ? cases[i].eax : before);
        g_assert_cmpint(!!(rig->cpu->mode & X86_MODE_AVX), ==, rig->cpu->xcr0 == COMPONENTS);
    }
    rig->cpu->xcr0 = COMPONENTS;
}

/* An SSE exception that is not masked is #XM, or #UD when the system has not said that it knows #XM. */
static void check_sse_exception(X86Rig *rig)
{
    static const uint8_t divide[] = { 0x0f, 0xae, 0x14, 0x25, 0, 0, 0x80, 2, /* ldmxcsr [DATA] */
                                      0x0f, 0x5e, 0xc1 };                    /* divps xmm0, xmm1 */
    const uint32_t mxcsr = 0x1d80;                                           /* all but ZE */

    for (unsigned i = 0; i < 2; i++) {
        memcpy(rig->ram + CODE, divide, sizeof divide);
        memcpy(rig->ram + DATA, &mxcsr, 4);
        rig->cpu->xmm[0][0] = (V128){ 0x3f8000003f800000, 0x3f8000003f800000 };
        rig->cpu->xmm[1][0] = (V128){ 0, 0 };
        rig->cpu->cr4 ^= i ? CR4_OSXMMEXCPT : 0;
        g_assert_cmpuint(run_code(rig, emit_end(rig->ram + CODE + sizeof divide, END_DONE)), ==,
                         i ? END_UD : END_XM);
        g_assert_cmphex(rig->cpu->xmm[0][0][0], ==, 0x3f8000003f800000);
        rig->cpu->cr4 |= CR4_OSXMMEXCPT;
    }
}

/* In 32-bit code there are eight registers. */
static void check_narrow(X86Rig *rig)
{
    X86Cpu *cpu = rig->cpu;
    const X86Segment *cs = &cpu->seg[X86_CS];
    uint8_t *area = rig->ram + DATA, *p = rig->ram + CODE;
    static const uint8_t narrow[] = {
        0x31, 0xd2, 0xb8, 7, 0, 0, 0,    0xbb, 0,   0, 0x80, 2, 0x0f, 0xae, 0x2b, /* xrstor [ebx] */
        0x81, 0xc3, 0,    4, 0, 0, 0x0f, 0xae, 0x23
    }; /* xsave */

    memcpy(p, narrow, sizeof narrow);
    random_area(area, false);
    put64(area, BV, COMPONENTS);
    memset(area + AREA, 0xcc, AREA);
    memset(cpu->xmm, 0x55, sizeof cpu->xmm);
    x86_set_segment(cpu, X86_CS, 8, 0, UINT32_MAX, (cs->flags & ~(uint32_t)X86_SEG_L) | X86_SEG_B);
    g_assert_cmpuint(run_code(rig, emit_end(p + sizeof narrow, END_DONE)), ==, END_DONE);
    g_assert_cmpmem(area + AREA + 160, 128, area + 160, 128);
    g_assert_cmpmem(area + AREA + 576, 128, area + 576, 128);
    g_assert_cmphex(area[AREA + 160 + 128], ==, 0xcc);
    g_assert_cmphex(area[AREA + 576 + 128], ==, 0xcc);
    g_assert_cmphex(cpu->xmm[7][1][1], !=, UINT64_C(0x5555555555555555));
    g_assert_cmphex(cpu->xmm[8][0][0], ==, UINT64_C(0x5555555555555555));
    x86_rig_long_mode(rig);
}

static void catch_signals(void)
{
    static uint8_t stack[65536];
    const stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
    const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

    sigaltstack(&alternative, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

int main(int argc, char **argv)
{
    bool interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    unsigned rounds, bad = 0;
    X86Rig rig;

    argv += interp;
    argc -= interp;
    rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
    rng = g_rand_new_with_seed(argc > 2 ? (unsigned)atoi(argv[2]) : 1);
    if (!x86_rig_open(&rig, "max", interp)) {
        return 77;
    }
    judge = x86_host();
    prepare_machine(&rig);
    if (host_is_fit()) {
        catch_signals();
        map(CODE);
        map(DATA);
        bad = compare(&rig, rounds);
    }
    check_supervisor(&rig);
    check_xcr0(&rig);
    check_pages(&rig);
    check_sse_exception(&rig);
    check_narrow(&rig);
    x86_rig_close(&rig);
    g_rand_free(rng);
    return bad != 0;
}
