/* SPDX-License-Identifier: MIT */
/*
 * Random 64-bit instructions of user mode, on this host and on a bare machine: the same bytes at the same addresses.
 * Each snippet loads all registers and flags, executes a few instructions and stores what has become of them, also when
 * one of them has faulted.
 * usage: test-snippets-x86 [-i] [-p] ROUNDS SEED [NAME]     (-i: on the interpreter; -p: memory operands are around the borders of
 * pages that are there, that are not, and that are read-only; NAME: this instruction only)
 */
#include <capstone/capstone.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/log.h"
#include "target/i386/decode.h"
#include "tests/isa/host-x86.h"
#include "tests/isa/rig-x86.h"
#include "tests/isa/x86-undefined.h"

#define CODE   UINT32_C(0x2000000)
#define DATA   UINT32_C(0x2800000)
#define STATES UINT32_C(0x3000000)
#define FAULTS UINT32_C(0x1f00000)
#define WINDOW UINT32_C(0x2c00000)
/* Each snippet has a window of pages: none, writable, none, read-only. */
enum { PAGE = 4096, WINDOW_PAGES = 4, WRITABLE = 1, READ_ONLY = 3, TABLES = 0x3ff0000 };
enum {
    IDT = FAULTS + 0x1000,
    GDT = FAULTS + 0x2000,
    STUBS = FAULTS + 0x3000,
    FAULTS_BYTES = 0x4000
};
enum { REGION = 0x800000, DATA_BYTES = 4096, SNIPPETS = 64, MAX_INSNS = 6 };
enum { BASE = X86_RBX };

/* As FNSAVE stores it with 32-bit operands. */
typedef struct __attribute__((packed)) {
    uint32_t control, status, tags, fip, fcs, fdp, fds;
    struct __attribute__((packed)) {
        uint64_t significand;
        uint16_t sign_exponent;
    } st[8];
} X87Image;

/* What a snippet starts with and leaves; at absolute addresses below 2 GiB. */
typedef struct {
    uint64_t gpr[16];
    uint64_t flags;
    uint64_t host_rsp;
    uint64_t vector;     /* of an exception, plus 1; 0: none */
    uint64_t rip;        /* of the instruction that raised it */
    uint64_t error, cr2; /* of a page fault */
    uint32_t mxcsr;
    uint32_t pad[3];
    X87Image x87;
    uint8_t pad2[4];
    uint8_t vectors[16][32];
    uint8_t data[DATA_BYTES];
} State;

/* At FAULTS: what snippets and what ends them tell each other. */
typedef struct {
    uint64_t resume, vector, rip, error, cr2;
} Faults;
#define FAULT(member) (FAULTS + (uint32_t)offsetof(Faults, member))

typedef struct {
    State before, after;
    uint8_t insns[MAX_INSNS * 22];
    unsigned size, count;
    struct {
        unsigned offset;
        X86Insn decoded;
    } insn[MAX_INSNS];
    uint8_t pages[2][PAGE],
        written[PAGE];     /* what the window's pages had, and what the first has then */
    uint64_t at, guest_at; /* addresses of insns: on the host, on the machine */
    uint64_t undefined; /* flags that some instruction leaves undefined, and no later one defines */
} Snippet;

static uint8_t *code;
static State *states; /* 2 for each snippet */
static Faults *faults;
static GRand *rng;
static X86Cpu *features;
static Snippet snippets[SNIPPETS];
static const char *only;
static bool around_pages;
static uint8_t *windows;
static X86Host judge;

static uint32_t below(uint32_t n)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)n);
}

/* Zeros, infinities, NaNs of both kinds, denormals, integers and their neighbours. */
static uint32_t random_float(void)
{
    static const uint32_t special[] = { 0,          1,          0x7fffff,   0x800000,   0x3f800000,
                                        0x3f000000, 0x3fc00000, 0x40200000, 0x4effffff, 0x4f000000,
                                        0x5f000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000,
                                        0x7fc12345, 0x7fa12345 };

    return special[below(G_N_ELEMENTS(special))] | below(2) << 31;
}

static uint64_t random_double(void)
{
    static const uint64_t special[] = {
        0,
        1,
        0xfffffffffffff,
        0x10000000000000,
        0x3ff0000000000000,
        0x3fe0000000000000,
        0x3ff8000000000000,
        0x4004000000000000,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x43e0000000000000,
        0x7fefffffffffffff,
        0x7ff0000000000000,
        0x7ff0000000000001,
        0x7ff8000000000000,
        0x7ff8123456789abc,
        0x7ff4123456789abc,
        0x36a0000000000000,
        0x47efffffe0000000,
        0x3810000000000000,
    };

    return special[below(G_N_ELEMENTS(special))] | (uint64_t)below(2) << 63;
}

