/* SPDX-License-Identifier: MIT */
/*
 * Debug traps in 64-bit mode: the cases of traps-x86.S.
 * usage: test-traps-x86 [-i] IMAGE     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "tests/isa/rig-x86.h"

enum {
    IDT = 0x2000,
    GDT = 0x3000,
    TSS = 0x4000,
    STACK = 0x7000,
    IMAGE = 0x8000,
    LOG = 0x20000,
    USER_STACK = 0x30000,
};
enum { CODE_0 = 0x08, DATA_0 = 0x10, DATA_3 = 0x18 | 3, CODE_3 = 0x20 | 3, TASK = 0x28 };
enum { TSS_RSP0 = 0x04, TSS_BYTES = 0x68 };

/* What the image begins with. */
typedef struct {
    uint32_t on_debug, on_breakpoint, on_syscall, log_end, cases;
} Header;

typedef struct {
    uint64_t name, code, flags, dr0, dr7, sfmask;
} Case;

typedef struct {
    uint64_t where, bits;
} Trap;

static bool interp;
static char *image;
static size_t image_bytes;

static const void *in_image(uint64_t address)
{
    return image + (address - IMAGE);
}

static const Header *header(void)
{
    return in_image(IMAGE);
}

static void set_gate(X86Rig *rig, X86Vector vector, uint64_t handler)
{
    store_le64(rig->ram + IDT + 16 * vector,
               (handler & 0xffff) | CODE_0 << 16 | UINT64_C(0xee00) << 32 | handler >> 16 << 48);
}

static void prepare(X86Rig *rig, const Case *c)
{
    if (!x86_rig_open(rig, "max", interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    memcpy(rig->ram + IMAGE, image, image_bytes);
    store_le64(rig->ram + header()->log_end, LOG);
    store_le64(rig->ram + GDT + CODE_0, UINT64_C(0x00209b0000000000));
    store_le64(rig->ram + GDT + DATA_0, UINT64_C(0x00cf93000000ffff));
    store_le64(rig->ram + GDT + (DATA_3 & ~7), UINT64_C(0x00cff3000000ffff));
    store_le64(rig->ram + GDT + (CODE_3 & ~7), UINT64_C(0x0020fb0000000000));
    store_le64(rig->ram + TSS + TSS_RSP0, USER_STACK);
    set_gate(rig, X86_DB, header()->on_debug);
    set_gate(rig, X86_BP, header()->on_breakpoint);
    rig->cpu->gdtr = (X86TableRegister){ GDT, TASK + 15 };
    rig->cpu->idtr = (X86TableRegister){ IDT, 16 * 32 - 1 };
    rig->cpu->tr =
        (X86Segment){ .selector = TASK, .base = TSS, .limit = TSS_BYTES - 1, .flags = 0x8b00 };
    rig->cpu->gpr[X86_RSP] = STACK;
    rig->cpu->star = (uint64_t)(DATA_0 | 3) << 48 | (uint64_t)CODE_0 << 32;
    rig->cpu->lstar = header()->on_syscall;
    rig->cpu->sfmask = c->sfmask;
    rig->cpu->cr4 |= CR4_FSGSBASE;
    rig->cpu->eflags = c->flags;
    rig->cpu->dr[0] = c->dr0;
    x86_set_dr(rig->cpu, 7, c->dr7);
}

/* Compares what was noted with what the case wants; returns where the next case is. */
static uint64_t run_case(uint64_t at)
{
    const Case *c = in_image(at);
    const Trap *wanted = in_image(at + sizeof *c);
    const char *name = in_image(c->name);
    uint64_t noted = LOG;
    X86Rig rig;

    prepare(&rig, c);
    x86_rig_run(&rig, c->code);
    for (; wanted->where; wanted++, noted += sizeof *wanted) {
        if (noted >= load_le64(rig.ram + header()->log_end)) {
            g_error("%s: no trap at %#" PRIx64, name, wanted->where);
        }
        g_test_message("%s: %#" PRIx64, name, load_le64(rig.ram + noted));
        g_assert_cmphex(load_le64(rig.ram + noted), ==, wanted->where);
        g_assert_cmphex(load_le64(rig.ram + noted + 8), ==, wanted->bits);
    }
    g_test_message("%s: the end", name);
    g_assert_cmphex(load_le64(rig.ram + header()->log_end), ==, noted);
    x86_rig_close(&rig);
    return IMAGE + (uint64_t)((const char *)wanted - image) + 8;
}

static void test_traps(void)
{
    uint64_t at = header()->cases;

    while (((const Case *)in_image(at))->name) {
        at = run_case(at);
    }
}

int main(int argc, char **argv)
{
    GError *error = NULL;

    g_test_init(&argc, &argv, NULL);
    interp = argc > 2 && strcmp(argv[1], "-i") == 0;
    g_assert_cmpint(argc, >, 1 + interp);
    g_file_get_contents(argv[1 + interp], &image, &image_bytes, &error);
    g_assert_no_error(error);
    g_test_add_func("/traps-x86", test_traps);
    return g_test_run();
}
