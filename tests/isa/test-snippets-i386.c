/* SPDX-License-Identifier: MIT */
/*
 * Random 32-bit instructions of user mode, in an installed qemu-i386 and on a bare machine in protected mode: the same
 * bytes at the same addresses. Integers and memory, with string instructions and the stack; what computes with floating point
 * is compared with the host in 64-bit mode.
 * usage: test-snippets-i386 [-i] QEMU ROUNDS SEED     (-i: on the interpreter)
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/decode.h"
#include "target/i386/vector.h"
#include "tests/isa/rig-x86.h"
#include "tests/isa/snippet-i386.h"
#include "tests/isa/x86-undefined.h"

#define CODE   UINT32_C(0x2000000)
#define FAULTS UINT32_C(0x1f00000)
#define STATES UINT32_C(0x3000000)
enum {
    IDT = FAULTS + 0x1000,
    GDT = FAULTS + 0x2000,
    STUBS = FAULTS + 0x3000,
    STACK = FAULTS + 0x8000
};
enum { SNIPPETS = 64, MAX_INSNS = 5, DATA_BYTES = 1024, BASE = X86_RBX, CODE_BYTES = 0x40000 };

typedef struct {
    uint32_t gpr[8], flags, pad[3];
    uint8_t xmm[8][16];
    uint8_t data[DATA_BYTES];
} State;

/* At FAULTS. */
typedef struct {
    uint32_t resume, vector, ignored;
} Faults;
#define FAULT(member) (FAULTS + (uint32_t)offsetof(Faults, member))

typedef struct {
    State before, after;
    uint8_t insns[MAX_INSNS * 40];
    unsigned size, count;
    bool last;  /* the registers of addresses have changed */
    bool frame; /* the last instruction is LEAVE or ENTER, whose frame EBP says */
    bool faulted;
    uint32_t undefined; /* flags that some instruction leaves undefined */
    uint32_t at;        /* its program */
} Snippet;

static GRand *rng;
static X86Cpu *features;
static Snippet snippets[SNIPPETS];

static uint32_t below(uint32_t n)
{
    return snippet_below(rng, n);
}

static uint32_t random32(void)
{
    return snippet_random32(rng);
}

static bool is_excluded(const X86Encoding *e)
{
    /* clang-format off */
    static const char *const patterns[] = {
        /* control transfer */
        "j*", "loop*", "call*", "ret*", "iret", "int*", "ud", "syscall*", "sysret*", "sysenter*", "sysexit*",
        /* system, selectors */
        "in", "out", "ins", "outs", "cli", "sti", "hlt", "clts", "?msw", "s?dt", "l?dt", "str", "ltr",
        "l??_instruction", "ver?", "mov_*_?r", "mov_*_segment", "push_segment", "pop_segment", "l?s", "arpl", "inv*",
        "wbinvd", "monitor", "mwait", "vmrun", "vmmcall", "vmload", "vmsave", "stgi", "clgi", "skinit", "clac", "stac", "rsm", "swapgs", "popf", "pushf",
        /* what depends on the machine */
        "rd*", "wr*", "cpuid*", "xgetbv", "xsetbv", "clzero", "xsave*", "xrstor*",
        /* floating point: compared with the host; MASKMOV goes by rdi */
        "f*", "x87*", "emms", "ldmxcsr", "stmxcsr", "cvt*", "comis*", "ucomis*", "round*", "dpp*", "rcp*", "rsqrt*",
        "maskmov*",
        /* what some versions of QEMU do not have: SHA, GFNI, MOVDIRI */
        "sha*", "gf2p8*", "movnti",
        /* what some do otherwise: CF of BLSI, flags of CMPXCHG8B, operands of EXTRQ with immediates */
        "bls*", "cmpxchg8b", "extrq*", "insertq*", NULL,
    };
    /* clang-format on */

    /* AVX is compared with the host, in compatibility mode. */
    if (e->flags & X86_O64 || (e->vector && e->vector->flags & X86_VECTOR_FP) ||
        (e->flags & X86_VEX && e->feature != X86_FEATURE_BMI1 && e->feature != X86_FEATURE_BMI2)) {
        return true;
    }
    if (snippet_matches(e, patterns)) {
        return true;
    }
    /* MMX registers are the x87's. */
    for (unsigned i = 0; i < G_N_ELEMENTS(e->operands); i++) {
        if (e->operands[i].kind == X86_OPERAND_P || e->operands[i].kind == X86_OPERAND_Q ||
            e->operands[i].kind == X86_OPERAND_N) {
            return true;
        }
    }
    return false;
}

