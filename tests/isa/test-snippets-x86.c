/* SPDX-License-Identifier: MIT */
/*
 * Random 64-bit instructions of user mode, on this host and on a bare machine: the same bytes at the same addresses.
 * Each snippet loads all registers and flags, executes a few instructions and stores what has become of them, also when
 * one of them has faulted.
 * usage: test-snippets-x86 [-i] [-p] ROUNDS SEED [NAME]     (-i: on the interpreter; -p: memory operands are around the borders of
 * pages that are there, that are not, and that are read-only; NAME: this instruction only)
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/log.h"
#include "tests/isa/rig-x86.h"
#include "tests/isa/snippet-x86.h"

#define CODE   UINT32_C(0x2000000)
#define DATA   UINT32_C(0x2800000)
#define STATES UINT32_C(0x3000000)
#define FAULTS UINT32_C(0x1f00000)
enum { TABLES = 0x3ff0000 };
enum {
    IDT = FAULTS + 0x1000,
    GDT = FAULTS + 0x2000,
    STUBS = FAULTS + 0x3000,
    FAULTS_BYTES = 0x4000
};
enum { REGION = 0x800000, SNIPPETS = 64 };

/* At FAULTS: what snippets and what ends them tell each other. */
typedef struct {
    uint64_t resume, vector, rip, error, cr2;
} Faults;
#define FAULT(member) (FAULTS + (uint32_t)offsetof(Faults, member))

static uint8_t *code;
static State *states; /* 2 for each snippet */
static Faults *faults;
static Snippet snippets[SNIPPETS];
static uint8_t *windows;

/* mov between a register and [absolute] */
static uint8_t *move(uint8_t *p, unsigned reg, uint32_t address, bool store)
{
    *p++ = (uint8_t)(0x48 | (reg >> 3) << 2);
    *p++ = store ? 0x89 : 0x8b;
    *p++ = (uint8_t)(0x04 | (reg & 7) << 3);
    *p++ = 0x25;
    return snippet_put(p, address, 4);
}

/* [v]movups */
static uint8_t *move_vector(uint8_t *p, unsigned reg, uint32_t address, bool store)
{
    if (snippet_source.with_avx) {
        *p++ = 0xc5;
        *p++ = reg < 8 ? 0xfc : 0x7c;
    } else {
        *p++ = (uint8_t)(0x40 | (reg >> 3) << 2);
        *p++ = 0x0f;
    }
    *p++ = store ? 0x11 : 0x10;
    *p++ = (uint8_t)(0x04 | (reg & 7) << 3);
    *p++ = 0x25;
    return snippet_put(p, address, 4);
}

/* ldmxcsr (/2), stmxcsr (/3) at an absolute address */
static uint8_t *move_mxcsr(uint8_t *p, unsigned digit, uint32_t address)
{
    *p++ = 0x0f;
    *p++ = 0xae;
    *p++ = (uint8_t)(digit << 3 | 4);
    *p++ = 0x25;
    return snippet_put(p, address, 4);
}

/* frstor (/4), fnsave (/6) at an absolute address */
static uint8_t *move_x87(uint8_t *p, unsigned digit, uint32_t address)
{
    *p++ = 0xdd;
    *p++ = (uint8_t)(digit << 3 | 4);
    *p++ = 0x25;
    return snippet_put(p, address, 4);
}

/* mov qword [absolute], imm */
static uint8_t *set_word(uint8_t *p, uint32_t address, uint32_t value)
{
    p = snippet_put(p, 0x2504c748, 4);
    p = snippet_put(p, address, 4);
    return snippet_put(p, value, 4);
}

/* Also of what has ended it. */
static uint8_t *emit_results(uint8_t *p, uint32_t to)
{
    for (unsigned i = 0; i < 16; i++) {
        p = i == X86_RSP ? p : move(p, i, to + 8 * i, true);
    }
    *p++ = 0x9c; /* pushf; pop rax */
    *p++ = 0x58;
    p = move(p, X86_RAX, to + (uint32_t)offsetof(State, flags), true);
    for (unsigned i = 0; snippet_source.with_sse && i < 16; i++) {
        p = move_vector(p, i, to + (uint32_t)offsetof(State, vectors) + 32 * i, true);
    }
    p = snippet_source.with_sse ? move_mxcsr(p, 3, to + (uint32_t)offsetof(State, mxcsr)) : p;
    p = snippet_source.with_sse ? move_x87(p, 6, to + (uint32_t)offsetof(State, x87)) : p;
    p = move(p, X86_RAX, FAULT(vector), false);
    p = move(p, X86_RAX, to + (uint32_t)offsetof(State, vector), true);
    p = move(p, X86_RAX, FAULT(rip), false);
    p = move(p, X86_RAX, to + (uint32_t)offsetof(State, rip), true);
    p = move(p, X86_RAX, FAULT(error), false);
    p = move(p, X86_RAX, to + (uint32_t)offsetof(State, error), true);
    p = move(p, X86_RAX, FAULT(cr2), false);
    return move(p, X86_RAX, to + (uint32_t)offsetof(State, cr2), true);
}

