/* SPDX-License-Identifier: MIT */
/*
 * The state of an x86 processor: gdb's numbers; values of any kind survive saving, and all bytes of the structure come back
 * but those that the tables call derived; a program that is saved half-way goes on in another machine. And what the monitor
 * shows: registers, mappings.
 */
#include <string.h>

#include "machine/saved-state.h"
#include "target/i386/control.h"
#include "target/i386/describe.h"
#include "target/i386/mmu.h"
#include "target/i386/registers.h"
#include "tests/isa/rig-x86.h"

static void check_number(const Target *target, const char *name, int number)
{
    const TargetRegister *reg = target_register_find(target, name);

    g_assert_nonnull(reg);
    g_assert_cmpint(target_register_gdb_number(target, reg), ==, number);
}

static void test_table(void)
{
    const Target *const targets[] = { &x86_64_target, &i386_target };

    for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
        g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

        for (const TargetRegister *reg = targets[i]->registers; reg->name; reg++) {
            g_assert_true(g_hash_table_add(names, (void *)reg->name));
        }
    }
    /* As gdb's own descriptions number them. */
    check_number(&x86_64_target, "rbx", 1);
    check_number(&x86_64_target, "rip", 16);
    check_number(&x86_64_target, "gs", 23);
    check_number(&x86_64_target, "st0", 24);
    check_number(&x86_64_target, "fop", 39);
    check_number(&x86_64_target, "xmm0", 40);
    check_number(&x86_64_target, "mxcsr", 56);
    check_number(&i386_target, "ebx", 3);
    check_number(&i386_target, "eip", 8);
    check_number(&i386_target, "st0", 16);
    check_number(&i386_target, "xmm0", 32);
    check_number(&i386_target, "mxcsr", 40);
    check_number(&x86_64_target, "cr0", 79);
}

static void randomise_fields(const StateField *fields, void *instance, GRand *rand)
{
    for (const StateField *field = fields; field->name; field++) {
        uint8_t *at = (uint8_t *)instance + field->offset;

        for (size_t i = 0; field->kind == STATE_KIND_STRUCTS && i < field->size;
             i += field->element) {
            randomise_fields(field->fields, at + i, rand);
        }
        for (size_t i = 0; field->kind == STATE_KIND_INTEGERS && i < field->size; i++) {
            at[i] = (uint8_t)(g_rand_int(rand) & (field->most ? field->most : 0xff));
        }
    }
}

static void randomise(X86Cpu *cpu, GRand *rand)
{
    Vcpu *vcpu = &cpu->vcpu;

    for (const TargetRegister *reg = x86_64_registers; reg->name; reg++) {
        uint8_t value[TARGET_REGISTER_BYTES_MAX];

        for (unsigned i = 0; i < target_register_bytes(reg); i++) {
            value[i] = (uint8_t)g_rand_int(rand);
        }
        target_register_write(vcpu, reg, value);
    }
    randomise_fields(x86_state, cpu, rand);
    vcpu->halt_deadline_ns = g_rand_int(rand);
    atomic_store(&vcpu->halted, g_rand_boolean(rand));
    vcpu_clear_events(vcpu);
    x86_state_loaded(vcpu);
}

static void mark(const StateField *fields, size_t base, uint8_t *known)
{
    for (const StateField *field = fields; field->name; field++) {
        for (size_t at = 0; field->kind == STATE_KIND_STRUCTS && at < field->size;
             at += field->element) {
            mark(field->fields, base + field->offset + at, known);
        }
        if (field->kind == STATE_KIND_DERIVED) {
            memset(known + base + field->offset, 1, field->size);
        }
    }
}

static GByteArray *save(Vcpu *vcpu)
{
    GByteArray *out = g_byte_array_new();

    device_save_state(&vcpu->device, out);
    return out;
}