static uint8_t *put(uint8_t *p, uint64_t value, unsigned bytes)
{
    return snippet_put(p, value, bytes);
}

/* ModRM and what follows it, aligned for vectors, since not every version of QEMU looks at that; memory is [ebx + disp] or [ebx + disp32] with a SIB byte. */
static uint8_t *put_modrm(uint8_t *p, const X86Encoding *e)
{
    uint32_t aligned = e->vector || below(2) ? ~UINT32_C(15) : UINT32_MAX;
    bool reg = e->mod == X86_MOD_REG || (e->mod == X86_MOD_ANY && below(2));
    unsigned field = e->reg == X86_ANY ? below(8) : e->reg;

    if (reg) {
        *p++ = (uint8_t)(0xc0 | field << 3 | (e->rm == X86_ANY ? below(8) : e->rm));
        return p;
    }
    if (below(3) == 0) {
        *p++ = (uint8_t)(0x44 | field << 3); /* a SIB byte without an index */
        *p++ = 0x20 | BASE;
        return put(p, below(128) & aligned, 1);
    }
    *p++ = (uint8_t)(0x80 | field << 3 | BASE);
    return put(p, below(DATA_BYTES / 2 - 64) & aligned, 4);
}

static bool random_bytes(uint8_t *p)
{
    unsigned n = below(x86_encoding_count);
    const X86Encoding *e = &x86_encodings[n];

    if (is_excluded(e)) {
        return false;
    }
    if (snippet_is_string(e->name) && below(2)) {
        *p++ = below(2) ? 0xf3 : 0xf2;
    }
    p = snippet_put_opcode(rng, p, n);
    if (e->flags & X86_MODRM) {
        p = put_modrm(p, e);
    }
    put(p, random32(), 4);
    put(p + 4, random32(), 4);
    return true;
}

/* Whether a memory operand is by ebx. *last: ebx or esp is written, perhaps. */
static bool is_safe(const X86Insn *insn, bool *last)
{
    static const char *const movers[] = { "popa", "leave", "enter" };

    unsigned reg;

    *last = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(movers); i++) {
        *last |= strcmp(insn->encoding->name, movers[i]) == 0;
    }
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const X86Operand *o = &insn->operands[i];
        bool gpr = o->kind == X86_OPERAND_E || o->kind == X86_OPERAND_G ||
                   o->kind == X86_OPERAND_R || o->kind == X86_OPERAND_B ||
                   o->kind == X86_OPERAND_Z || o->kind == X86_OPERAND_GPR;

        if (o->memory && (o->kind == X86_OPERAND_O || insn->base != BASE)) {
            return false;
        }
        /* A byte of PEXTRB and the like is never AH. */
        reg = o->reg + (o->high && insn->map >= X86_MAP_0F38 ? 4u : 0);
        *last |= gpr && !o->memory && (reg == BASE || reg == X86_RSP);
    }
    return !(insn->has_modrm && insn->mod != 3 && insn->base != BASE) && insn->address_bytes == 4;
}