/*
 * The whole program of a snippet: it starts from state `from` and leaves its results in `to`. p is at *address; that of
 * the instructions is returned there.
 */
static uint8_t *emit(uint8_t *p, const Snippet *s, uint32_t from, uint32_t to, uint32_t host_rsp,
                     uint64_t *address)
{
    uint8_t *start = p, *resume;

    p = move(p, X86_RSP, host_rsp, true);
    p = set_word(p, FAULT(vector), 0);
    resume = p = set_word(p, FAULT(resume), 0);
    p = move(p, X86_RAX, from + (uint32_t)offsetof(State, flags), false);
    *p++ = 0x50; /* push rax; popf */
    *p++ = 0x9d;
    for (unsigned i = 0; snippet_source.with_sse && i < 16; i++) {
        p = move_vector(p, i, from + (uint32_t)offsetof(State, vectors) + 32 * i, false);
    }
    p = snippet_source.with_sse ? move_x87(p, 4, from + (uint32_t)offsetof(State, x87)) : p;
    p = snippet_source.with_sse ? move_mxcsr(p, 2, from + (uint32_t)offsetof(State, mxcsr)) : p;
    for (unsigned i = 0; i < 16; i++) {
        p = i == X86_RSP ? p : move(p, i, from + 8 * i, false);
    }
    memcpy(p, s->insns, s->size);
    snippet_put(resume - 4, *address + (uint64_t)(p - start) + s->size, 4);
    *address += (uint64_t)(p - start);
    return emit_results(p + s->size, to);
}

static uint32_t state_address(unsigned n)
{
    return STATES + n * (uint32_t)sizeof(State);
}

static uint32_t window_address(unsigned n)
{
    return WINDOW + n * WINDOW_PAGES * PAGE;
}

/* Where rbx points to: the snippet's data, or before a border of the pages, so that a short displacement reaches over it. */
static uint64_t choose_base(unsigned n)
{
    uint64_t border = window_address(n) + (1 + snippet_below(WINDOW_PAGES)) * PAGE;

    return snippet_source.around_pages
               ? border - snippet_below(200)
               : state_address(2 * n + 1) + offsetof(State, data) + DATA_BYTES / 4;
}

static void randomize_pages(Snippet *s)
{
    for (unsigned i = 0; snippet_source.around_pages && i < sizeof s->pages; i += 8) {
        uint64_t value = snippet_random64();

        memcpy(&s->pages[0][0] + i, &value, 8);
    }
}

static void fill_window(const Snippet *s, uint8_t *window)
{
    memcpy(window + WRITABLE * PAGE, s->pages[0], PAGE);
    memcpy(window + READ_ONLY * PAGE, s->pages[1], PAGE);
}

static void protect_window(unsigned n, bool all)
{
    uint8_t *window = windows + n * WINDOW_PAGES * PAGE;

    for (unsigned i = 0; i < WINDOW_PAGES; i++) {
        mprotect(window + i * PAGE, PAGE,
                 all || i == WRITABLE ? PROT_READ | PROT_WRITE
                 : i == READ_ONLY     ? PROT_READ
                                      : PROT_NONE);
    }
}

static void on_signal(int number, siginfo_t *info, void *opaque)
{
    ucontext_t *context = opaque;
    greg_t *regs = context->uc_mcontext.gregs;

    if (regs[REG_RIP] < CODE || regs[REG_RIP] >= CODE + REGION) {
        signal(number, SIG_DFL);
        return;
    }
    faults->vector = (uint64_t)regs[REG_TRAPNO] + 1;
    faults->rip = (uint64_t)regs[REG_RIP];
    faults->error = (uint64_t)regs[REG_ERR];
    faults->cr2 = (uint64_t)regs[REG_CR2];
    regs[REG_RIP] = (greg_t)faults->resume;
}