static uint64_t random64(void)
{
    static const uint64_t special[] = { 0,
                                        1,
                                        0x7f,
                                        0x80,
                                        0xff,
                                        0x7fff,
                                        0x8000,
                                        0xffff,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        INT64_MAX,
                                        (uint64_t)INT64_MIN,
                                        UINT64_MAX };
    uint64_t value = (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);

    switch (below(5)) {
    case 0:
        return special[below(G_N_ELEMENTS(special))];
    case 2:
        return (uint64_t)random_float() << 32 | random_float();
    case 3:
        return random_double();
    case 1:
        return value >> below(64);
    default:
        return value;
    }
}

/* Instructions that cannot be compared like this: control transfer, system, what depends on the machine. */
static const char *const excluded[] = {
    "rdpkru",
    "wrpkru",
    "jcc",
    "jmp",
    "jmp_indirect",
    "call_near",
    "call_indirect",
    "ret",
    "ret_release",
    "jcxz",
    "loop",
    "loope",
    "loopne",
    "jmp_far",
    "call_far",
    "jmp_far_indirect",
    "call_far_indirect",
    "retf",
    "retf_release",
    "iret",
    "int3",
    "int1",
    "int",
    "into",
    "ud",
    "push_operand",
    "pop_register",
    "pop_memory",
    "enter",
    "leave",
    "pushf",
    "popf",
    "in",
    "out",
    "ins",
    "outs",
    "movs",
    "stos",
    "lods",
    "cmps",
    "scas",
    "cli",
    "sti",
    "hlt",
    "mov_from_cr",
    "mov_to_cr",
    "mov_from_dr",
    "mov_to_dr",
    "clts",
    "smsw",
    "lmsw",
    "sgdt",
    "sidt",
    "lgdt",
    "lidt",
    "sldt",
    "str",
    "lldt",
    "ltr",
    "lar_instruction",
    "lsl_instruction",
    "verr",
    "verw",
    "mov_from_segment",
    "mov_to_segment",
    "push_segment",
    "pop_segment",
    "lss",
    "lfs",
    "lgs",
    "swapgs",
    "rdmsr",
    "wrmsr",
    "rdtsc",
    "rdtscp",
    "rdpid",
    "rdpmc",
    "cpuid_instruction",
    "xgetbv",
    "xsetbv",
    "rdrand",
    "rdseed",
    "invlpg",
    "invpcid",
    "wbinvd",
    "monitor",
    "mwait",
    "syscall_instruction",
    "sysret_instruction",
    "sysenter_instruction",
    "sysexit_instruction",
    "clac",
    "stac",
    "rsm",
    "rdfsbase",
    "rdgsbase",
    "wrfsbase",
    "wrgsbase",
    "clzero",
    "fxsave",
    "fxrstor",
    "xsave",
    "xrstor",
    "xsaveopt",
    "xsavec",
    "xsaves",
    "xrstors",
    "fnsave",
    "frstor",
    "fnstenv",
    "fldenv",
    "vgather_by_32",
    "vgather_by_64",
    "fninit",
    "fstpnce",
    "ldmxcsr",
    "stmxcsr",
    "vmrun",
    "vmmcall",
    "vmload",
    "vmsave",
    "stgi",
    "clgi",
    "skinit",
    "invlpga",
};

static bool is_excluded(const X86Encoding *e)
{
    /* What 64-bit mode does not have may be a part of something else there: 40 to 4F are prefixes. */
    if (only) {
        return strcmp(only, e->name) != 0 || e->flags & X86_I64;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(excluded); i++) {
        if (strcmp(excluded[i], e->name) == 0) {
            return true;
        }
    }
    /* Whether and how a masked store faults for bytes that it leaves alone is the processor's affair. */
    return e->flags & X86_I64 || (around_pages && strcmp(e->name, "maskmov") == 0);
}

static bool is_there(void)
{
    for (unsigned i = 0; i < x86_encoding_count; i++) {
        if (!is_excluded(&x86_encodings[i])) {
            return true;
        }
    }
    return false;
}

static uint8_t *put(uint8_t *p, uint64_t value, unsigned bytes)
{
    memcpy(p, &value, bytes);
    return p + bytes;
}

