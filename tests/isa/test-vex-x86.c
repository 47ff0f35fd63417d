/* SPDX-License-Identifier: MIT */
/*
 * Which VEX encodings exist: every opcode with each prefix, length, W, reg field, with memory and a register, and with
 * VEX.vvvv that means nothing or a register, judged by whether this host takes it for an instruction.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "target/i386/decode.h"
#include "tests/isa/rig-x86.h"

enum { RAX_OR_XMM0 = 0, RCX_OR_XMM1 = 1 };

typedef struct {
    unsigned map, opcode, pp, l, w, reg, vvvv;
    bool memory;
} Case;

/*
 * What this host may have and no model does, or which few hosts have: AVX-VNNI with its later forms, AMX, AVX-IFMA, AVX-NE-CONVERT, SHA-512, SM3, SM4, CMPCCXADD, and AVX-512's
 * mask registers; VPERMQ and VPERMPD without W are taken by some, against the manuals.
 */
static const struct {
    uint8_t map, first, last;
} beyond[] = {
    { 2, 0x49, 0x49 }, { 2, 0x4b, 0x4b }, { 2, 0x5c, 0x5e }, { 2, 0x6c, 0x6c }, { 2, 0x72, 0x72 },
    { 2, 0xb0, 0xb1 }, { 2, 0xb4, 0xb5 }, { 2, 0xcb, 0xcd }, { 2, 0xd2, 0xd3 }, { 2, 0xda, 0xda },
    { 2, 0xe0, 0xef }, { 3, 0xde, 0xde }, { 2, 0x50, 0x53 }, { 1, 0x41, 0x42 }, { 1, 0x44, 0x47 },
    { 1, 0x4a, 0x4b }, { 1, 0x90, 0x93 }, { 1, 0x98, 0x99 }, { 3, 0x30, 0x33 }, { 3, 0x00, 0x01 },
};

static uint8_t *code;
static sigjmp_buf after;

static void on_signal(int number)
{
    siglongjmp(after, number);
}

static bool is_beyond(const Case *c)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(beyond); i++) {
        if (c->map == beyond[i].map && c->opcode >= beyond[i].first &&
            c->opcode <= beyond[i].last) {
            return true;
        }
    }
    return false;
}

/* Gathers are the ones whose memory operand needs a SIB byte. */
static bool has_vsib(const Case *c)
{
    return c->map == 2 && c->opcode >= 0x90 && c->opcode <= 0x93;
}

/* reg and more than that are from 8 on, out of the way of the stack pointer; memory is [rbx]. */
static unsigned encode(const Case *c, uint8_t *to)
{
    uint8_t *p = to;

    *p++ = 0xc4;
    *p++ = (uint8_t)(0x60 | c->map);
    *p++ = (uint8_t)(c->w << 7 | (~c->vvvv & 15) << 3 | c->l << 2 | c->pp);
    *p++ = (uint8_t)c->opcode;
    if (c->map == 1 && c->opcode == 0x77) {
        /* VZEROUPPER, VZEROALL have no ModRM byte. */
    } else if (!c->memory) {
        *p++ = (uint8_t)(0xc0 | c->reg << 3 | X86_RDX);
    } else if (has_vsib(c)) {
        *p++ = (uint8_t)(c->reg << 3 | 4);
        *p++ = 2 << 3 | X86_RBX;
    } else {
        *p++ = (uint8_t)(c->reg << 3 | X86_RBX);
    }
    *p++ = 0x90; /* an immediate, or NOP */
    return (unsigned)(p - to);
}

static __attribute__((noinline)) bool host_has(const Case *c)
{
    static uint8_t memory[64] __attribute__((aligned(64)));
    void *entry = code;
    unsigned size = encode(c, code);
    int number;

    memset(code + size, 0x90, 16);
    code[size + 16] = 0xc3;
    number = sigsetjmp(after, 1);
    if (number == 0) {
        __asm__ volatile("push %%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15; "
                         "sub $8, %%rsp; "
                         "mov %1, %%rbx; vzeroall; call *%0; add $8, %%rsp; "
                         "pop %%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx"
                         : "+a"(entry)
                         : "r"(memory)
                         : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc",
                           "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    }
    __builtin_ia32_ldmxcsr(0x1f80);
    return number != SIGILL;
}

static bool decodes(const X86Cpu *cpu, const Case *c)
{
    uint8_t page[TCG_PAGE_SIZE] = { 0 };
    TcgCode source = { .page = page };
    X86Insn insn;

    encode(c, page);
    return x86_decode(&insn, cpu, &source, 0, cpu->mode) == X86_DECODED;
}

static unsigned check(const X86Cpu *cpu, const Case *c)
{
    static const char *const prefixes[] = { "NP", "66", "F3", "F2" };
    bool host = host_has(c), ours = decodes(cpu, c);

    if (host == ours || (host && is_beyond(c))) {
        return 0;
    }
    printf("map %u %s %02x /%u L%u W%u vvvv %u %s: this host %s, decoder %s\n", c->map,
           prefixes[c->pp], c->opcode, c->reg, c->l, c->w, c->vvvv,
           c->memory ? "memory" : "register", host ? "has it" : "#UD", ours ? "has it" : "#UD");
    return 1;
}

int main(void)
{
    static const int signals[] = { SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTRAP };
    unsigned bad = 0;
    X86Rig rig;

    if (!x86_rig_host_has_vex() || !x86_rig_open(&rig, "max,cmpccxadd=off", true)) {
        return 77;
    }
    x86_rig_long_mode(&rig);
    for (unsigned i = 0; i < G_N_ELEMENTS(signals); i++) {
        sigaction(signals[i], &(struct sigaction){ .sa_handler = on_signal }, NULL);
    }
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert(code != MAP_FAILED);
    for (unsigned n = 0; n < 1u << 20; n++) {
        Case c = { .map = n >> 18,
                   .opcode = n >> 10 & 255,
                   .pp = n >> 8 & 3,
                   .l = n >> 7 & 1,
                   .w = n >> 6 & 1,
                   .reg = n >> 3 & 7,
                   .vvvv = n & 4 ? RCX_OR_XMM1 : RAX_OR_XMM0,
                   .memory = n & 2 };

        bad += c.map > 0 && !(n & 1) && check(rig.cpu, &c);
    }
    printf("%u encodings disagree\n", bad);
    x86_rig_close(&rig);
    return bad != 0;
}
