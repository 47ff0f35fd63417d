/* SPDX-License-Identifier: MIT */
#include "tests/isa/snippet-x86.h"
#include "tests/isa/x86-undefined.h"

SnippetSource snippet_source;

uint32_t snippet_below(uint32_t n)
{
    return (uint32_t)g_rand_int_range(snippet_source.rng, 0, (gint32)n);
}

/* Zeros, infinities, NaNs of both kinds, denormals, integers and their neighbours. */
static uint32_t random_float(void)
{
    static const uint32_t special[] = { 0,          1,          0x7fffff,   0x800000,   0x3f800000,
                                        0x3f000000, 0x3fc00000, 0x40200000, 0x4effffff, 0x4f000000,
                                        0x5f000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000,
                                        0x7fc12345, 0x7fa12345 };

    return special[snippet_below(G_N_ELEMENTS(special))] | snippet_below(2) << 31;
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

    return special[snippet_below(G_N_ELEMENTS(special))] | (uint64_t)snippet_below(2) << 63;
}

uint64_t snippet_random64(void)
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
    uint64_t value =
        (uint64_t)g_rand_int(snippet_source.rng) << 32 | g_rand_int(snippet_source.rng);

    switch (snippet_below(5)) {
    case 0:
        return special[snippet_below(G_N_ELEMENTS(special))];
    case 2:
        return (uint64_t)random_float() << 32 | random_float();
    case 3:
        return random_double();
    case 1:
        return value >> snippet_below(64);
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
    if (snippet_source.only) {
        return strcmp(snippet_source.only, e->name) != 0 || e->flags & X86_I64;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(excluded); i++) {
        if (strcmp(excluded[i], e->name) == 0) {
            return true;
        }
    }
    /* Whether and how a masked store faults for bytes that it leaves alone is the processor's affair. */
    return e->flags & X86_I64 || (snippet_source.around_pages && strcmp(e->name, "maskmov") == 0);
}

bool snippet_is_there(void)
{
    for (unsigned i = 0; i < x86_encoding_count; i++) {
        if (!is_excluded(&x86_encodings[i])) {
            return true;
        }
    }
    return false;
}

uint8_t *snippet_put(uint8_t *p, uint64_t value, unsigned bytes)
{
    memcpy(p, &value, bytes);
    return p + bytes;
}

/* ModRM and what follows it, for an encoding; memory is [rbx + disp]. */
static uint8_t *put_modrm(uint8_t *p, const X86Encoding *e)
{
    bool reg = e->mod == X86_MOD_REG || (e->mod == X86_MOD_ANY && snippet_below(2));
    unsigned field = e->reg == X86_ANY ? snippet_below(8) : e->reg;

    if (reg) {
        *p++ = (uint8_t)(0xc0 | field << 3 | (e->rm == X86_ANY ? snippet_below(8) : e->rm));
        return p;
    }
    if (snippet_source.around_pages || snippet_below(3) == 0) {
        *p++ = (uint8_t)(0x40 | field << 3 | BASE);
        return snippet_put(p, snippet_below(128), 1);
    }
    *p++ = (uint8_t)(0x80 | field << 3 | BASE);
    return snippet_put(p, snippet_below(DATA_BYTES / 2 - 512) & (snippet_below(2) ? ~15u : ~0u), 4);
}

static uint8_t *put_vex(uint8_t *p, const X86Encoding *e, unsigned map, unsigned opcode)
{
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 1, [X86_PREFIX_F3] = 2, [X86_PREFIX_F2] = 3
    };
    unsigned w = e->vex_w == X86_ANY ? snippet_below(2) : e->vex_w,
             l = e->vex_l == X86_ANY ? snippet_below(2) : e->vex_l;
    unsigned pp = e->prefix < G_N_ELEMENTS(prefixes) ? prefixes[e->prefix] : 0;

    unsigned high_rm = snippet_below(3) == 0, vvvv = 15;

    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = e->operands[i].kind;

        vvvv = kind == X86_OPERAND_H || kind == X86_OPERAND_B ? snippet_below(16) : vvvv;
    }
    *p++ = 0xc4;
    *p++ = (uint8_t)(snippet_below(2) << 7 | 0x40 | !high_rm << 5 | map);
    *p++ = (uint8_t)(w << 7 | vvvv << 3 | l << 2 | pp);
    *p++ = (uint8_t)opcode;
    return p;
}