/* ModRM and what follows it, for an encoding; memory is [rbx + disp]. */
static uint8_t *put_modrm(uint8_t *p, const X86Encoding *e)
{
    bool reg = e->mod == X86_MOD_REG || (e->mod == X86_MOD_ANY && below(2));
    unsigned field = e->reg == X86_ANY ? below(8) : e->reg;

    if (reg) {
        *p++ = (uint8_t)(0xc0 | field << 3 | (e->rm == X86_ANY ? below(8) : e->rm));
        return p;
    }
    if (around_pages || below(3) == 0) {
        *p++ = (uint8_t)(0x40 | field << 3 | BASE);
        return put(p, below(128), 1);
    }
    *p++ = (uint8_t)(0x80 | field << 3 | BASE);
    return put(p, below(DATA_BYTES / 2 - 512) & (below(2) ? ~15u : ~0u), 4);
}

static uint8_t *put_vex(uint8_t *p, const X86Encoding *e, unsigned map, unsigned opcode)
{
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 1, [X86_PREFIX_F3] = 2, [X86_PREFIX_F2] = 3
    };
    unsigned w = e->vex_w == X86_ANY ? below(2) : e->vex_w,
             l = e->vex_l == X86_ANY ? below(2) : e->vex_l;
    unsigned pp = e->prefix < G_N_ELEMENTS(prefixes) ? prefixes[e->prefix] : 0;

    unsigned high_rm = below(3) == 0, vvvv = 15;

    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = e->operands[i].kind;

        vvvv = kind == X86_OPERAND_H || kind == X86_OPERAND_B ? below(16) : vvvv;
    }
    *p++ = 0xc4;
    *p++ = (uint8_t)(below(2) << 7 | 0x40 | !high_rm << 5 | map);
    *p++ = (uint8_t)(w << 7 | vvvv << 3 | l << 2 | pp);
    *p++ = (uint8_t)opcode;
    return p;
}

static unsigned random_bytes(uint8_t *bytes)
{
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 0x66, [X86_PREFIX_F3] = 0xf3, [X86_PREFIX_F2] = 0xf2
    };
    unsigned n = below(x86_encoding_count), map = 0, opcode = 0;
    const X86Encoding *e = &x86_encodings[n];
    uint8_t *p = bytes;

    if (is_excluded(e)) {
        return 0;
    }
    for (map = 0; map < X86_MAPS - 1 && n >= x86_first_encoding[map][256]; map++) {
    }
    while (opcode < 255 && n >= x86_first_encoding[map][opcode + 1]) {
        opcode++;
    }
    if (e->flags & X86_VEX) {
        p = put_vex(p, e, map, opcode);
    } else {
        if (e->prefix == X86_PREFIX_ANY && below(5) == 0) {
            *p++ = 0x66;
        }
        if (e->prefix >= X86_PREFIX_66 && e->prefix <= X86_PREFIX_F2) {
            *p++ = prefixes[e->prefix];
        }
        if ((e->flags & X86_LOCK) && below(6) == 0) {
            *p++ = 0xf0;
        }
        if (below(2)) {
            *p++ = (uint8_t)(0x40 | (below(16) & ~(below(3) ? 1u : 0u)));
        }
        if (map) {
            *p++ = 0x0f;
        }
        if (map >= X86_MAP_0F38) {
            *p++ = map == X86_MAP_0F38 ? 0x38 : 0x3a;
        }
        *p++ = (uint8_t)opcode;
    }
    if (e->flags & X86_MODRM) {
        p = put_modrm(p, e);
    }
    put(p, random64(), 8);
    return 1;
}

/* Whether an instruction leaves rbx and rsp alone, and its memory operand is by rbx. */
static bool is_safe(const X86Insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        const X86Operand *o = &insn->operands[i];
        bool gpr = o->kind == X86_OPERAND_E || o->kind == X86_OPERAND_G ||
                   o->kind == X86_OPERAND_R || o->kind == X86_OPERAND_B ||
                   o->kind == X86_OPERAND_Z || o->kind == X86_OPERAND_GPR;

        if (o->memory && (o->kind == X86_OPERAND_O || insn->base != BASE)) {
            return false;
        }
        /* A byte register of a vector instruction is never AH. */
        unsigned reg = o->reg + (o->high && insn->encoding->vector ? 4u : 0);

        if (gpr && !o->memory && (reg == BASE || reg == X86_RSP)) {
            return false;
        }
    }
    return !(insn->has_modrm && insn->mod != 3 && insn->base != BASE);
}

