/* SPDX-License-Identifier: MIT */
/*
 * The state of a processor: every system register that holds something is in the table of registers; values of any kind
 * survive saving, and all bytes of the structure come back but those that the tables call derived; a program that is
 * saved half-way goes on in another machine, on the translator or the interpreter, to the same end.
 */
#include <stdio.h>
#include <string.h>

#include "machine/saved-state.h"
#include "target/arm/mmu.h"
#include "target/arm/registers.h"
#include "target/arm/sysregs.h"
#include "tests/isa/rig.h"

static void test_table(void)
{
    static const ArmSysreg *const tables[] = { arm_sysregs_id, arm_sysregs_memory,
                                               arm_sysregs_timer, arm_sysregs_debug,
                                               arm_sysregs_pmu };
    GHashTable *names = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++) {
        for (const ArmSysreg *sysreg = tables[i]; sysreg->name; sysreg++) {
            const TargetRegister *reg = target_register_find(&arm_target, sysreg->name);

            if (sysreg->field && !(sysreg->access & ARM_SYSREG_CONST) && !reg) {
                g_error("system register %s is not in the table", sysreg->name);
            }
            g_assert_true(!reg || reg->accelerator_id == sysreg->encoding);
        }
    }
    for (const TargetRegister *reg = arm_registers; reg->name; reg++) {
        g_assert_true(g_hash_table_add(names, (void *)reg->name));
        g_assert_cmpuint(target_register_bytes(reg), <=, TARGET_REGISTER_BYTES_MAX);
    }
    g_hash_table_unref(names);
    /* As gdb's own descriptions number them. */
    g_assert_cmpint(
        target_register_gdb_number(&arm_target, target_register_find(&arm_target, "pc")), ==, 32);
    g_assert_cmpint(
        target_register_gdb_number(&arm_target, target_register_find(&arm_target, "v0")), ==, 34);
    g_assert_cmpint(
        target_register_gdb_number(&arm_target, target_register_find(&arm_target, "fpcr")), ==, 67);
}

static void randomise(Vcpu *vcpu, GRand *rand)
{
    for (const TargetRegister *reg = arm_registers; reg->name; reg++) {
        uint8_t value[TARGET_REGISTER_BYTES_MAX];

        for (unsigned i = 0; i < target_register_bytes(reg); i++) {
            value[i] = g_rand_int(rand);
        }
        target_register_write(vcpu, reg, value);
    }
    for (const StateField *field = arm_state; field->name; field++) {
        for (size_t i = 0; field->kind == STATE_KIND_INTEGERS && i < field->size; i++) {
            ((uint8_t *)vcpu)[field->offset + i] =
                g_rand_int(rand) & (field->element == 1 ? 1 : 0xff);
        }
    }
    vcpu->halt_deadline_ns = g_rand_int(rand);
    atomic_store(&vcpu->halted, g_rand_boolean(rand));
    atomic_store(&vcpu->powered, g_rand_boolean(rand));
    vcpu_clear_events(vcpu);
    for (unsigned n = g_rand_int(rand) % VCPU_EVENTS_MAX; n; n--) {
        vcpu_post_event(vcpu, n, g_rand_int(rand));
    }
    arm_state_loaded(vcpu);
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
    g_autofree uint8_t *derived = g_malloc0(sizeof(ArmCpu));
    GRand *rand = g_rand_new_with_seed(7);
    IsaRig rig;
    Vcpu *vcpu;

    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    vcpu = &rig.cpu->vcpu;
    mark(arm_state, 0, derived);
    for (unsigned i = 0; i < 200; i++) {
        g_autoptr(GByteArray) saved = NULL, again = NULL;
        g_autofree uint8_t *before = NULL;
        g_autoptr(GError) error = NULL;

        randomise(vcpu, rand);
        saved = save(vcpu);
        before = g_memdup2(rig.cpu, sizeof(ArmCpu));
        randomise(vcpu, rand);
        device_load_state(&vcpu->device, 0, saved->data, saved->len, &error);
        g_assert_no_error(error);
        again = save(vcpu);
        g_assert_cmpmem(saved->data, saved->len, again->data, again->len);
        for (size_t at = 0; at < sizeof(ArmCpu); at++) {
            if (!derived[at] && ((uint8_t *)rig.cpu)[at] != before[at]) {
                g_error("byte %zu of the processor is state that no table lists", at);
            }
        }
    }
    g_rand_free(rand);
    isa_rig_close(&rig);
}