/* BT and the like with a register reach anywhere. Double shifts of 16 bits by more are undefined. */
static bool is_unfit(const X86Insn *insn)
{
    const char *name = insn->encoding->name;

    if (strcmp(name, "bswap") == 0 && insn->operand_bytes == 2) {
        return true;
    }
    /* An alias of TEST, and prefetches of registers, which QEMU does not know. */
    if ((strcmp(name, "test") == 0 && insn->has_modrm && insn->reg == 1 && insn->opcode >= 0xf0) ||
        (insn->map == X86_MAP_0F && insn->opcode == 0x18 && insn->mod == 3)) {
        return true;
    }
    return (insn->operand_count == 2 && insn->operands[0].memory &&
            insn->operands[1].kind == X86_OPERAND_G && g_str_has_prefix(name, "bt")) ||
           ((strcmp(name, "shld") == 0 || strcmp(name, "shrd") == 0) &&
            insn->operands[0].bytes == 2);
}

/* lea esi, [ebx + n]; lea edi, [ebx + n]; mov ecx, n: for string instructions. */
static unsigned put_pointers(uint8_t *bytes)
{
    uint8_t *p = bytes;

    p = put(put(p, 0xb38d, 2), below(DATA_BYTES / 4), 4);
    p = put(put(p, 0xbb8d, 2), below(DATA_BYTES / 4), 4);
    *p++ = 0xb9;
    p = put(p, below(24), 4);
    return (unsigned)(p - bytes);
}

static void add_insn(Snippet *s)
{
    uint8_t page[TCG_PAGE_SIZE] = { 0 };
    TcgCode source = { .page = page };
    X86Insn insn;

    do {
        while (!random_bytes(page)) {
        }
    } while (x86_decode(&insn, features, &source, 0, features->mode) != X86_DECODED ||
             is_excluded(insn.encoding) || !is_safe(&insn, &s->last) || is_unfit(&insn));
    if (snippet_is_string(insn.encoding->name)) {
        s->size += put_pointers(s->insns + s->size);
    }
    s->frame = !strcmp(insn.encoding->name, "leave") || !strcmp(insn.encoding->name, "enter");
    memcpy(s->insns + s->size, page, insn.length);
    s->size += insn.length;
    s->count++;
    s->undefined |= x86_undefined_flags(&insn);
}

static void make_snippet(Snippet *s, unsigned n)
{
    unsigned count = 1 + below(MAX_INSNS);
    uint32_t data = STATES + n * (uint32_t)sizeof(State) + (uint32_t)offsetof(State, data);

    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < sizeof s->before / 4; i++) {
        put((uint8_t *)&s->before + 4 * i, random32(), 4);
    }
    s->before.gpr[BASE] = data + DATA_BYTES / 4;
    s->before.gpr[X86_RSP] = data + DATA_BYTES / 8 + (below(4) ? below(16) * 4 : below(64));
    s->before.gpr[X86_RBP] = data + DATA_BYTES / 2 + below(64) * 4;
    s->before.flags = (random32() & EFLAGS_STATUS) | 2;
    /* What is undefined may not decide anything. */
    while (s->count < count && !s->undefined && !s->last) {
        add_insn(s);
    }
}

/* Programs. */

/* mov [address], imm */
static uint8_t *set_word(uint8_t *p, uint32_t address, uint32_t value)
{
    return put(put(put(p, 0x05c7, 2), address, 4), value, 4);
}

/* mov between a register and [address] */
static uint8_t *move(uint8_t *p, unsigned reg, uint32_t address, bool store)
{
    *p++ = store ? 0x89 : 0x8b;
    *p++ = (uint8_t)(0x05 | reg << 3);
    return put(p, address, 4);
}

static uint8_t *move_vector(uint8_t *p, unsigned reg, uint32_t address, bool store)
{
    *p++ = 0x0f;
    *p++ = store ? 0x11 : 0x10;
    *p++ = (uint8_t)(0x05 | reg << 3);
    return put(p, address, 4);
}

/* int 80: eax, ebx, ecx, edx */
static uint8_t *system_call(uint8_t *p, uint32_t number, uint32_t a, uint32_t b, uint32_t c)
{
    *p++ = 0xb8 + X86_RAX;
    p = put(p, number, 4);
    *p++ = 0xb8 + X86_RBX;
    p = put(p, a, 4);
    *p++ = 0xb8 + X86_RCX;
    p = put(p, b, 4);
    *p++ = 0xb8 + X86_RDX;
    p = put(p, c, 4);
    return put(p, 0x80cd, 2);
}