/* The result of double shifts of 16 bits by more than 16 is undefined. */
static bool is_undefined(const X86Insn *insn)
{
    return insn->encoding->name[0] == 's' && insn->encoding->name[1] == 'h' &&
           insn->encoding->name[3] == 'd' && insn->operands[0].bytes == 2;
}

/* BT and the like with a register reach anywhere. */
static bool reaches_far(const X86Insn *insn)
{
    return insn->operand_count == 2 && insn->operands[0].memory &&
           insn->operands[1].kind == X86_OPERAND_G && insn->encoding->name[0] == 'b' &&
           insn->encoding->name[1] == 't';
}

/* lea rdi, [rbx + disp]: where MASKMOVDQU stores. */
static unsigned put_address(uint8_t *bytes)
{
    static const uint8_t lea[] = { 0x48, 0x8d, 0xbb };

    memcpy(bytes, lea, sizeof lea);
    put(bytes + sizeof lea, below(DATA_BYTES / 2), 4);
    return sizeof lea + 4;
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
             !is_safe(&insn) || reaches_far(&insn) || is_undefined(&insn));
    if (strcmp(insn.encoding->name, "maskmov") == 0) {
        s->size += put_address(s->insns + s->size);
    }
    memcpy(s->insns + s->size, page, insn.length);
    s->insn[s->count].offset = s->size;
    s->insn[s->count].decoded = insn;
    s->size += insn.length;
    s->count++;
    s->undefined |= x86_undefined_flags(&insn);
}

/* Exceptions that are not masked are not pending before. */
static void randomize_x87(X87Image *x87)
{
    static const uint16_t exponents[] = { 0,      1,      0x3ffe, 0x3fff, 0x4000,
                                          0x400e, 0x401e, 0x403e, 0x7ffe, 0x7fff };

    memset(x87, 0, sizeof *x87);
    x87->control =
        0x40 | below(4) << 10 | (below(3) ? 3 : below(4)) << 8 | (below(4) ? 0x3f : below(64));
    x87->status = below(8) << 11 | (below(0x48) << 8 & 0x4700) | (below(64) & x87->control & 0x3f);
    for (unsigned i = 0; i < 8; i++) {
        x87->tags |= (below(4) ? 0 : 3u) << 2 * i;
        x87->st[i].significand = random64() | (below(8) ? UINT64_C(1) << 63 : 0);
        x87->st[i].sign_exponent =
            (uint16_t)(below(2) << 15 |
                       (below(2) ? exponents[below(G_N_ELEMENTS(exponents))] : 0x3ff0 + below(80)));
        if (below(4) == 0) {
            x87->st[i].significand = below(2) ? UINT64_C(1) << 63 : 0;
            x87->st[i].sign_exponent &= x87->st[i].significand ? 0xffff : 0x8000;
        }
    }
}

static void randomize(State *s)
{
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = random64();
    }
    s->gpr[BASE] = 0;
    s->flags = (random64() & EFLAGS_STATUS) | 2;
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned k = 0; k < 32; k += 8) {
            uint64_t value = random64();

            memcpy(s->vectors[i] + k, &value, 8);
        }
    }
    randomize_x87(&s->x87);
    s->mxcsr = (below(4) ? 0x3f : below(64)) << 7 |
               (below(2) ? below(4) << 13 | below(2) << 6 | below(2) << 15 : 0) |
               (below(2) ? below(64) : 0);
    for (unsigned i = 0; i < DATA_BYTES; i += 8) {
        uint64_t value = random64();

        memcpy(s->data + i, &value, 8);
    }
}

/* mov between a register and [absolute] */
static uint8_t *move(uint8_t *p, unsigned reg, uint32_t address, bool store)
{
    *p++ = (uint8_t)(0x48 | (reg >> 3) << 2);
    *p++ = store ? 0x89 : 0x8b;
    *p++ = (uint8_t)(0x04 | (reg & 7) << 3);
    *p++ = 0x25;
    return put(p, address, 4);
}

static bool with_sse, with_avx;

/* [v]movups */
static uint8_t *move_vector(uint8_t *p, unsigned reg, uint32_t address, bool store)
{
    if (with_avx) {
        *p++ = 0xc5;
        *p++ = reg < 8 ? 0xfc : 0x7c;
    } else {
        *p++ = (uint8_t)(0x40 | (reg >> 3) << 2);
        *p++ = 0x0f;
    }
    *p++ = store ? 0x11 : 0x10;
    *p++ = (uint8_t)(0x04 | (reg & 7) << 3);
    *p++ = 0x25;
    return put(p, address, 4);
}