/* Anything that is not ours is refused or loaded; it does no harm. */
static void test_broken(void)
{
    GRand *rand = g_rand_new_with_seed(11);
    IsaRig rig;
    g_autoptr(GByteArray) whole = NULL;

    g_assert_true(isa_rig_open(&rig, "max", 2, true));
    whole = machine_save_state(rig.machine);
    g_assert_true(machine_load_state(rig.machine, whole->data, whole->len, NULL));
    for (unsigned i = 0; i < 3000; i++) {
        g_autofree uint8_t *broken = g_memdup2(whole->data, whole->len);
        g_autoptr(GError) error = NULL;
        size_t size = i % 3 ? whole->len : g_rand_int(rand) % whole->len;

        for (unsigned n = 1 + g_rand_int(rand) % 4; n; n--) {
            broken[g_rand_int(rand) % whole->len] = g_rand_int(rand);
        }
        if (!machine_load_state(rig.machine, broken, size, &error)) {
            g_assert_nonnull(error);
        }
    }
    g_assert_true(machine_load_state(rig.machine, whole->data, whole->len, NULL));
    g_rand_free(rand);
    isa_rig_close(&rig);
}

/* Mixes in integer, floating point and vector registers for 1000 rounds. */
static const uint32_t body[] = {
    0xd2807d01, /* mov x1, #1000 */
    0xab030042, /* 1: adds x2, x2, x3 */
    0x9a1f0063, /* adc x3, x3, xzr */
    0x91000c63, /* add x3, x3, #3 */
    0x9e620060, /* scvtf d0, x3 */
    0x1e602821, /* fadd d1, d1, d0 */
    0x4ea18422, /* add v2.4s, v1.4s, v1.4s */
    0x6e221c43, /* eor v3.16b, v2.16b, v2.16b */
    0x4ee38441, /* add v1.2d, v2.2d, v3.2d */
    0xd1000421, /* sub x1, x1, #1 */
    0xb5fffee1, /* cbnz x1, 1b */
};
static const uint32_t end = 0xd4200000;

static void start(IsaRig *rig, bool interp, unsigned bodies)
{
    if (!isa_rig_open(rig, "max", 1, interp)) {
        g_assert_true(isa_rig_open(rig, "max", 1, true));
    }
    for (unsigned i = 0; i < bodies; i++) {
        memcpy(rig->ram + i * sizeof body, body, sizeof body);
    }
    memcpy(rig->ram + bodies * sizeof body, &end, sizeof end);
}