static void test_round_trip(void)
{
    g_autofree uint8_t *derived = g_malloc0(sizeof(X86Cpu));
    GRand *rand = g_rand_new_with_seed(7);
    X86Rig rig;
    Vcpu *vcpu;

    g_assert_true(x86_rig_open(&rig, "max", true));
    vcpu = &rig.cpu->vcpu;
    mark(x86_state, 0, derived);
    for (unsigned i = 0; i < 200; i++) {
        g_autoptr(GByteArray) saved = NULL, again = NULL;
        g_autofree uint8_t *before = NULL;
        g_autoptr(GError) error = NULL;

        randomise(rig.cpu, rand);
        saved = save(vcpu);
        before = g_memdup2(rig.cpu, sizeof(X86Cpu));
        randomise(rig.cpu, rand);
        device_load_state(&vcpu->device, X86_STATE_VERSION, saved->data, saved->len, &error);
        g_assert_no_error(error);
        again = save(vcpu);
        g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
        for (size_t at = 0; at < sizeof(X86Cpu); at++) {
            if (!derived[at] && ((uint8_t *)rig.cpu)[at] != before[at]) {
                g_error("byte %zu of the processor is state that no table lists", at);
            }
        }
    }
    g_rand_free(rand);
    x86_rig_close(&rig);
}

/* Anything that is not ours is refused or loaded; it does no harm. */
static void test_broken(void)
{
    GRand *rand = g_rand_new_with_seed(11);
    X86Rig rig;
    g_autoptr(GByteArray) whole = NULL;

    g_assert_true(x86_rig_open(&rig, "max", true));
    whole = save(&rig.cpu->vcpu);
    for (unsigned i = 0; i < 3000; i++) {
        g_autofree uint8_t *broken = g_memdup2(whole->data, whole->len);
        g_autoptr(GError) error = NULL;
        size_t size = i % 3 ? whole->len : g_rand_int(rand) % whole->len;

        for (unsigned n = 1 + g_rand_int(rand) % 4; n; n--) {
            broken[g_rand_int(rand) % whole->len] = (uint8_t)g_rand_int(rand);
        }
        if (!device_load_state(&rig.cpu->vcpu.device, X86_STATE_VERSION, broken, size, &error)) {
            g_assert_nonnull(error);
        }
    }
    g_assert_true(
        device_load_state(&rig.cpu->vcpu.device, X86_STATE_VERSION, whole->data, whole->len, NULL));
    g_rand_free(rand);
    x86_rig_close(&rig);
}

/* Mixes registers and flags a thousand times, then tells. */
static const uint8_t body[] = {
    0xb9, 0xe8, 0x03, 0x00, 0x00, /* mov ecx, 1000 */
    0x48, 0x11, 0xc8,             /* 1: adc rax, rcx */
    0x48, 0x0f, 0xaf, 0xc3,       /* imul rax, rbx */
    0x48, 0xff, 0xc3,             /* inc rbx */
    0x48, 0xd1, 0xd0,             /* rcl rax, 1 */
    0xff, 0xc9,                   /* dec ecx */
    0x75, 0xef,                   /* jnz 1b */
};
static const uint8_t end[] = {
    0x66, 0xba, 0xf4, 0x05, 0xef, 0xeb, 0xfe
}; /* mov dx, 0x5f4; out dx, eax; jmp . */

static bool start(X86Rig *rig, bool interp, unsigned bodies)
{
    if (!x86_rig_open(rig, "max", interp)) {
        return false;
    }
    x86_rig_long_mode(rig);
    for (unsigned i = 0; i < bodies; i++) {
        memcpy(rig->ram + 0x1000 + i * sizeof body, body, sizeof body);
    }
    memcpy(rig->ram + 0x1000 + bodies * sizeof body, end, sizeof end);
    rig->cpu->gpr[X86_RBX] = 3;
    return true;
}

static void check_moving(bool from_interp, bool to_interp)
{
    X86Rig straight, from, to;
    g_autoptr(GByteArray) saved = NULL;
    g_autoptr(GError) error = NULL;

    if (!start(&straight, from_interp, 2)) {
        g_test_skip("no back end for this host");
        return;
    }
    x86_rig_run(&straight, 0x1000);
    start(&from, from_interp, 1);
    x86_rig_run(&from, 0x1000);
    saved = save(&from.cpu->vcpu);
    start(&to, to_interp, 1);
    memcpy(to.ram, from.ram, X86_RIG_RAM_BYTES);
    memset(to.cpu->gpr, 0x55, sizeof to.cpu->gpr);
    device_load_state(&to.cpu->vcpu.device, X86_STATE_VERSION, saved->data, saved->len, &error);
    g_assert_no_error(error);
    g_assert_cmphex(tcg_pc(&to.cpu->tcg), ==, tcg_pc(&from.cpu->tcg));
    x86_rig_run(&to, 0x1000);
    g_assert_cmpmem(straight.cpu->gpr, sizeof to.cpu->gpr, to.cpu->gpr, sizeof to.cpu->gpr);
    g_assert_cmphex(x86_get_eflags(straight.cpu), ==, x86_get_eflags(to.cpu));
    g_assert_cmphex(to.cpu->gpr[X86_RAX], !=, from.cpu->gpr[X86_RAX]);
    x86_rig_close(&to);
    x86_rig_close(&from);
    x86_rig_close(&straight);
}

