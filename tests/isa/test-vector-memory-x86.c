/* SPDX-License-Identifier: MIT */
/*
 * When VEX instructions are undefined or find the FPU not available; and memory operands of VEX instructions around the borders of pages that are there, that are not, and that are read-only,
 * on this host and on a bare machine: whether they fault, where, and what registers, MXCSR and memory then are. Gathers
 * and masked moves among them.
 * usage: test-vector-memory-x86 [-i] [-c] COUNT SEED [NAME]     (-i: on the interpreter; -c: the machine is in
 * compatibility mode, with what means the same there; NAME: this instruction only)
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "target/i386/control.h"
#include "target/i386/decode.h"
#include "tests/isa/host-x86.h"
#include "tests/isa/rig-x86.h"

enum {
    WINDOW = 0x2c00000, /* the same address on both sides */
    PAGES = 6,
    PAGE = 4096,
    /* Of the machine: */
    TABLES = 0x3ff0000,
    GDT = 0x100000,
    IDT = 0x101000,
    HANDLERS = 0x102000,
    STACK = 0x110000,
    CODE = 0x180000,
    CODE_BYTES = 0x80000,
};
enum { MXCSR_DEFAULT = 0x1f80 };

/* What is at the pages of the window. */
static const enum { NONE, READ, WRITE } rights[PAGES] = { NONE, WRITE, NONE, READ, WRITE, NONE };

typedef struct {
    uint8_t insn[16];
    unsigned length;
    const X86Encoding *encoding;
    X86Insn decoded;
    uint64_t base; /* rbx */
    uint8_t vectors[16][32];
    uint8_t memory[PAGES * PAGE];
} Case;

typedef struct {
    unsigned trap; /* 0: none */
    uint64_t address;
    bool write;
    uint32_t mxcsr;
    uint8_t vectors[16][32];
    uint8_t memory[PAGES * PAGE];
} Outcome;

static GRand *rng;
static X86Host judge;
static uint8_t *window, *code;
static sigjmp_buf faulted;
static Outcome host, ours;
static const char *only;
static bool compatibility;

static uint32_t below(uint32_t n)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)n);
}

static uint64_t random64(void)
{
    return (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);
}

/* Making a case. */

static bool has_operand(const X86Encoding *e, X86OperandKind kind)
{
    for (unsigned i = 0; i < 4; i++) {
        if (e->operands[i].kind == kind) {
            return true;
        }
    }
    return false;
}

static const X86Encoding *random_encoding(unsigned *map, unsigned *opcode)
{
    for (;;) {
        unsigned n = below(x86_encoding_count);
        const X86Encoding *e = &x86_encodings[n];

        if (!(e->flags & X86_VEX) || e->mod == X86_MOD_REG || !has_operand(e, X86_OPERAND_V) ||
            (only && strcmp(only, e->name) != 0)) {
            continue;
        }
        *map = *opcode = 0;
        while (n >= x86_first_encoding[*map][256]) {
            (*map)++;
        }
        while (*opcode < 255 && n >= x86_first_encoding[*map][*opcode + 1]) {
            (*opcode)++;
        }
        return e;
    }
}

/* With memory at [rbx], or around it where a vector has indices. */
static bool random_insn(Case *c, const X86Cpu *cpu)
{
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 1, [X86_PREFIX_F3] = 2, [X86_PREFIX_F2] = 3
    };
    uint8_t page[TCG_PAGE_SIZE] = { 0 }, *p = page;
    TcgCode source = { .page = page };
    unsigned map, opcode, w, l, vvvv, reg;
    X86Insn insn;

    c->encoding = random_encoding(&map, &opcode);
    w = c->encoding->vex_w == X86_ANY ? below(compatibility ? 1 : 2) : c->encoding->vex_w;
    l = c->encoding->vex_l == X86_ANY ? below(2) : c->encoding->vex_l;
    vvvv = has_operand(c->encoding, X86_OPERAND_H) ? 15 - below(compatibility ? 8 : 16) : 15;
    reg = c->encoding->reg == X86_ANY ? below(8) : c->encoding->reg;
    *p++ = 0xc4;
    *p++ = (uint8_t)((compatibility ? 3 : below(4)) << 6 | 0x20 | map);
    *p++ = (uint8_t)(w << 7 | vvvv << 3 | l << 2 | prefixes[c->encoding->prefix]);
    *p++ = (uint8_t)opcode;
    if (c->encoding->flags & X86_VSIB) {
        *p++ = (uint8_t)(reg << 3 | 4);
        *p++ = (uint8_t)(below(4) << 6 | below(8) << 3 | X86_RBX);
    } else {
        *p++ = (uint8_t)(reg << 3 | X86_RBX);
    }
    *p++ = (uint8_t)below(compatibility ? 128 : 256);
    if (x86_decode(&insn, cpu, &source, 0, cpu->mode) != X86_DECODED) {
        return false;
    }
    memcpy(c->insn, page, insn.length);
    c->length = insn.length;
    c->decoded = insn;
    return true;
}

