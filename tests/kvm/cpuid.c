/* SPDX-License-Identifier: MIT */
/* What CPUID says, a line for each leaf that says anything: leaf.subleaf EAX EBX ECX EDX. */
#include "tests/kvm/bare.h"

void take(Frame *frame)
{
    show("vector", frame->vector);
    out8(EXIT_PORT, 0x11);
}

static void print_leaf(uint32_t leaf, uint32_t subleaf)
{
    uint32_t out[4];

    cpuid(leaf, subleaf, out);
    if (!(out[0] | out[1] | out[2] | out[3])) {
        return;
    }
    print_hex(leaf, 8);
    print(".");
    print_hex(subleaf, 2);
    for (unsigned i = 0; i < 4; i++) {
        print(" ");
        print_hex(out[i], 8);
    }
    end_line();
}

static unsigned subleaves(uint32_t leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0x8000001d ? 4 : leaf == 0xd ? 12 : 1;
}

void main(void)
{
    static const uint32_t bases[] = { 0, 0x40000000, 0x80000000 };
    uint32_t out[4];

    set_idt();
    for (unsigned i = 0; i < sizeof bases / sizeof *bases; i++) {
        cpuid(bases[i], 0, out);
        for (uint32_t leaf = bases[i]; leaf <= bases[i] + (out[0] & 0x3f); leaf++) {
            for (unsigned n = 0; n < subleaves(leaf); n++) {
                print_leaf(leaf, n);
            }
        }
    }
    end_program();
}