static void test_moving(void)
{
    check_moving(false, true);
    check_moving(true, false);
    check_moving(false, false);
}

/*
 * Interrupts are held back for one instruction, also where a unit ends in between: STI behind MOV SS does, and STI at the
 * end of a page.
 */
static void test_shadow(void)
{
    static const uint8_t code[] = {
        0x31, 0xc0, /* xor eax, eax */
        0x8e, 0xd0, /* mov ss, eax */
        0xfb,       /* sti */
        0x90,       /* nop */
        0xfa,       /* cli */
    };
    enum { STI_AT = 4 };

    for (int i = 0; i < 4; i++) {
        bool interp = i & 1, page_end = i & 2;
        uint32_t at = page_end ? 0x2000 - STI_AT - 1 : 0x1000;
        X86Rig rig;

        if (!x86_rig_open(&rig, "max", interp)) {
            continue;
        }
        x86_rig_long_mode(&rig);
        memcpy(rig.ram + at, code, sizeof code);
        memcpy(rig.ram + at + sizeof code, end, sizeof end);
        x86_rig_run(&rig, page_end ? at + STI_AT : at);
        g_assert_cmphex(rig.cpu->shadow, ==, 0);
        x86_rig_close(&rig);
    }
}

static void check_text(X86Cpu *cpu, const char *words)
{
    GString *text = g_string_new(NULL);

    x86_describe(&cpu->vcpu, true, text);
    if (!strstr(text->str, words)) {
        g_error("no '%s' in:\n%s", words, text->str);
    }
    g_string_free(text, TRUE);
}

static void test_registers_text(void)
{
    X86Rig rig;

    g_assert_true(x86_rig_open(&rig, "max", true));
    check_text(rig.cpu, "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\n");
    check_text(rig.cpu, "CS =f000 ffff0000 0000ffff 00009b00\n");
    check_text(rig.cpu, "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\n");
    g_assert_cmpint(target_capstone_mode(&rig.cpu->vcpu), ==, 2);
    x86_rig_long_mode(&rig);
    rig.cpu->gpr[X86_RDI] = 0x123456789abcdef;
    check_text(rig.cpu, "RSI=0000000000000000 RDI=0123456789abcdef RBP=");
    check_text(rig.cpu, "CS =0008 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\n");
    check_text(rig.cpu, "SS =0010 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\n");
    check_text(rig.cpu, "TR =0000 0000000000000000 0000ffff 00008b00 DPL=0 TSS64-busy\n");
    check_text(rig.cpu, "MXCSR=00001f80\n");
    g_assert_cmpint(target_capstone_mode(&rig.cpu->vcpu), ==, 8);
    x86_rig_close(&rig);
}

static char *mappings(X86Cpu *cpu, bool ranges)
{
    GString *text = g_string_new(NULL);

    x86_describe_mappings(&cpu->vcpu, ranges, text);
    return g_string_free(text, FALSE);
}