static void check_moving(bool from_interp, bool to_interp)
{
    IsaRig straight, from, to;
    g_autoptr(GByteArray) saved = NULL;
    g_autoptr(GError) error = NULL;

    start(&straight, from_interp, 2);
    isa_rig_run(&straight, RIG_RAM);
    start(&from, from_interp, 1);
    isa_rig_run(&from, RIG_RAM);
    saved = machine_save_state(from.machine);
    start(&to, to_interp, 0);
    memcpy(to.ram, from.ram, RIG_RAM_BYTES);
    machine_load_state(to.machine, saved->data, saved->len, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(from.cpu->v, sizeof to.cpu->v, to.cpu->v, sizeof to.cpu->v);
    atomic_store(&to.cpu->vcpu.halted, false); /* the run ended by a power-off */
    isa_rig_run(&to, RIG_RAM);
    g_assert_cmpmem(straight.cpu->x, 31 * 8, to.cpu->x, 31 * 8);
    g_assert_cmpmem(straight.cpu->v, sizeof to.cpu->v, to.cpu->v, sizeof to.cpu->v);
    g_assert_cmphex(arm_get_fpsr(straight.cpu), ==, arm_get_fpsr(to.cpu));
    g_assert_cmphex(to.cpu->x[3], !=, from.cpu->x[3]);
    isa_rig_close(&to);
    isa_rig_close(&from);
    isa_rig_close(&straight);
}

static void test_moving(void)
{
    check_moving(false, true);
    check_moving(true, false);
    check_moving(false, false);
}

/* Which bit denies an access is said; and info mem shows the same rights. */
static void test_page_walk(void)
{
    static const struct {
        uint64_t table, leaf; /* bits beside the address, of the level 1 table and the page */
        bool user;
        PageAccess access;
        const char *reason; /* NULL: allowed */
    } cases[] = {
        { 3, 0x403, false, PAGE_WRITE, NULL },
        { 3, 0x403, true, PAGE_READ, "AP[1] (access from EL0) of the level 3 entry is 0" },
        { 3, 0x443, true, PAGE_WRITE, NULL },
        { 3, 0x4c3, true, PAGE_WRITE, "AP[2] (read-only) of the level 3 entry is 1" },
        { 3, 0x443, false, PAGE_EXECUTE, "what EL0 may write is not executed at EL1" },
        { 3 | UINT64_C(1) << 61, 0x443, true, PAGE_READ,
          "APTable[0] (none from EL0) of the level 1 table is set" },
        { 3 | UINT64_C(1) << 62, 0x403, false, PAGE_WRITE,
          "APTable[1] (read-only) of the level 1 table is set" },
        { 3 | UINT64_C(1) << 59, 0x483, false, PAGE_EXECUTE,
          "PXNTable of the level 1 table is set" },
        { 3, 0x483 | UINT64_C(1) << 54, true, PAGE_EXECUTE, "UXN of the level 3 entry is 1" },
        { 3, 0x003, false, PAGE_READ, "access flag fault at level 3" },
        { 2, 0x403, false, PAGE_READ, "translation fault at level 1" },
    };
    enum { TABLES = RIG_RAM + 0x100000 };
    g_autofree PageWalk *walk = g_new(PageWalk, 1);
    g_autoptr(GString) text = g_string_new(NULL);
    IsaRig rig;
    ArmCpu *cpu;

    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    cpu = rig.cpu;
    cpu->ttbr0_el1 = TABLES;
    cpu->tcr_el1 = 16 | UINT64_C(1) << 23 | 5ull << 32; /* the upper half is off */
    cpu->mair_el1 = 0xff;
    cpu->sctlr_el1 |= SCTLR_M;
    cpu->pan = false;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t *table = (uint64_t *)(void *)(rig.ram + TABLES - RIG_RAM);

        table[0] = (TABLES + 0x1000) | 3;
        table[512] = (TABLES + 0x2000) | cases[i].table;
        table[1024] = (TABLES + 0x3000) | 3;
        table[1536] = RIG_RAM | cases[i].leaf;
        memset(walk, 0, sizeof *walk);
        arm_walk_page(&cpu->vcpu, 0x123, walk);
        g_assert_cmpint(walk->allowed[cases[i].user][cases[i].access], ==, !cases[i].reason);
        if (cases[i].reason) {
            g_assert_nonnull(strstr(walk->denied[cases[i].user][cases[i].access], cases[i].reason));
        } else {
            g_assert_cmphex(walk->guest_phys, ==, RIG_RAM + 0x123);
            g_assert_cmpstr(walk->steps[3].table, ==, "level 3");
            g_assert_cmpstr(walk->memory, ==, "Normal, write-back");
        }
        if (i == 0) {
            arm_describe_mappings(&cpu->vcpu, true, text);
            g_assert_cmpstr(text->str, ==,
                            "0000000000000000-0000000000001000 0000000000001000 el1 rwx el0 --x "
                            "Normal, write-back\n");
        }
    }
    memset(walk, 0, sizeof *walk);
    arm_walk_page(&cpu->vcpu, UINT64_MAX, walk);
    g_assert_nonnull(strstr(walk->fault, "TCR_EL1.EPD1 is 1"));
    memset(walk, 0, sizeof *walk);
    arm_walk_page(&cpu->vcpu, UINT64_C(1) << 50, walk);
    g_assert_nonnull(strstr(walk->fault, "in neither half"));
    /* A table that is its own child, again and again, ends. */
    for (unsigned i = 0; i < 512; i++) {
        ((uint64_t *)(void *)(rig.ram + TABLES - RIG_RAM))[i] = TABLES | 3;
    }
    arm_describe_mappings(&cpu->vcpu, true, text);
    g_assert_nonnull(strstr(text->str, "(the first "));
    cpu->sctlr_el1 &= ~(uint64_t)SCTLR_M;
    isa_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/table", test_table);
    g_test_add_func("/state/round-trip", test_round_trip);
    g_test_add_func("/state/broken", test_broken);
    g_test_add_func("/state/page-walk", test_page_walk);
    g_test_add_func("/state/moving", test_moving);
    return g_test_run();
}
