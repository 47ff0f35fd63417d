/* SPDX-License-Identifier: MIT */
/*
 * A target that is nothing like Arm runs on the neutral floors below target/: the processor of
 * docs/howto/add-a-target.md, on the translator and on the interpreter.
 */
#include <string.h>

#include "machine/accelerator.h"
#include "tests/isa/toy.h"

enum { END_PORT = 1, IRQ_PORT = 2, IN_PORT = 3, OUT_PORT = 4, RAM_BYTES = 0x10000 };

typedef struct {
    Machine *machine;
    ToyCpu *cpu;
    uint8_t *ram;
    GString *out;
} Rig;

static Rig rig;

static MemoryResult port_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    *value = offset == IN_PORT ? 0x5a : 0xff;
    return MEMORY_OK;
}

static MemoryResult port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    switch (offset) {
    case END_PORT:
        machine_request_stop(rig.machine, STOP_DEBUG, NULL);
        break;
    case IRQ_PORT:
        vcpu_set_interrupt(&rig.cpu->vcpu, 0, value != 0);
        break;
    case OUT_PORT:
        g_string_append_c(rig.out, (char)value);
        break;
    }
    return MEMORY_OK;
}

static const MemoryOps port_ops = { .read = port_read, .write = port_write };

static int acknowledge(void *opaque)
{
    vcpu_set_interrupt(&rig.cpu->vcpu, 0, false);
    return 7;
}

typedef struct {
    Device device;
    MemoryRegion ports;
} ToyBoard;

static bool build(Machine *machine, void *instance, GError **error)
{
    ToyBoard *board = instance;

    memory_region_init_io(&board->ports, machine, "ports", 256, &port_ops, NULL);
    memory_region_add(machine->system_io, 0, &board->ports, 0);
    return machine_map_ram(machine, 0, error) && machine_create_vcpus(machine, error);
}

static const Board toy_board = {
    .name = "toy", .instance_size = sizeof(ToyBoard), .build = build, .max_vcpus = 1
};
static const CpuModel toy_model = { .name = "toy", .target = &toy_target };

static void open_rig(bool interp)
{
    MachineConfig config = { .target = &toy_target,
                             .board = &toy_board,
                             .cpu_model = &toy_model,
                             .vcpus = 1,
                             .ram_bytes = RAM_BYTES,
                             .rtc_base_s = INT64_MIN };
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const Accelerator *const *it, *tcg = NULL;
    GError *error = NULL;

    REGISTRY_FOREACH(accelerators, it) {
        tcg = strcmp((*it)->name, "tcg") == 0 ? *it : tcg;
    }
    g_hash_table_insert(options, g_strdup("interp"), g_strdup(interp ? "on" : "off"));
    g_hash_table_insert(options, g_strdup("verify"), g_strdup("on"));
    rig = (Rig){ .out = g_string_new(NULL) };
    rig.machine = machine_new(&config);
    machine_set_accelerator(rig.machine, tcg, options, &error);
    g_assert_no_error(error);
    machine_build(rig.machine, &error);
    g_assert_no_error(error);
    g_hash_table_unref(options);
    machine_lock(rig.machine);
    machine_reset(rig.machine);
    rig.cpu = container_of(rig.machine->vcpus->pdata[0], ToyCpu, vcpu);
    irq_connect_acknowledge(&rig.cpu->vcpu.acknowledge, acknowledge, NULL);
    rig.ram = rig.machine->ram.host;
}

/* Puts a program at an address, and runs from there until it writes to the port END. */
static void run(uint16_t at, const void *program, size_t size)
{
    memcpy(rig.ram + at, program, size);
    address_space_dirty(&rig.machine->memory_space, at, size);
    tcg_set_pc(&rig.cpu->tcg, at);
    atomic_store(&rig.cpu->vcpu.halted, false);
    machine_start(rig.machine);
    machine_unlock(rig.machine);
    while (machine_running(rig.machine)) {
        g_main_context_iteration(NULL, true);
    }
    machine_lock(rig.machine);
}

static void close_rig(void)
{
    machine_unlock(rig.machine);
    machine_free(rig.machine);
    g_string_free(rig.out, TRUE);
}

#define END 0xc4, END_PORT, 0x01

/* sum 1 … 10 in a loop: add, inc, cmp, jcc; across a page when `at` is near its end */
static void check_loop(uint16_t at)
{
    const uint16_t loop = (uint16_t)(at + 6);
    const uint8_t program[] = {
        0x10,         0,           0x11,      0, 0x12, 10, /* ld a, 0; ld b, 0; ld c, 10 */
        0xd1,         0x31,        0x76,                   /* loop: inc b; add a, b; cmp b, c */
        0x90 | IR_NE, loop & 0xff, loop >> 8,              /* jne loop */
        END,
    };

    run(at, program, sizeof program);
    g_assert_cmpuint(rig.cpu->reg[0], ==, 55);
    g_assert_cmpuint(rig.cpu->reg[1], ==, 10);
}

static void test_loop(gconstpointer interp)
{
    open_rig(interp != NULL);
    for (unsigned back = 0; back < 24; back++) {
        check_loop((uint16_t)(0x2000 - back));
    }
    close_rig();
}

