/* SPDX-License-Identifier: MIT */
/*
 * machine/debug.h on the translator and on the interpreter: breakpoints, watchpoints and single steps stop where they
 * should, as often as they should, with the values that they should tell.
 */
#include <glib.h>
#include <stdio.h>

#include "base/bits.h"
#include "machine/debug.h"
#include "tests/isa/rig.h"

enum {
    ROUNDS = 10,
    DATA = 0x40100000,
    LOOP = RIG_RAM + 8, /* of the program */
    STORE = RIG_RAM + 0xc,
    LOAD = RIG_RAM + 0x10,
    END = RIG_RAM + 0x1c,
    MANY_ROUNDS = 0xffff,
    PARKS = 100000,
    PARKS_END = 0x2000,  /* in RAM: not 0, the parked program ends */
    HANDLER = 4 + 1 + 2, /* instructions before the HVC that ends the run */
};

static const uint32_t program[] = {
    0xd2800001, /* mov x1, #0 */
    0xd2a80202, /* mov x2, #DATA */
    0x91000421, /* 1: add x1, x1, #1 */
    0xf9000041, /* str x1, [x2] */
    0xf9400043, /* ldr x3, [x2] */
    0xeb05003f, /* cmp x1, x5 */
    0x54ffff81, /* b.ne 1b */
    0xd4200000, /* brk #0 */
};

typedef struct {
    DebugClient client;
    IsaRig rig;
    bool silent; /* counts, and does not stop */
    unsigned reached, stops, by_kind[DEBUG_STOP_EVENT + 1];
    uint64_t pcs[64];
    DebugStop last[64];
    uint64_t x1[64];
    DebugMove move;     /* after each stop */
    DebugPoint *remove; /* at the first stop */
    _Atomic bool kicked_enough;
} Test;

static bool reached(DebugClient *client, const DebugStop *stop)
{
    Test *test = (Test *)client;

    test->reached++;
    return !test->silent;
}

static void stopped(DebugClient *client, const DebugStop *stop)
{
    Test *test = (Test *)client;

    if (stop->kind == DEBUG_STOP_NONE) {
        return; /* the end */
    }
    if (test->stops < ARRAY_SIZE(test->last)) {
        test->last[test->stops] = *stop;
        test->x1[test->stops] = test->rig.cpu->x[1];
    }
    test->by_kind[stop->kind]++;
    test->stops++;
    if (test->remove) {
        debug_remove_point(client->machine, test->remove);
        test->remove = NULL;
    }
    debug_set_move(stop->vcpu, test->move, client);
    machine_start(client->machine);
}

static bool open_test(Test *test, bool interp, unsigned rounds)
{
    *test = (Test){ .client = { .name = "test", .reached = reached, .stopped = stopped } };
    if (!isa_rig_open(&test->rig, "max", 1, interp)) {
        return false;
    }
    memcpy(test->rig.ram, program, sizeof program);
    test->rig.cpu->x[5] = rounds;
    debug_add_client(test->rig.machine, &test->client);
    return true;
}

static void add(Test *test, const DebugPoint *point)
{
    GError *error = NULL;

    debug_add_point(test->rig.machine, point, &error);
    g_assert_no_error(error);
}

static void close_test(Test *test)
{
    g_assert_cmpuint(test->rig.cpu->x[1], ==, test->rig.cpu->x[5]);
    debug_remove_client(&test->client);
    isa_rig_close(&test->rig);
}

static void check_breaks(bool interp, bool physical)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint point = { &test.client, NULL, LOOP, 1, DEBUG_EXECUTE, physical };

    add(&test, &point);
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.stops, ==, ROUNDS);
    for (unsigned i = 0; i < ROUNDS; i++) {
        g_assert_cmpint(test.last[i].kind, ==, DEBUG_STOP_BREAK);
        g_assert_true(test.last[i].point == &point);
        g_assert_cmphex(test.last[i].pc, ==, LOOP);
        g_assert_cmpuint(test.x1[i], ==, i);
    }
    close_test(&test);
}

static void test_breaks(const void *interp)
{
    check_breaks(interp, false);
    check_breaks(interp, true);
}

/* Points that only count, in the midst of a unit; and none that is left once they are gone. */
static void test_silent(const void *interp)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint points[] = {
        { &test.client, NULL, LOOP, 1, DEBUG_EXECUTE },
        { &test.client, NULL, LOAD, 1, DEBUG_EXECUTE },
        { &test.client, NULL, LOAD + 0x1000, 1, DEBUG_EXECUTE },
    };

    test.silent = true;
    for (unsigned i = 0; i < ARRAY_SIZE(points); i++) {
        add(&test, &points[i]);
    }
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.reached, ==, 2 * ROUNDS);
    g_assert_cmpuint(test.stops, ==, 0);
    close_test(&test);
}