/* The state is read from where the results go. start: what is at CODE. */
static uint8_t *emit(uint8_t *p, Snippet *s, unsigned n, const uint8_t *start)
{
    uint32_t state = STATES + n * (uint32_t)sizeof(State);
    uint32_t flags = state + (uint32_t)offsetof(State, flags);
    uint8_t *resume;

    s->at = CODE + (uint32_t)(p - start);
    p = set_word(p, FAULT(vector), 0);
    resume = p = set_word(p, FAULT(resume), 0);
    for (unsigned i = 0; i < 8; i++) {
        p = move_vector(p, i, state + (uint32_t)offsetof(State, xmm) + 16 * i, false);
    }
    p = put(put(p, 0xbc, 1), STACK, 4);                 /* mov esp, STACK */
    p = put(put(put(p, 0x35ff, 2), flags, 4), 0x9d, 1); /* push [flags]; popf */
    for (unsigned i = 0; i < 8; i++) {
        p = move(p, i, state + 4 * i, false);
    }
    memcpy(p, s->insns, s->size);
    p += s->size;
    put(resume - 4, CODE + (uint32_t)(p - start), 4);
    for (unsigned i = 0; i < 8; i++) {
        p = move(p, i, state + 4 * i, true);
    }
    p = put(put(p, 0xbc, 1), STACK, 4);
    p = put(put(put(p, 0x9c, 1), 0x058f, 2), flags, 4); /* pushf; pop [flags] */
    for (unsigned i = 0; i < 8; i++) {
        p = move_vector(p, i, state + (uint32_t)offsetof(State, xmm) + 16 * i, true);
    }
    return put(p, 0xfc, 1); /* cld */
}

/* In QEMU: a program that writes each state when it is there. A signal ends it; it is started again behind that. */

static void *program_header(Elf32_Phdr *h, uint32_t address, uint32_t offset, uint32_t bytes,
                            uint32_t memory)
{
    *h = (Elf32_Phdr){ .p_type = PT_LOAD,
                       .p_offset = offset,
                       .p_vaddr = address,
                       .p_paddr = address,
                       .p_filesz = bytes,
                       .p_memsz = memory,
                       .p_flags = PF_R | PF_W | PF_X,
                       .p_align = 4096 };
    return h + 1;
}

enum { FILE_CODE = 0x1000, FILE_STATES = FILE_CODE + CODE_BYTES };

static void write_program(const char *path, const uint8_t *code, uint32_t entry)
{
    size_t size = FILE_STATES + SNIPPETS * sizeof(State);
    g_autofree uint8_t *file = g_malloc0(size);
    Elf32_Ehdr *header = (Elf32_Ehdr *)(void *)file;
    Elf32_Phdr *segments = (Elf32_Phdr *)(void *)(file + sizeof *header);
    g_autoptr(GError) error = NULL;

    *header = (Elf32_Ehdr){ .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32,
                                         ELFDATA2LSB, EV_CURRENT },
                            .e_type = ET_EXEC,
                            .e_machine = EM_386,
                            .e_version = EV_CURRENT,
                            .e_entry = entry,
                            .e_phoff = sizeof *header,
                            .e_ehsize = sizeof *header,
                            .e_phentsize = sizeof *segments,
                            .e_phnum = 3 };
    segments = program_header(segments, FAULTS, 0, 0, STACK - FAULTS);
    segments = program_header(segments, CODE, FILE_CODE, CODE_BYTES, CODE_BYTES);
    program_header(segments, STATES, FILE_STATES, SNIPPETS * sizeof(State),
                   SNIPPETS * sizeof(State));
    memcpy(file + FILE_CODE, code, CODE_BYTES);
    for (unsigned n = 0; n < SNIPPETS; n++) {
        memcpy(file + FILE_STATES + n * sizeof(State), &snippets[n].before, sizeof(State));
    }
    g_file_set_contents(path, (const char *)file, (gssize)size, &error);
    g_assert_no_error(error);
    chmod(path, 0700);
}