static void test_mappings(void)
{
    enum { TABLES = 0x100000 };
    g_autofree char *none = NULL, *pages = NULL, *ranges = NULL, *legacy = NULL, *loops = NULL;
    X86Rig rig;
    uint64_t *table;
    uint32_t *directory;

    g_assert_true(x86_rig_open(&rig, "max", true));
    none = mappings(rig.cpu, false);
    g_assert_cmpstr(none, ==, "PG disabled\n");
    x86_rig_long_mode(&rig);
    table = (uint64_t *)(void *)(rig.ram + TABLES);
    memset(table, 0, 0x4000);
    table[511] = (TABLES + 0x1000) | 7;
    table[512] = (TABLES + 0x2000) | 3;
    table[1024] = (TABLES + 0x3000) | 7;
    table[1025] = 0x400000 | 0xe3;
    table[1536] = 0x5000 | 0x67;
    table[1537] = 0x9000 | 0x25 | UINT64_C(1) << 63;
    rig.cpu->cr3 = TABLES;
    pages = mappings(rig.cpu, false);
    g_assert_cmpstr(pages, ==,
                    "ffffff8000000000: 0000000000005000 ---DA--UW\n"
                    "ffffff8000001000: 0000000000009000 X---A--U-\n"
                    "ffffff8000200000: 0000000000400000 --PDA---W\n");
    ranges = mappings(rig.cpu, true);
    g_assert_cmpstr(ranges, ==,
                    "ffffff8000000000-ffffff8000001000 0000000000001000 -rw\n"
                    "ffffff8000001000-ffffff8000002000 0000000000001000 -r-\n"
                    "ffffff8000200000-ffffff8000400000 0000000000200000 -rw\n");
    /* 32 bits, with a page of 4 MiB. */
    rig.cpu->efer = 0;
    rig.cpu->cr4 = CR4_PSE;
    directory = (uint32_t *)(void *)(rig.ram + TABLES);
    memset(directory, 0, 0x2000);
    directory[0] = (TABLES + 0x1000) | 7;
    directory[1] = 0x800000 | 0x87;
    directory[1024 + 3] = 0x7000 | 5;
    legacy = mappings(rig.cpu, true);
    g_assert_cmpstr(legacy, ==,
                    "0000000000003000-0000000000004000 0000000000001000 ur-\n"
                    "0000000000400000-0000000000800000 0000000000400000 urw\n");
    /* A table that is its own child, again and again. */
    x86_rig_long_mode(&rig);
    for (unsigned i = 0; i < 512; i++) {
        table[i] = TABLES | 7;
    }
    rig.cpu->cr3 = TABLES;
    loops = mappings(rig.cpu, true);
    g_assert_nonnull(strstr(loops, "(the first "));
    x86_rig_close(&rig);
}

/* Random tables and controls: what is said of each access is what the processor's walk does, every refusal has a reason, and looking
   changes nothing. */
static void test_page_walk(void)
{
    enum { TABLES = 0x100000, TABLES_BYTES = 0x4000, ROUNDS = 3000 };
    static const TcgAccess accesses[] = { TCG_READ, TCG_WRITE, TCG_FETCH };
    g_autofree uint8_t *before = g_malloc(TABLES_BYTES);
    g_autofree PageWalk *walk = g_new(PageWalk, 1);
    unsigned denied = 0;
    X86Rig rig;
    GRand *random = g_rand_new_with_seed(13);

    g_assert_true(x86_rig_open(&rig, "max", true));
    x86_rig_long_mode(&rig);
    rig.cpu->cr3 = TABLES;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t *table = (uint64_t *)(void *)(rig.ram + TABLES), cr0 = rig.cpu->cr0;
        uint64_t address = g_rand_int(random) & 0xfff;
        bool user = round & 1;
        unsigned access = g_rand_int_range(random, 0, PAGE_ACCESSES);
        TcgMapping mapping;

        for (unsigned level = 0; level < 4; level++) {
            uint64_t entry = (TABLES + 0x1000 * (level + 1)) | 3 | (g_rand_int(random) & 0x7c);

            entry &= g_rand_int_range(random, 0, 8) ? UINT64_MAX : ~(uint64_t)2;
            entry |= g_rand_int_range(random, 0, 4) ? 4 : 0;
            entry |= g_rand_int_range(random, 0, 12) ? 0 : UINT64_C(1) << 63;
            entry &= g_rand_int_range(random, 0, 20) ? UINT64_MAX : ~(uint64_t)1;
            entry |= g_rand_int_range(random, 0, 20) ? 0 : UINT64_C(1) << 51;
            entry |= level == 3 ? (uint64_t)g_rand_int_range(random, 0, 16) << 59 : 0;
            table[512 * level] = entry;
        }
        rig.cpu->cr0 = (cr0 & ~CR0_WP) | (g_rand_boolean(random) ? CR0_WP : 0);
        rig.cpu->cr4 = CR4_PAE | (g_rand_boolean(random) ? CR4_SMAP : 0) |
                       (g_rand_boolean(random) ? CR4_SMEP : 0) |
                       (g_rand_boolean(random) ? CR4_PKE : 0);
        rig.cpu->efer |= EFER_NXE;
        rig.cpu->pkru = g_rand_int(random);
        rig.cpu->eflags = EFLAGS_ONE | (g_rand_boolean(random) ? EFLAGS_AC : 0);
        rig.cpu->cpl = user ? 3 : 0;
        memcpy(before, table, TABLES_BYTES);
        memset(walk, 0, sizeof *walk);
        x86_walk_page(&rig.cpu->vcpu, address, walk);
        g_assert_cmpmem(before, TABLES_BYTES, table, TABLES_BYTES);
        g_assert_cmpint(x86_walk(&rig.cpu->tcg, address, 1, accesses[access], 0, &mapping), ==,
                        walk->allowed[user][access]);
        if (walk->allowed[user][access]) {
            g_assert_true(walk->mapped);
            g_assert_cmphex(walk->guest_phys & ~UINT64_C(0xfff), ==, mapping.guest_phys);
        } else {
            g_assert_true(walk->denied[user][access][0] != '\0');
            denied++;
        }
        rig.cpu->cr0 = cr0;
    }
    g_assert_cmpint(denied, >, ROUNDS / 10);
    g_assert_cmpint(denied, <, ROUNDS * 9 / 10);
    g_rand_free(random);
    x86_rig_close(&rig);
}