static void test_removed(const void *interp)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    DebugPoint point = { &test.client, NULL, LOOP, 1, DEBUG_EXECUTE };

    add(&test, &point);
    test.remove = &point;
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.stops, ==, 1);
    close_test(&test);
}

static void check_watch(bool interp, unsigned access, uint64_t address, unsigned size,
                        bool physical, uint64_t pc)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint point = { &test.client, NULL, address, size, (uint8_t)access, physical };
    bool reads = access == DEBUG_READ;

    add(&test, &point);
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.stops, ==, ROUNDS);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const DebugStop *stop = &test.last[i];

        g_assert_cmpint(stop->kind, ==, DEBUG_STOP_WATCH);
        g_assert_cmpuint(stop->access, ==, access);
        g_assert_cmphex(stop->pc, ==, pc);
        g_assert_cmphex(stop->address, ==, address);
        g_assert_true(stop->values_known);
        if (address == DATA) {
            g_assert_cmpuint(stop->old_value, ==, reads ? i + 1 : i);
            g_assert_cmpuint(stop->new_value, ==, i + 1);
        }
    }
    close_test(&test);
}

static void test_watches(const void *interp)
{
    check_watch(interp, DEBUG_WRITE, DATA, 8, false, STORE + 4);
    check_watch(interp, DEBUG_READ, DATA, 4, false, LOAD + 4);
    check_watch(interp, DEBUG_WRITE, DATA + 6, 1, false, STORE + 4);
    check_watch(interp, DEBUG_WRITE, DATA, 1, true, STORE + 4);
}

static void test_watch_before(const void *interp)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint point = {
        &test.client, NULL, DATA, 8, DEBUG_READ | DEBUG_WRITE, .before = true
    };

    add(&test, &point);
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.stops, ==, 2 * ROUNDS);
    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        g_assert_cmphex(test.last[i].pc, ==, i % 2 ? LOAD : STORE);
        g_assert_cmpuint(test.last[i].access, ==, i % 2 ? DEBUG_READ : DEBUG_WRITE);
    }
    close_test(&test);
}

/* Near what is watched: the page is the same, the bytes are not. */
static void test_watch_near(const void *interp)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint points[] = {
        { &test.client, NULL, DATA + 8, 8, DEBUG_WRITE },
        { &test.client, NULL, DATA - 1, 1, DEBUG_READ | DEBUG_WRITE },
    };

    add(&test, &points[0]);
    add(&test, &points[1]);
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.stops, ==, 0);
    close_test(&test);
}

/* Each instruction of the program up to BRK, then those of the handler. */
static void test_steps(const void *interp)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint point = { &test.client, NULL, LOAD, 1, DEBUG_EXECUTE };

    debug_set_move(&test.rig.cpu->vcpu, test.move = DEBUG_STEP, &test.client);
    add(&test, &point);
    isa_rig_run(&test.rig, RIG_RAM);
    /* A step onto a breakpoint is told of once, as a breakpoint. */
    g_assert_cmpuint(test.by_kind[DEBUG_STOP_BREAK], ==, ROUNDS);
    g_assert_cmpuint(test.stops, ==, 2 + 5 * ROUNDS + 1 + HANDLER);
    g_assert_cmphex(test.last[0].pc, ==, RIG_RAM + 4);
    g_assert_cmphex(test.last[1].pc, ==, LOOP);
    g_assert_cmphex(test.last[2 + 5 * ROUNDS - 1].pc, ==, END);
    close_test(&test);
}

/* Kicks until it is told to stop. */
static void *kick_often(void *data)
{
    Test *test = data;

    while (!atomic_load(&test->kicked_enough)) {
        vcpu_kick(&test->rig.cpu->vcpu);
    }
    return NULL;
}

/* Parks the CPU again and again, at once when it goes on; then ends its loop. */
static void *park_often(void *data)
{
    Test *test = data;
    _Atomic uint8_t *flags = (_Atomic uint8_t *)(test->rig.ram + PARKS_END);

    while (!atomic_load(&flags[1])) {
    }
    for (unsigned i = 0; i < PARKS; i++) {
        machine_exclusive_begin(test->rig.machine);
        machine_exclusive_end(test->rig.machine);
    }
    atomic_store(&flags[0], 1);
    return NULL;
}