/* Masks, numbers of any kind, and indices that stay near. */
static uint64_t random_element(const X86Encoding *e)
{
    if (!(e->flags & X86_VSIB) || (!compatibility && below(3) == 0)) {
        return random64();
    }
    if (strstr(e->name, "64")) {
        return (uint64_t)(int64_t)((int32_t)below(PAGE) - PAGE / 2);
    }
    return (uint32_t)((int32_t)below(PAGE) - PAGE / 2) | (uint64_t)(below(PAGE) - PAGE / 2) << 32;
}

static void make_case(Case *c, const X86Cpu *cpu)
{
    while (!random_insn(c, cpu)) {
    }
    c->base = WINDOW + (1 + below(PAGES - 1)) * PAGE;
    c->base -= below(3) ? below(96) : below(PAGE) & ~31u;
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned k = 0; k < 32; k += 8) {
            uint64_t value = random_element(c->encoding);

            memcpy(c->vectors[i] + k, &value, 8);
        }
    }
    for (unsigned i = 0; i < sizeof c->memory; i += 8) {
        uint64_t value = random64();

        memcpy(c->memory + i, &value, 8);
    }
}

/* On this host. */

static void protect(bool all)
{
    static const int protections[] = {
        [NONE] = PROT_NONE, [READ] = PROT_READ, [WRITE] = PROT_READ | PROT_WRITE
    };

    for (unsigned i = 0; i < PAGES; i++) {
        mprotect(window + i * PAGE, PAGE, all ? PROT_READ | PROT_WRITE : protections[rights[i]]);
    }
}

static void on_signal(int number, siginfo_t *info, void *opaque)
{
    /* XSAVE's standard format: upper halves follow the header. */
    enum { UPPER_HALVES = 576 };
    const ucontext_t *context = opaque;
    const uint8_t *registers = (const uint8_t *)context->uc_mcontext.fpregs;

    host.trap = (unsigned)context->uc_mcontext.gregs[REG_TRAPNO];
    host.address = (uintptr_t)info->si_addr;
    host.write = context->uc_mcontext.gregs[REG_ERR] & X86_PF_W;
    host.mxcsr = context->uc_mcontext.fpregs->mxcsr;
    for (unsigned i = 0; i < 16; i++) {
        memcpy(host.vectors[i], &context->uc_mcontext.fpregs->_xmm[i], 16);
        memcpy(host.vectors[i] + 16, registers + UPPER_HALVES + 16 * i, 16);
    }
    siglongjmp(faulted, number);
}

#define EACH_VECTOR(X)                                                                             \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD(n)  "vmovups 32*" #n "(%%rsi), %%ymm" #n "\n"
#define STORE(n) "vmovups %%ymm" #n ", 32*" #n "(%%rdi)\n"

static __attribute__((noinline)) void run_native(const Case *c)
{
    /* Not on the stack, whose pointer moves. */
    static uint32_t mxcsr;

    mxcsr = MXCSR_DEFAULT;
    protect(true);
    memcpy(window, c->memory, sizeof c->memory);
    protect(false);
    memcpy(code, c->insn, c->length);
    code[c->length] = 0xc3;
    host.trap = 0;
    if (sigsetjmp(faulted, 1) == 0) {
        __asm__ volatile("push %%rbx; mov %3, %%rbx\n" EACH_VECTOR(LOAD) "ldmxcsr %0\n"
                                                                         "call *%4\n"
                                                                         "stmxcsr %0\n" EACH_VECTOR(
                                                                             STORE) "pop %%rbx\n"
                         : "+m"(mxcsr)
                         : "S"(c->vectors), "D"(host.vectors), "d"(c->base), "a"(code)
                         : "memory", "cc", "rcx", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
                           "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
                           "xmm14", "xmm15");
        host.mxcsr = mxcsr;
    }
    __builtin_ia32_ldmxcsr(MXCSR_DEFAULT);
    protect(true);
    memcpy(host.memory, window, sizeof host.memory);
}