/* From snippet `first`; returns the first one that did not end, or SNIPPETS. */
static unsigned run_qemu_from(const char *qemu, const char *path, unsigned first)
{
    char *argv[] = { (char *)qemu, (char *)"-cpu", (char *)"max", (char *)path, NULL };
    g_autoptr(GError) error = NULL;
    unsigned n = first;
    int out;

    g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                             &out, NULL, &error);
    g_assert_no_error(error);
    for (size_t done = 0; n < SNIPPETS;) {
        ssize_t got = read(out, (uint8_t *)&snippets[n].after + done, sizeof(State) - done);

        if (got <= 0) {
            break;
        }
        done += (size_t)got;
        if (done == sizeof(State)) {
            done = 0;
            n++;
        }
    }
    close(out);
    return n;
}

static void run_qemu(const char *qemu, const char *path)
{
    g_autofree uint8_t *code = g_malloc0(CODE_BYTES);
    uint8_t *p = code;

    for (unsigned n = 0; n < SNIPPETS; n++) {
        p = emit(p, &snippets[n], n, code);
        p = system_call(p, 4, 1, STATES + n * (uint32_t)sizeof(State), sizeof(State));
    }
    p = system_call(p, 1, 0, 0, 0);
    g_assert_cmpuint(p - code, <, CODE_BYTES);
    for (unsigned n = 0; n < SNIPPETS; n++) {
        write_program(path, code, snippets[n].at);
        n = run_qemu_from(qemu, path, n);
        if (n < SNIPPETS) {
            snippets[n].faulted = true;
        }
    }
}

/* On the machine. */

static void prepare_machine(X86Rig *rig)
{
    const uint64_t segments[] = { 0, UINT64_C(0x00cf9b000000ffff), UINT64_C(0x00cf93000000ffff) };
    const uint32_t rights =
        X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_B;
    X86Cpu *cpu = rig->cpu;

    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, 16, 0, UINT32_MAX, rights);
    }
    x86_set_segment(cpu, X86_CS, 8, 0, UINT32_MAX, rights | X86_SEG_CODE);
    memcpy(rig->ram + GDT, segments, sizeof segments);
    cpu->gdtr = (X86TableRegister){ GDT, sizeof segments - 1 };
    cpu->idtr = (X86TableRegister){ IDT, 8 * 32 - 1 };
    for (unsigned vector = 0; vector < 32; vector++) {
        uint32_t stub = STUBS + 64 * vector;
        uint64_t gate =
            (stub & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(stub >> 16) << 48;
        uint8_t *p = rig->ram + stub;

        memcpy(rig->ram + IDT + 8 * vector, &gate, 8);
        p = set_word(p, FAULT(vector), vector + 1);
        put(put(p, 0x25ff, 2), FAULT(resume), 4); /* jmp [resume] */
    }
    x86_update_context(cpu);
}

/* vectors[n]: of the exception of snippet n, plus 1. */
static void run_machine(X86Rig *rig, uint32_t *vectors)
{
    uint8_t *start = rig->ram + CODE, *p = start;

    for (unsigned n = 0; n < SNIPPETS; n++) {
        memcpy(rig->ram + STATES + n * sizeof(State), &snippets[n].before, sizeof(State));
        p = emit(p, &snippets[n], n, start);
        p = move(p, X86_RAX, FAULT(vector), false);
        p = move(p, X86_RAX, STATES + SNIPPETS * (uint32_t)sizeof(State) + 4 * n, true);
    }
    *p++ = 0xba; /* mov edx, END; out dx, al; jmp . */
    p = put(p, X86_RIG_END_PORT, 4);
    p = put(p, 0xfeebee, 3);
    address_space_dirty(rig->cpu->vcpu.memory, CODE, (uint64_t)(p - start));
    x86_rig_run(rig, CODE);
    memcpy(vectors, rig->ram + STATES + SNIPPETS * sizeof(State), 4 * SNIPPETS);
}