/* A program that nothing disturbs parks all the same when it is asked to just before it goes on. */
static void test_parked(const void *interp)
{
    static const uint32_t code[] = {
        0x52800023, /* mov w3, #1 */
        0x39000403, /* strb w3, [x0, #1] */
        0x39400002, /* 1: ldrb w2, [x0] */
        0x34ffffe2, /* cbz w2, 1b */
        0xd4200000, /* brk #0 */
    };
    Test test = { 0 };
    GThread *thread;

    if (!isa_rig_open(&test.rig, "max", 1, interp != NULL)) {
        return;
    }
    memcpy(test.rig.ram, code, sizeof code);
    memset(test.rig.ram + PARKS_END, 0, 2);
    test.rig.cpu->x[0] = RIG_RAM + PARKS_END;
    thread = g_thread_new("parks", park_often, &test);
    isa_rig_run(&test.rig, RIG_RAM);
    g_thread_join(thread);
    isa_rig_close(&test.rig);
}

/* A kick that comes when the unit of a step is about to begin is not a step. */
static void test_kicked(const void *interp)
{
    Test test;
    GThread *thread;

    if (!open_test(&test, interp, 2000)) {
        return;
    }
    debug_set_move(&test.rig.cpu->vcpu, test.move = DEBUG_STEP, &test.client);
    thread = g_thread_new("kicks", kick_often, &test);
    isa_rig_run(&test.rig, RIG_RAM);
    atomic_store(&test.kicked_enough, true);
    g_thread_join(thread);
    g_assert_cmpuint(test.stops, ==, 2 + 5 * 2000 + 1 + HANDLER);
    close_test(&test);
}

/* A range of two instructions. */
static void test_range(const void *interp)
{
    Test test;

    if (!open_test(&test, interp, ROUNDS)) {
        return;
    }
    const DebugPoint point = { &test.client, NULL, STORE, 8, DEBUG_EXECUTE };

    add(&test, &point);
    isa_rig_run(&test.rig, RIG_RAM);
    g_assert_cmpuint(test.stops, ==, 2 * ROUNDS);
    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        g_assert_cmphex(test.last[i].pc, ==, i % 2 ? LOAD : STORE);
    }
    close_test(&test);
}

/* A load that faults because it is not aligned, and is done again when the handler has mended that. */
static const uint32_t faulting[] = {
    0xd2a80000,             /* mov x0, #RIG_RAM + 0x800 */
    0xf2810000, 0xd518c000, /* msr vbar_el1, x0 */
    0xd5033fdf,             /* isb */
    0xd2a80002,             /* mov x2, #RIG_RAM + 0x1001 */
    0xf2820022, 0xf9400043, /* ldr x3, [x2] */
    0xd518d082,             /* msr tpidr_el1, x2 */
    0xd538d084,             /* mrs x4, tpidr_el1 */
    0x52b08000,             /* mov w0, #PSCI SYSTEM_OFF */
    0x72800100, 0xd4000002, /* hvc #0 */
};
static const uint32_t mends[] = {
    0x927df042, /* and x2, x2, #-8 */
    0xd69f03e0, /* eret */
};
enum { FAULTING_LOAD = RIG_RAM + 0x18, VECTOR = 0x800 + 0x200 };

static bool open_faulting(Test *test, bool interp)
{
    if (!open_test(test, interp, 0)) {
        return false;
    }
    memcpy(test->rig.ram, faulting, sizeof faulting);
    memcpy(test->rig.ram + VECTOR, mends, sizeof mends);
    return true;
}

static void close_faulting(Test *test)
{
    g_assert_cmphex(test->rig.cpu->x[4], ==, RIG_RAM + 0x1000);
    debug_remove_client(&test->client);
    isa_rig_close(&test->rig);
}

static void test_faulting(const void *interp)
{
    Test test;

    if (!open_faulting(&test, interp)) {
        return;
    }
    const DebugPoint point = { &test.client, NULL, FAULTING_LOAD, 1, DEBUG_EXECUTE };

    add(&test, &point);
    isa_rig_run_bare(&test.rig);
    g_assert_cmpuint(test.stops, ==, 1);
    close_faulting(&test);
}

typedef struct {
    unsigned reads, writes, counted;
    uint64_t pc;
} Happened;
static Happened happened;