/* ldmxcsr (/2), stmxcsr (/3) at an absolute address */
static uint8_t *move_mxcsr(uint8_t *p, unsigned digit, uint32_t address)
{
    *p++ = 0x0f;
    *p++ = 0xae;
    *p++ = (uint8_t)(digit << 3 | 4);
    *p++ = 0x25;
    return put(p, address, 4);
}

/* frstor (/4), fnsave (/6) at an absolute address */
static uint8_t *move_x87(uint8_t *p, unsigned digit, uint32_t address)
{
    *p++ = 0xdd;
    *p++ = (uint8_t)(digit << 3 | 4);
    *p++ = 0x25;
    return put(p, address, 4);
}

/* mov qword [absolute], imm */
static uint8_t *set_word(uint8_t *p, uint32_t address, uint32_t value)
{
    p = put(p, 0x2504c748, 4);
    p = put(p, address, 4);
    return put(p, value, 4);
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
    for (unsigned i = 0; with_sse && i < 16; i++) {
        p = move_vector(p, i, to + (uint32_t)offsetof(State, vectors) + 32 * i, true);
    }
    p = with_sse ? move_mxcsr(p, 3, to + (uint32_t)offsetof(State, mxcsr)) : p;
    p = with_sse ? move_x87(p, 6, to + (uint32_t)offsetof(State, x87)) : p;
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
    for (unsigned i = 0; with_sse && i < 16; i++) {
        p = move_vector(p, i, from + (uint32_t)offsetof(State, vectors) + 32 * i, false);
    }
    p = with_sse ? move_x87(p, 4, from + (uint32_t)offsetof(State, x87)) : p;
    p = with_sse ? move_mxcsr(p, 2, from + (uint32_t)offsetof(State, mxcsr)) : p;
    for (unsigned i = 0; i < 16; i++) {
        p = i == X86_RSP ? p : move(p, i, from + 8 * i, false);
    }
    memcpy(p, s->insns, s->size);
    put(resume - 4, *address + (uint64_t)(p - start) + s->size, 4);
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
    uint64_t border = window_address(n) + (1 + below(WINDOW_PAGES)) * PAGE;

    return around_pages ? border - below(200)
                        : state_address(2 * n + 1) + offsetof(State, data) + DATA_BYTES / 4;
}

static void randomize_pages(Snippet *s)
{
    for (unsigned i = 0; around_pages && i < sizeof s->pages; i += 8) {
        uint64_t value = random64();

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

    if (around_pages) {
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
    if (around_pages) {
        memcpy(s->written, windows + (n * WINDOW_PAGES + WRITABLE) * PAGE, PAGE);
    }
}

static const X86Insn *insn_at(const Snippet *s, uint64_t offset)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->insn[i].offset == offset) {
            return &s->insn[i].decoded;
        }
    }
    return NULL;
}

static uint64_t operand_address(const Snippet *s, const X86Insn *insn)
{
    return s->before.gpr[BASE] + (uint64_t)(int64_t)insn->displacement;
}

/* Whether all of an instruction's memory is in pages of the window that can be written. */
static bool is_writable(const Snippet *s, const X86Insn *insn)
{
    uint64_t start = operand_address(s, insn), end = start + insn->operands[0].bytes - 1;

    return (start - WINDOW) / PAGE % WINDOW_PAGES == WRITABLE &&
           (end - WINDOW) / PAGE % WINDOW_PAGES == WRITABLE;
}

/* A store that cannot be done was skipped. */
static bool host_skipped_store(const Snippet *s)
{
    uint64_t end = s->after.vector ? s->after.rip - s->at : s->size;

    for (unsigned i = 0; around_pages && i < s->count && s->insn[i].offset < end; i++) {
        const X86Insn *insn = &s->insn[i].decoded;

        if (x86_host_may_skip_store(&judge, insn) && !is_writable(s, insn)) {
            return true;
        }
    }
    return false;
}

/* The host is no judge: it may lack the instruction that it calls undefined, or is known to be of another kind. */
static bool host_differs(const Snippet *s)
{
    const X86Insn *insn = s->after.vector ? insn_at(s, s->after.rip - s->at) : NULL;

    if (insn && s->after.vector == X86_UD + 1) {
        return insn->encoding->feature != X86_FEATURE_NONE;
    }
    return host_skipped_store(s) ||
           (insn && s->after.vector == X86_GP + 1 && operand_address(s, insn) % 16 &&
            x86_host_wants_aligned(&judge, insn));
}