static void print_snippet(const Snippet *s)
{
    printf("   ");
    for (unsigned i = 0; i < s->size; i++) {
        printf(" %02x", s->insns[i]);
    }
    printf("\n");
}

static bool differs(const Snippet *s, const State *got, uint32_t vector)
{
    uint32_t mask = EFLAGS_STATUS & ~s->undefined;
    bool bad = false;

    /* The machine has memory where the process has none: such frames are no faults there. */
    if (s->faulted && !vector && s->frame) {
        return false;
    }
    if (s->faulted || vector) {
        if (s->faulted != (vector != 0)) {
            printf("  exception: qemu %s, got vector %d\n", s->faulted ? "has one" : "none",
                   (int)vector - 1);
        }
        return s->faulted != (vector != 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        if (s->after.gpr[i] != got->gpr[i]) {
            printf("  r%u: qemu %08x got %08x (before %08x)\n", i, s->after.gpr[i], got->gpr[i],
                   s->before.gpr[i]);
            bad = true;
        }
        if (memcmp(s->after.xmm[i], got->xmm[i], 16)) {
            const uint64_t *q = (const uint64_t *)(const void *)s->after.xmm[i];
            const uint64_t *g = (const uint64_t *)(const void *)got->xmm[i];

            printf("  xmm%u: qemu %016" PRIx64 "%016" PRIx64 " got %016" PRIx64 "%016" PRIx64 "\n",
                   i, q[1], q[0], g[1], g[0]);
            bad = true;
        }
    }
    if ((s->after.flags ^ got->flags) & mask) {
        printf("  flags: qemu %03x got %03x (before %03x, undefined %03x)\n",
               s->after.flags & EFLAGS_STATUS, got->flags & EFLAGS_STATUS,
               s->before.flags & EFLAGS_STATUS, s->undefined);
        bad = true;
    }
    for (unsigned i = 0; i < DATA_BYTES; i++) {
        if (s->after.data[i] != got->data[i]) {
            printf("  data[%u]: qemu %02x got %02x\n", i, s->after.data[i], got->data[i]);
            return true;
        }
    }
    return bad;
}

int main(int argc, char **argv)
{
    bool interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    unsigned rounds, seed, bad = 0, faults = 0;
    g_autofree char *path = NULL;
    X86Rig rig;

    argv += interp;
    argc -= interp;
    if (argc < 4 || access(argv[1], X_OK)) {
        printf("no qemu-i386 is installed\n");
        return 77;
    }
    rounds = (unsigned)atoi(argv[2]);
    seed = (unsigned)atoi(argv[3]);
    if (!x86_rig_open(&rig, "max", interp)) {
        return 77;
    }
    prepare_machine(&rig);
    features = rig.cpu;
    path = g_strdup_printf("%s/kaso-snippets-%d", g_get_tmp_dir(), (int)getpid());
    for (unsigned round = 0; round < rounds && bad < 20; round++) {
        uint32_t vectors[SNIPPETS];

        rng = g_rand_new_with_seed(seed + round);
        for (unsigned n = 0; n < SNIPPETS; n++) {
            make_snippet(&snippets[n], n);
        }
        run_qemu(argv[1], path);
        run_machine(&rig, vectors);
        for (unsigned n = 0; n < SNIPPETS; n++) {
            const State *got = (const State *)(const void *)(rig.ram + STATES) + n;

            faults += snippets[n].faulted;
            if (differs(&snippets[n], got, vectors[n])) {
                print_snippet(&snippets[n]);
                bad++;
            }
        }
        g_rand_free(rng);
    }
    unlink(path);
    printf("%u snippets, %u of them with exceptions, %u disagree\n", rounds * SNIPPETS, faults,
           bad);
    x86_rig_close(&rig);
    return bad != 0;
}
