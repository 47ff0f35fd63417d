/* SPDX-License-Identifier: MIT */
/* The guest's x87 in the host's, and back; and where its last instruction was. */
#include "target/i386/x87-translate.h"

const IrHostCode x87_host_code = { .form = IR_HOST_X87 };

/* What FRSTOR and FNSAVE have in memory in 64-bit and 32-bit protected mode (SDM 1, figure 8-9 and table 8-15). */
typedef struct __attribute__((packed)) {
    struct {
        uint16_t value, reserved;
    } control, status, tags;
    uint32_t pointers[4]; /* the emulator's: of no use */
    struct __attribute__((packed)) {
        uint64_t significand;
        uint16_t sign_exponent;
    } st[8]; /* by distance from the top */
} HostState;
G_STATIC_ASSERT(sizeof(HostState) == 108);

void x87_lend(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    HostState host = { .control.value = cpu->x87.control,
                       .status.value = x87_status_word(cpu),
                       .tags.value = x87_full_tag_word(cpu) };

    for (unsigned i = 0; i < 8; i++) {
        const X87Register *st = &cpu->x87.st[(cpu->x87.top + i) & 7];

        host.st[i].significand = st->significand;
        host.st[i].sign_exponent = st->sign_exponent;
    }
    __asm__ volatile("frstor %0" : : "m"(host));
    env->x87_lent = true;
}

void x87_take_back(X86Cpu *cpu)
{
    HostState host;

    /* It leaves the host's x87 as the ABI wants it. */
    __asm__ volatile("fnsave %0" : "=m"(host));
    cpu->tcg.x87_lent = false;
    x87_set_control_word(cpu, host.control.value);
    x87_set_status_word(cpu, host.status.value);
    x87_set_full_tag_word(cpu, host.tags.value);
    for (unsigned i = 0; i < 8; i++) {
        X87Register *st = &cpu->x87.st[(cpu->x87.top + i) & 7];

        st->significand = host.st[i].significand;
        st->sign_exponent = host.st[i].sign_exponent;
    }
}

void x87_make_pointers(X86Cpu *cpu)
{
    const X87Noted *noted = &cpu->x87_noted;
    bool code64 = x86_code64(cpu);

    if (noted->fop) {
        uint64_t fip = noted->fip - cpu->seg[X86_CS].base;

        cpu->x87.opcode = noted->fop & (X87_NOTED - 1);
        cpu->x87.fip = code64 ? fip : (uint32_t)fip;
        cpu->x87.cs = cpu->seg[X86_CS].selector;
    }
    if (noted->fds) {
        unsigned segment = noted->fds & (X87_NOTED - 1);
        uint64_t base = code64 || segment >= X86_FS ? 0 : cpu->seg[segment].base;

        cpu->x87.fdp = code64 ? noted->fdp - base : (uint32_t)(noted->fdp - base);
        cpu->x87.ds = cpu->seg[segment].selector;
    }
    cpu->x87_noted = (X87Noted){ 0 };
}
