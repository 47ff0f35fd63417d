/* SPDX-License-Identifier: MIT */
/* What the bits of an x86 processor's registers are called (SDM 1, 3.4.3 and 10.2.3; 3, 2.5 and 2.2.1). */
#include "target/i386/registers.h"

/* clang-format off */
#define BIT_AT(name, at) { name, at, at }

static const RegisterField eflags[] = {
    BIT_AT("CF", 0), BIT_AT("PF", 2), BIT_AT("AF", 4), BIT_AT("ZF", 6), BIT_AT("SF", 7),
    BIT_AT("TF", 8), BIT_AT("IF", 9), BIT_AT("DF", 10), BIT_AT("OF", 11), { "IOPL", 12, 13 },
    BIT_AT("NT", 14), BIT_AT("RF", 16), BIT_AT("VM", 17), BIT_AT("AC", 18), BIT_AT("VIF", 19),
    BIT_AT("VIP", 20), BIT_AT("ID", 21), { NULL },
};

static const RegisterField mxcsr[] = {
    BIT_AT("IE", 0), BIT_AT("DE", 1), BIT_AT("ZE", 2), BIT_AT("OE", 3), BIT_AT("UE", 4),
    BIT_AT("PE", 5), BIT_AT("DAZ", 6), BIT_AT("IM", 7), BIT_AT("DM", 8), BIT_AT("ZM", 9),
    BIT_AT("OM", 10), BIT_AT("UM", 11), BIT_AT("PM", 12), { "RC", 13, 14 }, BIT_AT("FZ", 15), BIT_AT("MM", 17), { NULL },
};

static const RegisterField cr0[] = {
    BIT_AT("PE", 0), BIT_AT("MP", 1), BIT_AT("EM", 2), BIT_AT("TS", 3), BIT_AT("ET", 4),
    BIT_AT("NE", 5), BIT_AT("WP", 16), BIT_AT("AM", 18), BIT_AT("NW", 29), BIT_AT("CD", 30),
    BIT_AT("PG", 31), { NULL },
};

static const RegisterField cr3[] = {
    { "PCID", 0, 11 }, { "PDBR", 12, 51 }, { NULL },
};

static const RegisterField cr4[] = {
    BIT_AT("VME", 0), BIT_AT("PVI", 1), BIT_AT("TSD", 2), BIT_AT("DE", 3), BIT_AT("PSE", 4),
    BIT_AT("PAE", 5), BIT_AT("MCE", 6), BIT_AT("PGE", 7), BIT_AT("PCE", 8), BIT_AT("OSFXSR", 9),
    BIT_AT("OSXMMEXCPT", 10), BIT_AT("UMIP", 11), BIT_AT("LA57", 12), BIT_AT("VMXE", 13),
    BIT_AT("SMXE", 14), BIT_AT("FSGSBASE", 16), BIT_AT("PCIDE", 17), BIT_AT("OSXSAVE", 18),
    BIT_AT("SMEP", 20), BIT_AT("SMAP", 21), BIT_AT("PKE", 22), BIT_AT("CET", 23), BIT_AT("PKS", 24),
    { NULL },
};

static const RegisterField efer[] = {
    BIT_AT("SCE", 0), BIT_AT("LME", 8), BIT_AT("LMA", 10), BIT_AT("NXE", 11), BIT_AT("SVME", 12),
    BIT_AT("FFXSR", 14), { NULL },
};

static const RegisterField dr6[] = {
    BIT_AT("B0", 0), BIT_AT("B1", 1), BIT_AT("B2", 2), BIT_AT("B3", 3), BIT_AT("BD", 13),
    BIT_AT("BS", 14), BIT_AT("BT", 15), { NULL },
};

static const RegisterField dr7[] = {
    BIT_AT("L0", 0), BIT_AT("G0", 1), BIT_AT("L1", 2), BIT_AT("G1", 3), BIT_AT("L2", 4),
    BIT_AT("G2", 5), BIT_AT("L3", 6), BIT_AT("G3", 7), BIT_AT("GD", 13), { "RW0", 16, 17 },
    { "LEN0", 18, 19 }, { "RW1", 20, 21 }, { "LEN1", 22, 23 }, { "RW2", 24, 25 },
    { "LEN2", 26, 27 }, { "RW3", 28, 29 }, { "LEN3", 30, 31 }, { NULL },
};

static const RegisterField xcr0[] = {
    BIT_AT("X87", 0), BIT_AT("SSE", 1), BIT_AT("AVX", 2), BIT_AT("PKRU", 9), { NULL },
};

static const RegisterField apic_base[] = {
    BIT_AT("BSP", 8), BIT_AT("EXTD", 10), BIT_AT("EN", 11), { "BASE", 12, 51 }, { NULL },
};

const RegisterFields x86_register_fields[] = {
    { "eflags", eflags }, { "mxcsr", mxcsr }, { "cr0", cr0 }, { "cr3", cr3 }, { "cr4", cr4 },
    { "efer", efer }, { "dr6", dr6 }, { "dr7", dr7 }, { "xcr0", xcr0 }, { "apic_base", apic_base },
    { NULL },
};
/* clang-format on */