static unsigned random_bytes(uint8_t *bytes)
{
    static const uint8_t prefixes[] = {
        [X86_PREFIX_66] = 0x66, [X86_PREFIX_F3] = 0xf3, [X86_PREFIX_F2] = 0xf2
    };
    unsigned n = snippet_below(x86_encoding_count), map = 0, opcode = 0;
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
        if (e->prefix == X86_PREFIX_ANY && snippet_below(5) == 0) {
            *p++ = 0x66;
        }
        if (e->prefix >= X86_PREFIX_66 && e->prefix <= X86_PREFIX_F2) {
            *p++ = prefixes[e->prefix];
        }
        if ((e->flags & X86_LOCK) && snippet_below(6) == 0) {
            *p++ = 0xf0;
        }
        if (snippet_below(2)) {
            *p++ = (uint8_t)(0x40 | (snippet_below(16) & ~(snippet_below(3) ? 1u : 0u)));
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
    snippet_put(p, snippet_random64(), 8);
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
    snippet_put(bytes + sizeof lea, snippet_below(DATA_BYTES / 2), 4);
    return sizeof lea + 4;
}

void snippet_add_insn(Snippet *s)
{
    uint8_t page[TCG_PAGE_SIZE] = { 0 };
    TcgCode source = { .page = page };
    X86Insn insn;

    do {
        while (!random_bytes(page)) {
        }
    } while (x86_decode(&insn, snippet_source.features, &source, 0,
                        snippet_source.features->mode) != X86_DECODED ||
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
    x87->control = 0x40 | snippet_below(4) << 10 | (snippet_below(3) ? 3 : snippet_below(4)) << 8 |
                   (snippet_below(4) ? 0x3f : snippet_below(64));
    x87->status = snippet_below(8) << 11 | (snippet_below(0x48) << 8 & 0x4700) |
                  (snippet_below(64) & x87->control & 0x3f);
    for (unsigned i = 0; i < 8; i++) {
        x87->tags |= (snippet_below(4) ? 0 : 3u) << 2 * i;
        x87->st[i].significand = snippet_random64() | (snippet_below(8) ? UINT64_C(1) << 63 : 0);
        x87->st[i].sign_exponent =
            (uint16_t)(snippet_below(2) << 15 |
                       (snippet_below(2) ? exponents[snippet_below(G_N_ELEMENTS(exponents))]
                                         : 0x3ff0 + snippet_below(80)));
        if (snippet_below(4) == 0) {
            x87->st[i].significand = snippet_below(2) ? UINT64_C(1) << 63 : 0;
            x87->st[i].sign_exponent &= x87->st[i].significand ? 0xffff : 0x8000;
        }
    }
}

void snippet_randomize(State *s)
{
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = snippet_random64();
    }
    s->gpr[BASE] = 0;
    s->flags = (snippet_random64() & EFLAGS_STATUS) | 2;
    for (unsigned i = 0; i < 16; i++) {
        for (unsigned k = 0; k < 32; k += 8) {
            uint64_t value = snippet_random64();

            memcpy(s->vectors[i] + k, &value, 8);
        }
    }
    randomize_x87(&s->x87);
    s->mxcsr =
        (snippet_below(4) ? 0x3f : snippet_below(64)) << 7 |
        (snippet_below(2) ? snippet_below(4) << 13 | snippet_below(2) << 6 | snippet_below(2) << 15
                          : 0) |
        (snippet_below(2) ? snippet_below(64) : 0);
    for (unsigned i = 0; i < DATA_BYTES; i += 8) {
        uint64_t value = snippet_random64();

        memcpy(s->data + i, &value, 8);
    }
}