/* The bit that is named is the one that denies. */
static void test_page_walk_reasons(void)
{
    static const struct {
        uint64_t entry[4], cr4;
        bool user;
        PageAccess access;
        const char *reason;
    } cases[] = {
        { { 7, 7, 7, 3 }, 0, true, PAGE_READ, "US is 0 (supervisor only) in the PT entry" },
        { { 7, 3, 7, 7 }, 0, true, PAGE_WRITE, "US is 0 (supervisor only) in the PDPT entry" },
        { { 7, 7, 5, 7 }, 0, true, PAGE_WRITE, "RW is 0 (read-only) in the PD entry" },
        { { 7, 7, 6, 7 }, 0, false, PAGE_READ, "not present: P is 0 in the PD entry" },
        { { 7, 7, 7, 7 }, CR4_SMAP, false, PAGE_READ, "CR4.SMAP is 1" },
        { { 7, 7, 7, 7 }, CR4_SMEP, false, PAGE_EXECUTE, "CR4.SMEP is 1" },
        { { 7 | UINT64_C(1) << 63, 7, 7, 7 }, 0, false, PAGE_EXECUTE, "NX is 1 in the PML4 entry" },
        { { 7, 7, 7 | UINT64_C(1) << 51, 7 },
          0,
          false,
          PAGE_READ,
          "reserved bits are set in the PD entry" },
    };
    enum { TABLES = 0x100000 };
    g_autofree PageWalk *walk = g_new(PageWalk, 1);
    X86Rig rig;

    g_assert_true(x86_rig_open(&rig, "max", true));
    x86_rig_long_mode(&rig);
    rig.cpu->cr3 = TABLES;
    rig.cpu->efer |= EFER_NXE;
    rig.cpu->eflags = EFLAGS_ONE;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t *table = (uint64_t *)(void *)(rig.ram + TABLES);

        for (unsigned level = 0; level < 4; level++) {
            table[512 * level] = (TABLES + 0x1000 * (level + 1)) | cases[i].entry[level];
        }
        rig.cpu->cr4 = CR4_PAE | cases[i].cr4;
        memset(walk, 0, sizeof *walk);
        x86_walk_page(&rig.cpu->vcpu, 0x123, walk);
        g_assert_nonnull(strstr(walk->denied[cases[i].user][cases[i].access], cases[i].reason));
    }
    memset(walk, 0, sizeof *walk);
    x86_walk_page(&rig.cpu->vcpu, UINT64_C(1) << 62, walk);
    g_assert_nonnull(strstr(walk->fault, "not canonical"));
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state-x86/table", test_table);
    g_test_add_func("/state-x86/page-walk", test_page_walk);
    g_test_add_func("/state-x86/page-walk-reasons", test_page_walk_reasons);
    g_test_add_func("/state-x86/round-trip", test_round_trip);
    g_test_add_func("/state-x86/broken", test_broken);
    g_test_add_func("/state-x86/moving", test_moving);
    g_test_add_func("/state-x86/shadow", test_shadow);
    g_test_add_func("/state-x86/registers-text", test_registers_text);
    g_test_add_func("/state-x86/mappings", test_mappings);
    return g_test_run();
}