static __attribute__((noinline)) void run_native(Snippet *s, unsigned n)
{
    void *entry = code;
    State *from = &states[2 * n], *to = &states[2 * n + 1];
    uint32_t from_address = state_address(2 * n), to_address = state_address(2 * n + 1);
    uint8_t *p;

    if (snippet_source.around_pages) {
        protect_window(n, true);
        fill_window(s, windows + n * WINDOW_PAGES * PAGE);
        protect_window(n, false);
    }
    s->before.gpr[BASE] = choose_base(n);
    *from = s->before;
    *to = s->before;
    s->at = CODE;
    p = emit(code, s, from_address, to_address, to_address + (uint32_t)offsetof(State, host_rsp),
             &s->at);
    *p++ = 0xc3;
    /* The x87 and vector state of the caller does not matter here; callee-saved registers do. */
    __asm__ volatile(
        "push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15; sub $8, %%rsp; "
        "call *%0; cld; add $8, %%rsp; pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop "
        "%%rbx"
        : "+a"(entry)
        :
        : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm1",
          "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
          "xmm13", "xmm14", "xmm15");
    s->after = *to;
    if (snippet_source.around_pages) {
        memcpy(s->written, windows + (n * WINDOW_PAGES + WRITABLE) * PAGE, PAGE);
    }
}

static void make_snippet(Snippet *s, unsigned n)
{
    do {
        unsigned count = snippet_source.only ? 1 : 1 + snippet_below(MAX_INSNS);

        memset(s, 0, sizeof *s);
        snippet_randomize(&s->before);
        randomize_pages(s);
        /* What is undefined may not decide anything. */
        while (s->count < count && !s->undefined) {
            snippet_add_insn(s);
        }
        run_native(s, n);
    } while (snippet_host_differs(s));
}