/* On the machine. */

static uint8_t *put_end(uint8_t *p, uint8_t value)
{
    const uint8_t end[] = { 0xb0, value, 0xba, X86_RIG_END_PORT & 0xff, X86_RIG_END_PORT >> 8, 0, 0,
                            0xee, 0xeb,  0xfe };

    /* mov al, VALUE; mov edx, PORT; out dx, al; jmp . */
    memcpy(p, end, sizeof end);
    return p + sizeof end;
}

static void prepare_machine(X86Rig *rig)
{
    const uint64_t code_segment = UINT64_C(0x00209b0000000000);
    uint64_t *tables = (uint64_t *)(void *)(rig->ram + TABLES);

    x86_rig_long_mode(rig);
    memcpy(rig->ram + GDT + 8, &code_segment, 8);
    rig->cpu->gdtr = (X86TableRegister){ GDT, 15 };
    rig->cpu->idtr = (X86TableRegister){ IDT, 16 * 32 - 1 };
    for (unsigned vector = 0; vector < 32; vector++) {
        uint32_t handler = HANDLERS + 16 * vector;
        uint64_t gate =
            (handler & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(handler >> 16) << 48;

        memcpy(rig->ram + IDT + 16 * vector, &gate, 8);
        put_end(rig->ram + handler, (uint8_t)vector);
    }
    /* Nothing but a page of 2 MiB with all that is above, and the window in pages of 4 KiB. */
    tables[512] = (TABLES + 0x2000) | 7;
    tables[1024] = 7 | 1 << 7;
    tables[1024 + (WINDOW >> 21)] = (TABLES + 0x3000) | 7;
    for (unsigned i = 0; i < PAGES; i++) {
        tables[1536 + (WINDOW >> 12 & 511) + i] = (WINDOW + i * PAGE) | (rights[i] == NONE   ? 0
                                                                         : rights[i] == READ ? 5
                                                                                             : 7);
    }
}

static void run_guest(X86Rig *rig, const Case *c)
{
    static uint32_t at = CODE + CODE_BYTES;
    X86Cpu *cpu = rig->cpu;
    uint64_t error_code;

    if (at + 64 > CODE + CODE_BYTES) {
        address_space_dirty(cpu->vcpu.memory, CODE, CODE_BYTES);
        at = CODE;
    }
    memcpy(rig->ram + at, c->insn, c->length);
    put_end(rig->ram + at + c->length, 0);
    memcpy(rig->ram + WINDOW, c->memory, sizeof c->memory);
    memcpy(cpu->xmm, c->vectors, sizeof c->vectors);
    /* RAX and RDX are lengths of strings, as they happen to be on this host. */
    cpu->gpr[X86_RAX] = (uintptr_t)code;
    cpu->gpr[X86_RDX] = cpu->gpr[X86_RBX] = c->base;
    cpu->gpr[X86_RSP] = STACK;
    x86_set_mxcsr(cpu, MXCSR_DEFAULT);
    if (compatibility) {
        x86_set_segment(cpu, X86_CS, 8, 0, 0xffffffff,
                        X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_WRITE | X86_SEG_ACCESSED |
                            X86_SEG_G | X86_SEG_B);
    }
    x86_rig_run(rig, at);
    at += 64;
    ours.trap = rig->end_value & 0xff;
    ours.address = cpu->cr2;
    /* The frame is six doublewords: below SS, RSP, RFLAGS, CS and RIP is the error code. */
    memcpy(&error_code, rig->ram + STACK - 48, 8);
    ours.write = error_code & X86_PF_W;
    ours.mxcsr = x86_get_mxcsr(cpu);
    memcpy(ours.vectors, cpu->xmm, sizeof ours.vectors);
    memcpy(ours.memory, rig->ram + WINDOW, sizeof ours.memory);
}

/* Comparison. */

static void print_vector(const char *name, const uint8_t *bytes)
{
    printf("%s ", name);
    for (unsigned i = 32; i-- > 0;) {
        printf("%02x%s", bytes[i], i == 16 ? "_" : "");
    }
}

/* Done by the host, or 0 there: is not compared. */
static void adopt(unsigned reg, unsigned at, unsigned size)
{
    memcpy(ours.vectors[reg] + at, host.vectors[reg] + at, size);
}

static bool is_clear(unsigned reg, unsigned at, unsigned size)
{
    static const uint8_t zeros[8];

    return memcmp(host.vectors[reg] + at, zeros, size) == 0;
}

/*
 * A gather that faults, with Intel (SDM vol. 2, VPGATHERDD and the like): the mask's elements have become all ones or
 * zeros before; elements above the one at fault may be done, and what belongs to no element may be 0 in mask and result.
 */
static void even_out_gather(const X86Insn *insn)
{
    unsigned size = insn->vex_w ? 8 : 4, index = insn->opcode & 1 ? 8 : 4;
    unsigned width = insn->vex_l ? 32 : 16, bytes = width / MAX(size, index) * size;
    unsigned to = insn->operands[0].reg, mask = insn->vex_register;
    bool at_fault = true; /* of the elements not done, the lowest one */

    for (unsigned at = 0; at < width; at += size) {
        bool pending = ours.vectors[mask][at + size - 1] & 0x80;

        memset(ours.vectors[mask] + at, pending ? 0xff : 0, size);
        if (at < bytes && pending && !at_fault && is_clear(mask, at, size)) {
            adopt(mask, at, size);
            adopt(to, at, size);
        }
        at_fault &= !pending;
    }
    for (unsigned at = bytes; at < 32; at += size) {
        if (is_clear(mask, at, size)) {
            adopt(mask, at, size);
        }
        if (is_clear(to, at, size)) {
            adopt(to, at, size);
        }
    }
}

/* Makes of our fault what it may be on this host. */
static void even_out(const Case *c)
{
    const uint32_t flags = 0x3f; /* of MXCSR */
    const X86Insn *insn = &c->decoded;

    if (!judge.intel || !host.trap || host.trap != ours.trap) {
        return;
    }
    if (c->encoding->flags & X86_VSIB) {
        even_out_gather(insn);
    }
    if (x86_host_converts_first(&judge, insn)) {
        ours.mxcsr |= host.mxcsr & flags;
    }
    if (x86_host_faults_at_any_element(&judge, insn) &&
        host.address / PAGE == ours.address / PAGE) {
        uint64_t start = c->base + (uint64_t)(int64_t)insn->displacement;

        ours.address = host.address - start < (insn->vex_l ? 32 : 16) ? host.address : ours.address;
    }
}

/* Indices may lead anywhere; where this process has memory of its own (a sanitizer's, perhaps), it cannot be the judge. */
static bool is_process_memory(uint64_t address)
{
    uint64_t page = address & ~UINT64_C(0xfff);

    return address - WINDOW >= PAGES * PAGE && msync((void *)(uintptr_t)page, PAGE, MS_ASYNC) == 0;
}

static bool differ(const Case *c, unsigned seed)
{
    bool bad = false;

    if (ours.trap == X86_PF && is_process_memory(ours.address)) {
        return false;
    }
    if (host.trap != ours.trap ||
        (host.trap == X86_PF && (host.address != ours.address || host.write != ours.write))) {
        printf("  host: trap %u at %" PRIx64 " write %d, ours: trap %u at %" PRIx64 " write %d\n",
               host.trap, host.address, host.write, ours.trap, ours.address, ours.write);
        bad = true;
    }
    if (host.mxcsr != ours.mxcsr) {
        printf("  mxcsr: host %04x ours %04x\n", host.mxcsr, ours.mxcsr);
        bad = true;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (memcmp(host.vectors[i], ours.vectors[i], 32) != 0) {
            printf("  ymm%u", i);
            print_vector(" host", host.vectors[i]);
            print_vector("\n    ours", ours.vectors[i]);
            print_vector("\n    before", c->vectors[i]);
            printf("\n");
            bad = true;
        }
    }
    if (memcmp(host.memory, ours.memory, sizeof host.memory) != 0) {
        printf("  memory\n");
        bad = true;
    }
    if (bad) {
        printf("  seed %u: %s \"%s\", rbx %" PRIx64 ":", seed, c->encoding->name, c->encoding->text,
               c->base);
        for (unsigned i = 0; i < c->length; i++) {
            printf(" %02x", c->insn[i]);
        }
        printf("\n");
    }
    return bad;
}

static const uint8_t vaddps[] = { 0xc5, 0xf8, 0x58, 0xc0 }; /* xmm0, xmm0, xmm0 */

/* Prefixes that may stand before VEX, and those that may not. */
static unsigned check_prefixes(X86Rig *rig, Case *c)
{
    static const uint8_t prefixes[] = { 0x26, 0x64, 0x67, 0x66, 0xf2, 0xf3, 0xf0, 0x40, 0x48 };
    unsigned bad = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        c->insn[0] = prefixes[i];
        memcpy(c->insn + 1, vaddps, sizeof vaddps);
        c->length = 1 + sizeof vaddps;
        run_native(c);
        run_guest(rig, c);
        bad += differ(c, 0);
    }
    return bad;
}