static void make_snippet(Snippet *s, unsigned n)
{
    do {
        unsigned count = only ? 1 : 1 + below(MAX_INSNS);

        memset(s, 0, sizeof *s);
        randomize(&s->before);
        randomize_pages(s);
        /* What is undefined may not decide anything. */
        while (s->count < count && !s->undefined) {
            add_insn(s);
        }
        run_native(s, n);
    } while (host_differs(s));
}

static void print_code(const Snippet *s)
{
    cs_insn *insns;
    csh handle;
    size_t count;

    cs_open(CS_ARCH_X86, CS_MODE_64, &handle);
    count = cs_disasm(handle, s->insns, s->size, 0, 0, &insns);
    for (size_t i = 0; i < count; i++) {
        printf("    ");
        for (unsigned k = 0; k < insns[i].size; k++) {
            printf("%02x ", insns[i].bytes[k]);
        }
        printf(" %s %s\n", insns[i].mnemonic, insns[i].op_str);
    }
    printf("    ");
    for (size_t i = count ? insns[count - 1].address + insns[count - 1].size : 0; i < s->size;
         i++) {
        printf("%02x ", s->insns[i]);
    }
    printf("\n");
    cs_free(insns, count);
    cs_close(&handle);
}

static bool has_insn(const Snippet *s, const char *name)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (strcmp(s->insn[i].decoded.encoding->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * AMD's processors have these only of what raised an exception that is not masked. With Intel the opcode is valid only
 * then, the data pointer may be, and is undefined after an instruction without a memory operand (SDM vol. 1, 8.1.8, 8.1.9).
 */
static bool pointers_differ(const Snippet *s, const X87Image *host, const X87Image *got)
{
    enum { ES = 0x80 };
    const X86Insn *last = insn_at(s, host->fip - (uint32_t)s->at);
    bool raised = host->status & ES && !has_insn(s, "fldcw");
    bool opcode = !judge.intel || raised;
    bool fdp =
        !judge.intel || ((raised || !judge.fdp_of_exceptions) && last && x86_has_memory(last));

    return host->fip &&
           (host->fip - (uint32_t)s->at != got->fip - (uint32_t)s->guest_at ||
            (opcode && (host->fcs ^ got->fcs) >> 16) || (fdp && host->fdp != got->fdp));
}

static bool x87_differs(const Snippet *s, const X87Image *host, const X87Image *got,
                        const X87Image *before)
{
    bool bad = false;

    if (pointers_differ(s, host, got)) {
        printf("  x87: host fip %08x fdp %08x opcode %03x, got %08x %08x %03x\n",
               host->fip - (uint32_t)s->at, host->fdp, host->fcs >> 16,
               got->fip - (uint32_t)s->guest_at, got->fdp, got->fcs >> 16);
        bad = true;
    }
    if (((host->control ^ got->control) | (host->status ^ got->status) | (host->tags ^ got->tags)) &
        0xffff) {
        printf("  x87: host %04x %04x %04x got %04x %04x %04x (before %04x %04x %04x)\n",
               host->control & 0xffff, host->status & 0xffff, host->tags & 0xffff,
               got->control & 0xffff, got->status & 0xffff, got->tags & 0xffff, before->control,
               before->status, before->tags);
        bad = true;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (memcmp(&host->st[i], &got->st[i], 10)) {
            printf("  st%u: host %04x %016" PRIx64 " got %04x %016" PRIx64
                   " (before %04x %016" PRIx64 ")\n",
                   i, host->st[i].sign_exponent, host->st[i].significand, got->st[i].sign_exponent,
                   got->st[i].significand, before->st[i].sign_exponent, before->st[i].significand);
            bad = true;
        }
    }
    return bad;
}

static void print_vector(const char *name, const uint8_t *bytes)
{
    printf("%s ", name);
    for (unsigned i = 32; i-- > 0;) {
        printf("%02x%s", bytes[i], i == 16 ? "_" : "");
    }
}

/* The same registers, of which another one is the top. */
static void set_top(X87Image *x87, unsigned top)
{
    const X87Image before = *x87;
    unsigned by = top - (before.status >> 11);

    for (unsigned i = 0; i < 8; i++) {
        x87->st[i] = before.st[(i + by) & 7];
    }
    x87->status = (before.status & ~(7u << 11)) | top << 11;
}

/* Whether all is in the operand of an instruction, and in the same page. */
static bool is_element(const Snippet *s, const X86Insn *insn, uint64_t a, uint64_t b)
{
    uint64_t start = operand_address(s, insn), bytes = insn->vex_l ? 32 : 16;

    return a / PAGE == b / PAGE && a - start < bytes && b - start < bytes;
}

static void even_out_page_fault(State *host, const Snippet *s, const X86Insn *insn,
                                const State *got)
{
    const uint32_t flags = 0x3f; /* of MXCSR */

    if (x86_host_converts_first(&judge, insn)) {
        host->mxcsr &= ~flags | got->mxcsr; /* what both have */
        if (host->vector == X86_XM + 1) {
            host->vector = got->vector;
            host->error = got->error;
            host->cr2 = got->cr2;
        }
    }
    if (x86_host_clears_top(&judge, insn) && !(host->x87.status >> 11 & 7)) {
        set_top(&host->x87, got->x87.status >> 11 & 7);
    }
    if (x86_host_faults_at_any_element(&judge, insn) && is_element(s, insn, host->cr2, got->cr2)) {
        host->cr2 = got->cr2;
    }
}

/* Makes of an exception on the host what a processor of AMD would have made of it. */
static void even_out(Snippet *s, const State *got)
{
    enum { DE = 1 << 1, UE = 1 << 4, PE = 1 << 5, UM = 1 << 11 }; /* of MXCSR */
    const X86Insn *insn = got->vector ? insn_at(s, got->rip - s->guest_at) : NULL;
    State *host = &s->after;

    if (!insn || host->rip - s->at != got->rip - s->guest_at) {
        return;
    }
    if (got->vector == X86_PF + 1) {
        even_out_page_fault(host, s, insn, got);
    }
    if (got->vector == X86_XM + 1 && x86_host_calls_denormals_inexact(&judge, insn) &&
        (host->mxcsr & (DE | UE | UM)) == (DE | UE)) {
        host->mxcsr &= ~(uint32_t)PE | got->mxcsr;
    }
}

/* What pages hold, and what a page fault says: that it was a write is all that the host's own pages have in common with ours. */
static bool pages_differ(const Snippet *s, const State *got, const uint8_t *window)
{
    bool bad = false;

    if (got->vector == X86_PF + 1 &&
        (s->after.cr2 != got->cr2 || (s->after.error ^ got->error) & X86_PF_W)) {
        printf("  page fault: host %" PRIx64 " error %" PRIx64 ", got %" PRIx64 " error %" PRIx64
               "\n",
               s->after.cr2, s->after.error, got->cr2, got->error);
        bad = true;
    }
    for (unsigned i = 0; i < PAGE; i++) {
        if (s->written[i] != window[WRITABLE * PAGE + i]) {
            printf("  page[%x]: host %02x got %02x\n", i, s->written[i],
                   window[WRITABLE * PAGE + i]);
            return true;
        }
    }
    return bad;
}

static bool differs(const Snippet *s, const State *got)
{
    uint64_t mask = EFLAGS_STATUS & ~s->undefined;
    bool bad = false;

    if (s->after.vector != got->vector ||
        (got->vector && s->after.rip - s->at != got->rip - s->guest_at)) {
        printf("  exception: host %d at %" PRIx64 ", got %d at %" PRIx64 "\n",
               (int)s->after.vector - 1, s->after.rip - s->at, (int)got->vector - 1,
               got->rip - s->guest_at);
        return true;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (i != X86_RSP && s->after.gpr[i] != got->gpr[i]) {
            printf("  r%u: host %016" PRIx64 " got %016" PRIx64 " (before %016" PRIx64 ")\n", i,
                   s->after.gpr[i], got->gpr[i], s->before.gpr[i]);
            bad = true;
        }
        if (with_sse && memcmp(s->after.vectors[i], got->vectors[i], with_avx ? 32 : 16)) {
            printf("  ymm%u:", i);
            print_vector(" host", s->after.vectors[i]);
            print_vector(" got", got->vectors[i]);
            print_vector(" (before", s->before.vectors[i]);
            printf(")\n");
            bad = true;
        }
    }
    if (with_sse) {
        bad |= x87_differs(s, &s->after.x87, &got->x87, &s->before.x87);
    }
    if (with_sse && s->after.mxcsr != got->mxcsr) {
        printf("  mxcsr: host %04x got %04x (before %04x)\n", s->after.mxcsr, got->mxcsr,
               s->before.mxcsr);
        bad = true;
    }
    if ((s->after.flags ^ got->flags) & mask) {
        printf("  flags: host %03" PRIx64 " got %03" PRIx64 " (before %03" PRIx64
               ", undefined %03" PRIx64 ")\n",
               s->after.flags & EFLAGS_STATUS, got->flags & EFLAGS_STATUS,
               s->before.flags & EFLAGS_STATUS, s->undefined);
        bad = true;
    }
    for (unsigned i = 0; i < DATA_BYTES; i++) {
        if (s->after.data[i] != got->data[i]) {
            printf("  data[%u]: host %02x got %02x\n", i, s->after.data[i], got->data[i]);
            bad = true;
            break;
        }
    }
    return bad;
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
            p = put(put(p, 0x25048f, 3), FAULT(error), 4);
        }
        p = set_word(p, FAULT(vector), vector + 1);
        if (vector == X86_PF) { /* push rax; mov rax, cr2; mov [cr2], rax; pop rax */
            p = move(put(p, 0xd0200f50, 4), X86_RAX, FAULT(cr2), true);
            *p++ = 0x58;
        }
        p = put(put(p, 0x25048f, 3), FAULT(rip), 4);
        p = put(p, UINT64_C(0x1024648b48), 5);      /* mov rsp, [rsp + 16] */
        put(put(p, 0x2524ff, 3), FAULT(resume), 4); /* jmp [resume] */
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
        if (around_pages) {
            fill_window(&snippets[n], rig->ram + window_address(n));
        }
        snippets[n].guest_at = CODE + (uint64_t)(p - (rig->ram + CODE));
        p = emit(p, &snippets[n], state_address(2 * n), to,
                 to + (uint32_t)offsetof(State, host_rsp), &snippets[n].guest_at);
    }
    *p++ = 0xba; /* mov edx, END; out dx, al */
    p = put(p, X86_RIG_END_PORT, 4);
    *p++ = 0xee;
    *p++ = 0xeb; /* jmp . */
    *p++ = 0xfe;
    address_space_dirty(rig->cpu->vcpu.memory, CODE, (uint64_t)(p - (rig->ram + CODE)));
    rig->cpu->gpr[X86_RSP] = CODE - 4096;
    x86_rig_run(rig, CODE);
    for (unsigned n = 0; n < count; n++) {
        const State *got = &guest_states[2 * n + 1];
        const uint8_t *window = rig->ram + window_address(n);

        even_out(&snippets[n], got);
        if (differs(&snippets[n], got) ||
            (around_pages && pages_differ(&snippets[n], got, window))) {
            print_code(&snippets[n]);
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
    around_pages = argc > 1 && strcmp(argv[1], "-p") == 0;
    argv += around_pages;
    argc -= around_pages;
    rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
    seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    only = argc > 3 ? argv[3] : NULL;
    if (only && !is_there()) {
        fprintf(stderr, "%s: not an instruction of 64-bit mode\n", only);
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
    judge = x86_host();
    code = map(CODE, REGION);
    faults = map(FAULTS, FAULTS_BYTES);
    g_assert(sizeof(State) % 16 == 0 && offsetof(State, data) % 16 == 0 &&
             offsetof(State, vectors) % 16 == 0);
    states = map(STATES, 2 * SNIPPETS * sizeof(State) + 4096);
    windows = map(WINDOW, SNIPPETS * WINDOW_PAGES * PAGE);
    for (unsigned n = 0; n < SNIPPETS; n++) {
        protect_window(n, false);
    }
    if (!x86_rig_open(&rig, "max", interp)) {
        return 77;
    }
    x86_rig_long_mode(&rig);
    if (around_pages) {
        map_window(&rig);
    }
    prepare_faults(&rig);
    features = rig.cpu;
    with_sse = x86_has(rig.cpu, X86_FEATURE_SSE2);
    with_avx = x86_has(rig.cpu, X86_FEATURE_AVX);
    for (unsigned round = 0; round < rounds && bad < 20; round++) {
        rng = g_rand_new_with_seed(seed + round);
        for (unsigned n = 0; n < SNIPPETS; n++) {
            make_snippet(&snippets[n], n);
        }
        bad += run_guest(&rig, SNIPPETS);
        g_rand_free(rng);
    }
    printf("%u snippets, %u disagree\n", rounds * SNIPPETS, bad);
    x86_rig_close(&rig);
    return bad != 0;
}