static bool count_event(DebugClient *client, Vcpu *vcpu, const DebugEvent *event, void **opaque)
{
    if (event->kind == DEBUG_INSTRUCTIONS && event->source == &happened) {
        happened.counted++;
        happened.pc = vcpu->target->get_pc(vcpu);
    } else if (event->kind == DEBUG_REGISTER && strcmp(event->name, "tpidr_el1") == 0 &&
               event->value == RIG_RAM + 0x1000) {
        happened.writes += event->write;
        happened.reads += !event->write;
        happened.pc = vcpu->target->get_pc(vcpu);
    }
    return false;
}

/* Accesses to a register that translated code has in a register of the host. */
static void test_registers(const void *interp)
{
    Test test;

    if (!open_faulting(&test, interp)) {
        return;
    }
    happened = (Happened){ 0 };
    test.client.happened = count_event;
    debug_want(&test.client, UINT32_C(1) << DEBUG_REGISTER);
    isa_rig_run_bare(&test.rig);
    g_assert_cmpuint(happened.writes, ==, 1);
    g_assert_cmpuint(happened.reads, ==, 1);
    g_assert_cmphex(happened.pc, ==, FAULTING_LOAD + 8);
    close_faulting(&test);
}

/* The load, which counts twice, is the seventh and, behind the handler's two, the tenth. */
static void test_count(const void *interp)
{
    Test test;

    if (!open_faulting(&test, interp)) {
        return;
    }
    happened = (Happened){ 0 };
    test.client.happened = count_event;
    debug_want(&test.client, UINT32_C(1) << DEBUG_INSTRUCTIONS);
    g_assert_true(debug_count(&test.rig.cpu->vcpu, 10, &happened));
    g_assert_false(debug_count(&test.rig.cpu->vcpu, 1, &test));
    isa_rig_run_bare(&test.rig);
    g_assert_cmpuint(happened.counted, ==, 1);
    g_assert_cmphex(happened.pc, ==, FAULTING_LOAD + 4);
    close_faulting(&test);
}

static void report(const char *what, unsigned count, int64_t us)
{
    printf("# %s: %u in %.3f s, %.0f a second\n", what, count, (double)us / 1e6,
           count * 1e6 / (double)us);
}

/* Nothing is judged here but that none is missed: how fast it is, is printed. */
static void test_speed(const void *interp)
{
    int64_t start;
    Test test;

    if (!open_test(&test, interp, MANY_ROUNDS)) {
        return;
    }
    const DebugPoint point = { &test.client, NULL, LOAD, 1, DEBUG_EXECUTE };

    test.silent = true;
    add(&test, &point);
    start = g_get_monotonic_time();
    isa_rig_run(&test.rig, RIG_RAM);
    report("breakpoints decided on the CPU's thread", test.reached, g_get_monotonic_time() - start);
    g_assert_cmpuint(test.reached, ==, MANY_ROUNDS);
    close_test(&test);

    g_assert_true(open_test(&test, interp, MANY_ROUNDS));
    test.silent = true;
    debug_set_move(&test.rig.cpu->vcpu, DEBUG_STEP, &test.client);
    start = g_get_monotonic_time();
    isa_rig_run(&test.rig, RIG_RAM);
    report("single steps", test.reached, g_get_monotonic_time() - start);
    g_assert_cmpuint(test.reached, >=, 5 * MANY_ROUNDS);
    close_test(&test);

    g_assert_true(open_test(&test, interp, MANY_ROUNDS));
    const DebugPoint watch = { &test.client, NULL, DATA, 8, DEBUG_WRITE };

    test.silent = true;
    add(&test, &watch);
    start = g_get_monotonic_time();
    isa_rig_run(&test.rig, RIG_RAM);
    report("watchpoints decided on the CPU's thread", test.reached, g_get_monotonic_time() - start);
    g_assert_cmpuint(test.reached, ==, MANY_ROUNDS);
    close_test(&test);
}

static void add_test(const char *name, GTestDataFunc function)
{
    g_autofree char *translated = g_strdup_printf("/debug/translator/%s", name);
    g_autofree char *interpreted = g_strdup_printf("/debug/interpreter/%s", name);

    g_test_add_data_func(translated, NULL, function);
    g_test_add_data_func(interpreted, "on", function);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add_test("breaks", test_breaks);
    add_test("silent", test_silent);
    add_test("range", test_range);
    add_test("faulting", test_faulting);
    add_test("registers", test_registers);
    add_test("count", test_count);
    add_test("removed", test_removed);
    add_test("watches", test_watches);
    add_test("watch-before", test_watch_before);
    add_test("watch-near", test_watch_near);
    add_test("steps", test_steps);
    add_test("kicked", test_kicked);
    add_test("parked", test_parked);
    add_test("speed", test_speed);
    return g_test_run();
}
