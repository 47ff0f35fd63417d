/* SPDX-License-Identifier: MIT */
/* What the bits of an Arm processor's registers are called (DDI 0487, C5.2, C5.4 and D19.2). */
#include "target/arm/registers.h"

/* clang-format off */
#define BIT_AT(name, at) { name, at, at }

static const RegisterField pstate[] = {
    BIT_AT("SP", 0), { "EL", 2, 3 }, BIT_AT("nRW", 4), BIT_AT("F", 6), BIT_AT("I", 7), BIT_AT("A", 8),
    BIT_AT("D", 9), { "BTYPE", 10, 11 }, BIT_AT("SSBS", 12), BIT_AT("IL", 20), BIT_AT("SS", 21),
    BIT_AT("PAN", 22), BIT_AT("UAO", 23), BIT_AT("DIT", 24), BIT_AT("TCO", 25), BIT_AT("V", 28),
    BIT_AT("C", 29), BIT_AT("Z", 30), BIT_AT("N", 31), { NULL },
};

static const RegisterField fpcr[] = {
    BIT_AT("IOE", 8), BIT_AT("DZE", 9), BIT_AT("OFE", 10), BIT_AT("UFE", 11), BIT_AT("IXE", 12),
    BIT_AT("IDE", 15), BIT_AT("FZ16", 19), { "RMode", 22, 23 }, BIT_AT("FZ", 24), BIT_AT("DN", 25),
    BIT_AT("AHP", 26), { NULL },
};

static const RegisterField fpsr[] = {
    BIT_AT("IOC", 0), BIT_AT("DZC", 1), BIT_AT("OFC", 2), BIT_AT("UFC", 3), BIT_AT("IXC", 4),
    BIT_AT("IDC", 7), BIT_AT("QC", 27), { NULL },
};

static const RegisterField sctlr[] = {
    BIT_AT("M", 0), BIT_AT("A", 1), BIT_AT("C", 2), BIT_AT("SA", 3), BIT_AT("SA0", 4),
    BIT_AT("CP15BEN", 5), BIT_AT("nAA", 6), BIT_AT("ITD", 7), BIT_AT("SED", 8), BIT_AT("UMA", 9),
    BIT_AT("EnRCTX", 10), BIT_AT("EOS", 11), BIT_AT("I", 12), BIT_AT("EnDB", 13), BIT_AT("DZE", 14),
    BIT_AT("UCT", 15), BIT_AT("nTWI", 16), BIT_AT("nTWE", 18), BIT_AT("WXN", 19), BIT_AT("TSCXT", 20),
    BIT_AT("IESB", 21), BIT_AT("EIS", 22), BIT_AT("SPAN", 23), BIT_AT("E0E", 24), BIT_AT("EE", 25),
    BIT_AT("UCI", 26), BIT_AT("EnDA", 27), BIT_AT("nTLSMD", 28), BIT_AT("LSMAOE", 29),
    BIT_AT("EnIB", 30), BIT_AT("EnIA", 31), BIT_AT("MSCEn", 33), BIT_AT("BT0", 35), BIT_AT("BT1", 36),
    BIT_AT("ITFSB", 37), { "TCF0", 38, 39 }, { "TCF", 40, 41 }, BIT_AT("ATA0", 42), BIT_AT("ATA", 43), BIT_AT("DSSBS", 44),
    BIT_AT("EPAN", 57), { NULL },
};

static const RegisterField tcr[] = {
    { "T0SZ", 0, 5 }, BIT_AT("EPD0", 7), { "IRGN0", 8, 9 }, { "ORGN0", 10, 11 }, { "SH0", 12, 13 },
    { "TG0", 14, 15 }, { "T1SZ", 16, 21 }, BIT_AT("A1", 22), BIT_AT("EPD1", 23), { "IRGN1", 24, 25 },
    { "ORGN1", 26, 27 }, { "SH1", 28, 29 }, { "TG1", 30, 31 }, { "IPS", 32, 34 }, BIT_AT("AS", 36),
    BIT_AT("TBI0", 37), BIT_AT("TBI1", 38), BIT_AT("HA", 39), BIT_AT("HD", 40), BIT_AT("HPD0", 41),
    BIT_AT("HPD1", 42), BIT_AT("TBID0", 51), BIT_AT("TBID1", 52), BIT_AT("NFD0", 53), BIT_AT("NFD1", 54),
    BIT_AT("E0PD0", 55), BIT_AT("E0PD1", 56), BIT_AT("DS", 59), { NULL },
};

static const RegisterField esr[] = { { "ISS", 0, 24 }, BIT_AT("IL", 25), { "EC", 26, 31 }, { NULL } };

static const RegisterField ttbr[] = {
    BIT_AT("CnP", 0), { "BADDR", 1, 47 }, { "ASID", 48, 63 }, { NULL },
};

static const RegisterField cpacr[] = { { "ZEN", 16, 17 }, { "FPEN", 20, 21 }, { NULL } };

static const RegisterField mdscr[] = {
    BIT_AT("SS", 0), BIT_AT("ERR", 6), BIT_AT("TDCC", 12), BIT_AT("KDE", 13), BIT_AT("MDE", 15), { NULL },
};

static const RegisterField timer[] = {
    BIT_AT("ENABLE", 0), BIT_AT("IMASK", 1), BIT_AT("ISTATUS", 2), { NULL },
};

const RegisterFields arm_register_fields[] = {
    { "cpsr", pstate }, { "spsr_el1", pstate }, { "fpcr", fpcr }, { "fpsr", fpsr },
    { "sctlr_el1", sctlr }, { "tcr_el1", tcr }, { "esr_el1", esr }, { "ttbr0_el1", ttbr },
    { "ttbr1_el1", ttbr }, { "cpacr_el1", cpacr }, { "mdscr_el1", mdscr }, { "cntp_ctl_el0", timer },
    { "cntv_ctl_el0", timer }, { NULL },
};
/* clang-format on */