/* What control registers say; CR0.EM and CR4.OSFXSR are about other instructions. */
static unsigned check_gates(X86Rig *rig, Case *c)
{
    static const struct {
        uint64_t cr0, cr4, xcr0; /* set, clear, value */
        unsigned trap;
    } gates[] = {
        { 0, 0, 7, 0 },
        { 0, CR4_OSXSAVE, 7, X86_UD },
        { 0, 0, XCR0_X87 | XCR0_SSE, X86_UD },
        { 0, 0, XCR0_X87, X86_UD },
        { CR0_TS, 0, 7, X86_NM },
        { CR0_TS, 0, XCR0_X87 | XCR0_SSE, X86_UD },
        { CR0_EM, CR4_OSFXSR, 7, 0 },
    };
    uint64_t cr0 = rig->cpu->cr0, cr4 = rig->cpu->cr4, xcr0 = rig->cpu->xcr0;
    unsigned bad = 0;

    memcpy(c->insn, vaddps, sizeof vaddps);
    c->length = sizeof vaddps;
    for (unsigned i = 0; i < G_N_ELEMENTS(gates); i++) {
        rig->cpu->cr0 = cr0 | gates[i].cr0;
        rig->cpu->cr4 = cr4 & ~gates[i].cr4;
        rig->cpu->xcr0 = gates[i].xcr0;
        run_guest(rig, c);
        if (ours.trap != gates[i].trap) {
            printf("  gate %u: trap %u, not %u\n", i, ours.trap, gates[i].trap);
            bad++;
        }
    }
    rig->cpu->cr0 = cr0;
    rig->cpu->cr4 = cr4;
    rig->cpu->xcr0 = xcr0;
    return bad;
}