/* Exceptions go on where the snippet's results are stored; they leave all registers alone. */
static void prepare_faults(X86Rig *rig)
{
    const uint64_t segment = UINT64_C(0x00209b0000000000);

    memcpy(rig->ram + GDT + 8, &segment, 8);
    rig->cpu->gdtr = (X86TableRegister){ GDT, 15 };
    rig->cpu->idtr = (X86TableRegister){ IDT, 16 * 32 - 1 };
    for (unsigned vector = 0; vector < 32; vector++) {
        uint32_t stub = STUBS + 64 * vector;
        uint64_t gate =
            (stub & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(stub >> 16) << 48;
        bool has_error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
        uint8_t *p = rig->ram + stub;

        memcpy(rig->ram + IDT + 16 * vector, &gate, 8);
        if (has_error) { /* pop [error] */
            p = snippet_put(snippet_put(p, 0x25048f, 3), FAULT(error), 4);
        }
        p = set_word(p, FAULT(vector), vector + 1);
        if (vector == X86_PF) { /* push rax; mov rax, cr2; mov [cr2], rax; pop rax */
            p = move(snippet_put(p, 0xd0200f50, 4), X86_RAX, FAULT(cr2), true);
            *p++ = 0x58;
        }
        p = snippet_put(snippet_put(p, 0x25048f, 3), FAULT(rip), 4);
        p = snippet_put(p, UINT64_C(0x1024648b48), 5);              /* mov rsp, [rsp + 16] */
        snippet_put(snippet_put(p, 0x2524ff, 3), FAULT(resume), 4); /* jmp [resume] */
    }
}

static unsigned run_guest(X86Rig *rig, unsigned count)
{
    uint8_t *p = rig->ram + CODE;
    State *guest_states = (State *)(void *)(rig->ram + STATES);
    unsigned bad = 0;

    for (unsigned n = 0; n < count; n++) {
        uint32_t to = state_address(2 * n + 1);

        guest_states[2 * n] = snippets[n].before;
        guest_states[2 * n + 1] = snippets[n].before;
        if (snippet_source.around_pages) {
            fill_window(&snippets[n], rig->ram + window_address(n));
        }
        snippets[n].guest_at = CODE + (uint64_t)(p - (rig->ram + CODE));
        p = emit(p, &snippets[n], state_address(2 * n), to,
                 to + (uint32_t)offsetof(State, host_rsp), &snippets[n].guest_at);
    }
    *p++ = 0xba; /* mov edx, END; out dx, al */
    p = snippet_put(p, X86_RIG_END_PORT, 4);
    *p++ = 0xee;
    *p++ = 0xeb; /* jmp . */
    *p++ = 0xfe;
    address_space_dirty(rig->cpu->vcpu.memory, CODE, (uint64_t)(p - (rig->ram + CODE)));
    rig->cpu->gpr[X86_RSP] = CODE - 4096;
    x86_rig_run(rig, CODE);
    for (unsigned n = 0; n < count; n++) {
        const State *got = &guest_states[2 * n + 1];
        const uint8_t *window = rig->ram + window_address(n);

        snippet_even_out(&snippets[n], got);
        if (snippet_differs(&snippets[n], got) ||
            (snippet_source.around_pages && snippet_pages_differ(&snippets[n], got, window))) {
            snippet_print(&snippets[n]);
            bad++;
        }
    }
    return bad;
}

/* The window in pages of 4 KiB, all else in such of 2 MiB. */
static void map_window(X86Rig *rig)
{
    uint64_t *tables = (uint64_t *)(void *)(rig->ram + TABLES);

    tables[512] = (TABLES + 0x2000) | 7;
    for (unsigned i = 0; i < 512; i++) {
        tables[1024 + i] = (uint64_t)i << 21 | 7 | 1 << 7;
    }
    tables[1024 + (WINDOW >> 21)] = (TABLES + 0x3000) | 7;
    for (unsigned i = 0; i < SNIPPETS * WINDOW_PAGES; i++) {
        unsigned kind = i % WINDOW_PAGES;

        tables[1536 + (WINDOW >> 12 & 511) + i] = (WINDOW + i * PAGE) | (kind == WRITABLE    ? 7u
                                                                         : kind == READ_ONLY ? 5u
                                                                                             : 0u);
    }
    rig->cpu->cr0 |= CR0_WP;
}

static void *map(uint32_t address, size_t bytes)
{
    void *p = mmap((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    g_assert(p == (void *)(uintptr_t)address);
    return p;
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP };
    bool interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    unsigned rounds, seed, bad = 0;
    X86Rig rig;

    argv += interp;
    argc -= interp;
    snippet_source.around_pages = argc > 1 && strcmp(argv[1], "-p") == 0;
    argv += snippet_source.around_pages;
    argc -= snippet_source.around_pages;
    rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    snippet_source.only = argc > 3 ? argv[3] : NULL;
    if (snippet_source.only && !snippet_is_there()) {
        fprintf(stderr, "%s: not an instruction of 64-bit mode\n", snippet_source.only);
        return 2;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        struct sigaction action = { .sa_sigaction = on_signal,
                                    .sa_flags = SA_ONSTACK | SA_SIGINFO };
        static uint8_t stack[65536];
        stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };

        sigaltstack(&alternative, NULL);
        sigaction(signals[i], &action, NULL);
    }
    if (g_getenv("KASO_LOG")) {
        log_set_items(g_getenv("KASO_LOG"), NULL);
    }
    snippet_source.judge = x86_host();
    code = map(CODE, REGION);
    faults = map(FAULTS, FAULTS_BYTES);
    g_assert(sizeof(State) % 16 == 0 && offsetof(State, data) % 16 == 0 &&
             offsetof(State, vectors) % 16 == 0);
    states = map(STATES, 2 * SNIPPETS * sizeof(State) + 4096);
    windows = map(WINDOW, SNIPPETS * WINDOW_PAGES * PAGE);
    for (unsigned n = 0; n < SNIPPETS; n++) {
        protect_window(n, false);
    }
    if (!x86_rig_open(&rig, "max,cmpccxadd=off", interp)) {
        return 77;
    }
    x86_rig_long_mode(&rig);
    if (snippet_source.around_pages) {
        map_window(&rig);
    }
    prepare_faults(&rig);
    snippet_source.features = rig.cpu;
    snippet_source.with_sse = x86_has(rig.cpu, X86_FEATURE_SSE2);
    snippet_source.with_avx = x86_has(rig.cpu, X86_FEATURE_AVX);
    for (unsigned round = 0; round < rounds && bad < 20; round++) {
        snippet_source.rng = g_rand_new_with_seed(seed + round);
        for (unsigned n = 0; n < SNIPPETS; n++) {
            make_snippet(&snippets[n], n);
        }
        bad += run_guest(&rig, SNIPPETS);
        g_rand_free(snippet_source.rng);
    }
    printf("%u snippets, %u disagree\n", rounds * SNIPPETS, bad);
    x86_rig_close(&rig);
    return bad != 0;
}