/* Each operation's six flags against a plain computation. */
static void check_flags(unsigned op, unsigned a, unsigned b)
{
    const uint8_t program[] = { 0x10, (uint8_t)a, 0x11, (uint8_t)b, (uint8_t)(op << 4 | 1), END };
    static const IrOpcode opcodes[] = { IR_OP_addf, IR_OP_subf, IR_OP_andf, IR_OP_andf,
                                        IR_OP_subf };
    uint64_t x = a, y = b, args[4];

    if (op == 6) {
        x = y = a ^ b;
    }
    args[0] = x;
    args[1] = y;
    run(0x300, program, sizeof program);
    g_assert_cmphex(tcg_flags_to_eflags(rig.cpu->flags), ==,
                    tcg_flags_to_eflags(ir_compute_flags(
                        opcodes[op - 3], 0, op == 4 || op == 7 ? IR_BORROW : 0, args)));
}

static void test_flags(gconstpointer interp)
{
    static const uint8_t values[] = { 0, 1, 0x0f, 0x10, 0x7f, 0x80, 0xf0, 0xff };

    open_rig(interp != NULL);
    for (unsigned op = 3; op <= 7; op++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
            for (unsigned k = 0; k < G_N_ELEMENTS(values); k++) {
                check_flags(op, values[i], values[k]);
            }
        }
    }
    close_rig();
}

/* INC keeps C, and sets the others. */
static void test_partial_flags(gconstpointer interp)
{
    const uint8_t program[] = { 0x10, 0, 0x11, 1, 0x41, 0x12, 0xff, 0xd2, END };

    open_rig(interp != NULL);
    run(0x100, program, sizeof program);
    g_assert_cmphex(tcg_flags_to_eflags(rig.cpu->flags), ==,
                    0x55); /* C from 0 - 1; P A Z from ff + 1 */
    close_rig();
}

/* A call across pages, the stack wrapping at 64 KiB, ports. */
static void test_call(gconstpointer interp)
{
    const uint8_t program[] = { 0xa0, 0x00, 0x41, 0xc4, OUT_PORT, END };
    const uint8_t callee[] = { 0xb1, 0xc0, IN_PORT, 0xb5, 0x05 };

    open_rig(interp != NULL);
    memcpy(rig.ram + 0x4100, callee, sizeof callee);
    rig.cpu->sp = 1;
    rig.cpu->reg[1] = 0x77;
    run(0x3fff - 3, program, sizeof program);
    g_assert_cmpuint(rig.cpu->reg[0], ==, 0x5a);
    g_assert_cmpuint(rig.cpu->reg[1], ==, 0x77);
    g_assert_cmpuint(rig.cpu->sp, ==, 1);
    g_assert_cmpstr(rig.out->str, ==, "Z");
    close_rig();
}

/* A vectored interrupt: its handler writes, and the interrupted code goes on with its flags. */
static void test_interrupt(gconstpointer interp)
{
    const uint8_t program[] = {
        0x10, 'a',      0x11, 1, 0x43, 0x02, /* ld a; ld b; sub a, d: flags; ei */
        0xc5, IRQ_PORT,                      /* out IRQ, b */
        0xa1, 0x0b,     0x01,                /* jmp 10b: interrupts are taken where a unit begins */
        0xc4, OUT_PORT, END,                 /* 10b: out a */
    };
    const uint8_t handler[] = { 0xb0, 0x10, 'i', 0xc4, OUT_PORT, 0x33, 0xb4, 0x04 };

    open_rig(interp != NULL);
    memcpy(rig.ram + 0x5000, handler, sizeof handler);
    rig.ram[0xff0f] = 0x50;
    rig.cpu->sp = 0x8000;
    run(0x100, program, sizeof program);
    g_assert_cmpint(rig.out->len, ==, 2);
    g_assert_nonnull(strchr(rig.out->str, 'i'));
    g_assert_nonnull(strchr(rig.out->str, 'a'));
    g_assert_cmpuint(rig.cpu->sp, ==, 0x8000);
    close_rig();
}

/* Code that changes the next instruction, itself, and what another unit has run before. */
static void test_self_modifying(gconstpointer interp)
{
    const uint8_t next[] = {
        0x10, 5, 0x84, 0x06, 0x01, 0x11, 0, END
    }; /* st a, [106]: the operand of ld b */
    const uint8_t loop[] = {
        0x10, 0,
        0x12, 3, /* ld a, 0; ld c, 3 */
        0x11, 1, /* 204: ld b, 1: its operand is changed below */
        0x31, 0x85,
        0x05, 0x02,
        0xd1, /* add a, b; st b, [205] … inc b */
        0x85, 0x05,
        0x02, /* st b, [205] */
        0x76, 0x90 | IR_NE,
        0x04, 0x02,
        END, /* cmp b, c; jne 204 */
    };

    open_rig(interp != NULL);
    run(0x100, next, sizeof next);
    g_assert_cmpuint(rig.cpu->reg[1], ==, 5);
    run(0x200, loop, sizeof loop);
    g_assert_cmpuint(rig.cpu->reg[0], ==, 1 + 2);
    close_rig();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer);
    } tests[] = {
        { "loop", test_loop },
        { "flags", test_flags },
        { "partial-flags", test_partial_flags },
        { "call", test_call },
        { "interrupt", test_interrupt },
        { "self-modifying", test_self_modifying },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *fast = g_strdup_printf("/toy/%s", tests[i].name);
        g_autofree char *slow = g_strdup_printf("/toy/%s-interpreter", tests[i].name);

        g_test_add_data_func(fast, NULL, tests[i].test);
        g_test_add_data_func(slow, GINT_TO_POINTER(1), tests[i].test);
    }
    return g_test_run();
}