static void catch_signals(void)
{
    static const int signals[] = { SIGSEGV, SIGILL, SIGBUS };

    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

        sigaction(signals[i], &action, NULL);
    }
}

int main(int argc, char **argv)
{
    bool interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    unsigned count, seed, bad = 0, faults = 0;
    static Case c;
    X86Rig rig;

    argv += interp;
    argc -= interp;
    compatibility = argc > 1 && strcmp(argv[1], "-c") == 0;
    argv += compatibility;
    argc -= compatibility;
    count = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    only = argc > 3 ? argv[3] : NULL;
    if (!x86_rig_host_has_vex() || !x86_rig_open(&rig, "max", interp)) {
        return 77;
    }
    window = mmap((void *)(uintptr_t)WINDOW, PAGES * PAGE, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(window == (void *)(uintptr_t)WINDOW && code != MAP_FAILED);
    judge = x86_host();
    prepare_machine(&rig);
    catch_signals();
    for (unsigned i = 0; i < count && bad < 20; i++) {
        rng = g_rand_new_with_seed(seed + i);
        make_case(&c, rig.cpu);
        run_native(&c);
        run_guest(&rig, &c);
        faults += host.trap != 0;
        even_out(&c);
        bad += differ(&c, seed + i);
        g_rand_free(rng);
    }
    /* REX prefixes are other instructions in compatibility mode. */
    bad += (compatibility ? 0 : check_prefixes(&rig, &c)) + check_gates(&rig, &c);
    printf("%u instructions, %u fault, %u disagree\n", count, faults, bad);
    x86_rig_close(&rig);
    return bad != 0;
}
