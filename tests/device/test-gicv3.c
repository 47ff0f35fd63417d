/* SPDX-License-Identifier: MIT */
/* GICv3: what IHI 0069 says, seen through the distributor, redistributors and system registers. */
#include <string.h>

#include "machine/arch/arm.h"
#include "tests/device/rig.h"

enum { DIST, REDIST };
enum { NONE = 1023 };

#define ICC(crn, crm, op2) (3u << 14 | (crn) << 7 | (crm) << 3 | (op2))
enum {
    PMR = ICC(4, 6, 0),
    IAR0 = ICC(12, 8, 0),
    EOIR0 = ICC(12, 8, 1),
    BPR0 = ICC(12, 8, 3),
    DEACTIVATE = ICC(12, 11, 1),
    RPR = ICC(12, 11, 3),
    SGI1R = ICC(12, 11, 5),
    SGI0R = ICC(12, 11, 7),
    IAR1 = ICC(12, 12, 0),
    EOIR1 = ICC(12, 12, 1),
    HPPIR1 = ICC(12, 12, 2),
    BPR1 = ICC(12, 12, 3),
    CTLR = ICC(12, 12, 4),
    SRE = ICC(12, 12, 5),
    IGRPEN0 = ICC(12, 12, 6),
    IGRPEN1 = ICC(12, 12, 7),
};

static uint64_t mrs(Rig *rig, unsigned cpu, uint32_t encoding)
{
    void *opaque;
    const ExternalRegister *reg = machine_find_external_register(rig->machine, encoding, &opaque);
    Vcpu vcpu = { .index = cpu };
    uint64_t value = 0;

    g_assert_nonnull(reg);
    g_assert_true(reg->read(opaque, &vcpu, encoding, &value));
    return value;
}

static void msr(Rig *rig, unsigned cpu, uint32_t encoding, uint64_t value)
{
    void *opaque;
    const ExternalRegister *reg = machine_find_external_register(rig->machine, encoding, &opaque);
    Vcpu vcpu = { .index = cpu };

    g_assert_nonnull(reg);
    g_assert_true(reg->write(opaque, &vcpu, encoding, value));
}

static int irq(const Rig *rig, unsigned cpu)
{
    return rig->levels[cpu * ARM_LINE_COUNT + ARM_LINE_IRQ];
}

static int fiq(const Rig *rig, unsigned cpu)
{
    return rig->levels[cpu * ARM_LINE_COUNT + ARM_LINE_FIQ];
}

static uint64_t sgi_base(unsigned cpu)
{
    return cpu * UINT64_C(0x20000) + 0x10000;
}

static void open_gic(Rig *rig)
{
    rig_open(rig, "arm-gicv3", (const char *const[]){ "num-cpu=4", "num-irq=288", NULL });
    rig_write(rig, 0, DIST, 0, 0x13, 4);
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        rig_write(rig, 0, REDIST, sgi_base(cpu) + 0x80, UINT32_MAX, 4); /* all are Group 1 */
        rig_write(rig, 0, REDIST, sgi_base(cpu) + 0x100, UINT32_MAX, 4);
        msr(rig, cpu, PMR, 0xf0);
        msr(rig, cpu, IGRPEN1, 1);
    }
}

static void enable_spi(Rig *rig, unsigned intid, unsigned cpu, unsigned priority, unsigned group)
{
    unsigned word = intid / 32 * 4;
    uint64_t groups = rig_read(rig, 0, DIST, 0x80 + word, 4);

    rig_write(rig, 0, DIST, 0x80 + word, bits_deposit(groups, intid % 32, 1, group), 4);
    rig_write(rig, 0, DIST, 0x400 + intid, priority, 1);
    rig_write(rig, 0, DIST, 0x6000 + intid * 8, cpu, 8);
    rig_write(rig, 0, DIST, 0x100 + word, 1u << intid % 32, 4);
}

static void identification(void)
{
    Rig rig;

    open_gic(&rig);
    g_assert_cmphex(rig_read(&rig, 0, DIST, 0, 4), ==, 0x53);
    g_assert_cmphex(rig_read(&rig, 0, DIST, 4, 4) & 0x1f, ==, 8); /* 288 lines */
    g_assert_cmphex(rig_read(&rig, 0, DIST, 0xffe8, 4) & 0xf0, ==, 0x30);
    g_assert_cmphex(rig_read(&rig, 0, REDIST, 0xffe8, 4) & 0xf0, ==, 0x30);
    g_assert_cmphex(rig_read(&rig, 0, REDIST, 8, 8), ==, 0);
    g_assert_cmphex(rig_read(&rig, 0, REDIST, 0x60008, 8), ==, UINT64_C(3) << 32 | 3 << 8 | 1 << 4);
    g_assert_cmphex(rig_read(&rig, 0, REDIST, 0x14, 4), ==, 6);
    rig_write(&rig, 0, REDIST, 0x14, 0, 4);
    g_assert_cmphex(rig_read(&rig, 0, REDIST, 0x14, 4), ==, 0);
    g_assert_cmphex(mrs(&rig, 0, SRE), ==, 7);
    g_assert_cmphex(mrs(&rig, 0, CTLR), ==, 4u << 8);
    g_assert_cmphex(mrs(&rig, 0, PMR), ==, 0xf0);
    g_assert_cmphex(mrs(&rig, 0, BPR0), ==, 2);
    g_assert_cmphex(mrs(&rig, 0, BPR1), ==, 3);
    /* Private interrupts are not the distributor's. */
    g_assert_cmphex(rig_read(&rig, 0, DIST, 0x100, 4), ==, 0);
    rig_close(&rig);
}

/* More CPUs than any fixed table: routes and SGIs beyond the first clusters. */
static void many_cpus(void)
{
    enum { CPUS = 256, REDIST_2 = 2 };
    Rig rig;

    rig_open(&rig, "arm-gicv3",
             (const char *const[]){ "num-cpu=256", "num-irq=288", "first-region-cpus=123", NULL });
    g_assert_cmpuint(rig.device->irq_count, ==, CPUS * ARM_LINE_COUNT);
    g_assert_cmphex(rig_read(&rig, 0, REDIST, 122 * 0x20000 + 8, 8), ==,
                    UINT64_C(0x70a) << 32 | 122 << 8 | 1 << 4);
    g_assert_cmphex(rig_read(&rig, 0, REDIST_2, 8, 8), ==, UINT64_C(0x70b) << 32 | 123 << 8);
    rig_write(&rig, 0, DIST, 0, 3, 4);
    for (unsigned cpu = 0; cpu < CPUS; cpu += 51) {
        msr(&rig, cpu, PMR, 0xff);
        msr(&rig, cpu, IGRPEN1, 1);
        if (cpu < 123) {
            rig_write(&rig, 0, REDIST, sgi_base(cpu) + 0x80, UINT32_MAX, 4);
            rig_write(&rig, 0, REDIST, sgi_base(cpu) + 0x100, UINT32_MAX, 4);
        } else {
            rig_write(&rig, 0, REDIST_2, sgi_base(cpu - 123) + 0x80, UINT32_MAX, 4);
            rig_write(&rig, 0, REDIST_2, sgi_base(cpu - 123) + 0x100, UINT32_MAX, 4);
        }
    }
    enable_spi(&rig, 40, 0xf0f, 0x80, 1); /* to CPU 255 */
    rig_input(&rig, 40, 1);
    g_assert_cmpint(irq(&rig, 255), ==, 1);
    g_assert_cmpint(irq(&rig, 0), ==, 0);
    g_assert_cmphex(mrs(&rig, 255, IAR1), ==, 40);
    /* SGI 3 to Aff1 12, Aff0 12: CPU 204; then to all but the sender. */
    msr(&rig, 0, SGI1R, UINT64_C(12) << 16 | 3 << 24 | 1 << 12);
    g_assert_cmpint(irq(&rig, 204), ==, 1);
    g_assert_cmpint(irq(&rig, 153), ==, 0);
    g_assert_cmphex(mrs(&rig, 204, IAR1), ==, 3);
    msr(&rig, 51, SGI1R, UINT64_C(1) << 40 | 5 << 24);
    g_assert_cmphex(mrs(&rig, 51, IAR1), ==, NONE);
    g_assert_cmphex(mrs(&rig, 153, IAR1), ==, 5);
    /* Affinities that nobody has reach nobody. */
    msr(&rig, 0, SGI1R, UINT64_C(16) << 16 | 6 << 24 | 0xffff);
    msr(&rig, 0, SGI1R, UINT64_C(1) << 44 | 6 << 24 | 0xffff);
    g_assert_cmphex(mrs(&rig, 102, IAR1), ==, 5);
    g_assert_cmphex(mrs(&rig, 102, HPPIR1), ==, NONE);
    rig_close(&rig);
}

static void routing(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 40, 2, 0x80, 1);
    rig_input(&rig, 40, 1);
    g_assert_true(irq(&rig, 2));
    rig_write(&rig, 0, DIST, 0x6000 + 40 * 8, 1, 8);
    g_assert_false(irq(&rig, 2));
    g_assert_true(irq(&rig, 1));
    rig_write(&rig, 0, DIST, 0x6000 + 40 * 8, 0x100, 8); /* no such CPU */
    g_assert_false(irq(&rig, 1));
    rig_write(&rig, 0, DIST, 0x6000 + 40 * 8, 3, 4); /* half of the register */
    g_assert_true(irq(&rig, 3));
    g_assert_cmpuint(mrs(&rig, 3, HPPIR1), ==, 40);
    g_assert_cmpuint(mrs(&rig, 3, IAR0), ==, NONE);
    g_assert_cmpuint(mrs(&rig, 3, IAR1), ==, 40);
    g_assert_false(irq(&rig, 3));
    g_assert_cmphex(mrs(&rig, 3, RPR), ==, 0x80);
    rig_input(&rig, 40, 0);
    msr(&rig, 3, EOIR1, 40);
    g_assert_cmphex(mrs(&rig, 3, RPR), ==, 0xff);
    g_assert_cmpuint(mrs(&rig, 3, IAR1), ==, NONE);
    rig_close(&rig);
}

static void nesting(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 40, 0, 0xa0, 1);
    enable_spi(&rig, 41, 0, 0x20, 1);
    enable_spi(&rig, 42, 0, 0xa0, 1);
    rig_input(&rig, 40, 1);
    g_assert_cmpuint(mrs(&rig, 0, IAR1), ==, 40);
    rig_input(&rig, 42, 1);
    g_assert_false(irq(&rig, 0));
    rig_input(&rig, 41, 1);
    g_assert_true(irq(&rig, 0));
    g_assert_cmpuint(mrs(&rig, 0, IAR1), ==, 41);
    rig_input(&rig, 41, 0);
    msr(&rig, 0, EOIR1, 41);
    g_assert_cmphex(mrs(&rig, 0, RPR), ==, 0xa0);
    rig_input(&rig, 40, 0);
    msr(&rig, 0, EOIR1, 40);
    g_assert_cmpuint(mrs(&rig, 0, IAR1), ==, 42);
    rig_close(&rig);
}

static void split_end(void)
{
    Rig rig;

    open_gic(&rig);
    msr(&rig, 0, CTLR, 2);
    g_assert_cmphex(mrs(&rig, 0, CTLR), ==, 4u << 8 | 2);
    enable_spi(&rig, 40, 0, 0x80, 1);
    rig_input(&rig, 40, 1);
    g_assert_cmpuint(mrs(&rig, 0, IAR1), ==, 40);
    msr(&rig, 0, EOIR1, 40);
    g_assert_cmphex(mrs(&rig, 0, RPR), ==, 0xff);
    g_assert_false(irq(&rig, 0));
    msr(&rig, 1, DEACTIVATE, 40); /* EOImode is 0 there: ignored */
    g_assert_false(irq(&rig, 0));
    msr(&rig, 0, DEACTIVATE, 40);
    g_assert_true(irq(&rig, 0));
    rig_close(&rig);
}

static void software_interrupts(void)
{
    Rig rig;

    open_gic(&rig);
    msr(&rig, 0, SGI1R, UINT64_C(7) << 24 | 0xa); /* to 1 and 3 */
    g_assert_false(irq(&rig, 0) || irq(&rig, 2));
    g_assert_true(irq(&rig, 1) && irq(&rig, 3));
    g_assert_cmpuint(mrs(&rig, 1, IAR1), ==, 7);
    msr(&rig, 1, EOIR1, 7);
    g_assert_cmpuint(mrs(&rig, 1, IAR1), ==, NONE);
    g_assert_cmpuint(mrs(&rig, 3, IAR1), ==, 7);
    msr(&rig, 0, SGI1R, UINT64_C(1) << 40 | UINT64_C(3) << 24); /* all but self */
    g_assert_false(irq(&rig, 0));
    g_assert_true(irq(&rig, 1) && irq(&rig, 2));
    msr(&rig, 2, SGI1R, UINT64_C(1) << 16 | 1); /* another cluster */
    g_assert_false(irq(&rig, 0));
    msr(&rig, 2, SGI0R, 1); /* Group 0, but it is configured as Group 1 */
    g_assert_false(irq(&rig, 0) || fiq(&rig, 0));
    rig_close(&rig);
}

static void group0(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 50, 0, 0x40, 0);
    rig_input(&rig, 50, 1);
    g_assert_false(fiq(&rig, 0));
    msr(&rig, 0, IGRPEN0, 1);
    g_assert_true(fiq(&rig, 0));
    g_assert_false(irq(&rig, 0));
    g_assert_cmpuint(mrs(&rig, 0, IAR1), ==, NONE);
    g_assert_cmpuint(mrs(&rig, 0, IAR0), ==, 50);
    msr(&rig, 0, EOIR1, 50); /* not the group of what is active: ignored */
    g_assert_cmphex(mrs(&rig, 0, RPR), ==, 0x40);
    rig_input(&rig, 50, 0);
    msr(&rig, 0, EOIR0, 50);
    g_assert_cmphex(mrs(&rig, 0, RPR), ==, 0xff);
    rig_close(&rig);
}

static void private_interrupts(void)
{
    Rig rig;

    open_gic(&rig);
    rig_input(&rig, arm_gic_input_ppi(2, 27), 1);
    g_assert_true(irq(&rig, 2));
    g_assert_false(irq(&rig, 0));
    g_assert_cmphex(rig_read(&rig, 0, REDIST, sgi_base(2) + 0x200, 4), ==, 1u << 27);
    rig_write(&rig, 0, REDIST, sgi_base(2) + 0x180, 1u << 27, 4);
    g_assert_false(irq(&rig, 2));
    rig_close(&rig);
}

static void hammer(void)
{
    static const uint32_t registers[] = { PMR,   BPR0, BPR1, DEACTIVATE, RPR,    SGI1R,
                                          SGI0R, CTLR, SRE,  IGRPEN0,    IGRPEN1 };
    Rig rig;

    open_gic(&rig);
    for (unsigned round = 0; round < 20; round++) {
        rig_hammer(&rig, 4, 5000);
        for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
            void *opaque;
            const ExternalRegister *reg =
                machine_find_external_register(rig.machine, registers[i], &opaque);
            Vcpu vcpu = { .index = round % 9 };
            uint64_t value = g_test_rand_int();

            reg->write(opaque, &vcpu, registers[i], value << 20 ^ value);
            reg->read(opaque, &vcpu, registers[i], &value);
        }
    }
    rig_close(&rig);
}

/*
 * Four CPUs at once, each taking interrupts by IAR and EOIR, while edges and levels come from other
 * threads: each edge is taken exactly once, and no level is taken after it fell.
 */
enum { CPUS = 4, FIRST_EDGE = 64, FIRST_LEVEL = 96, PULSES = 3000 };

typedef struct {
    Rig *rig;
    unsigned index;
    atomic_uint *taken; /* by INTID, of all CPUs */
    atomic_bool *done;
} Party;

static void *cpu_thread(void *opaque)
{
    const Party *p = opaque;

    while (!atomic_load(p->done)) {
        unsigned intid = (unsigned)mrs(p->rig, p->index, IAR1);

        if (intid == NONE) {
            g_thread_yield();
            continue;
        }
        if (intid >= FIRST_LEVEL && intid < FIRST_LEVEL + CPUS) {
            rig_input(p->rig, (int)intid, 0); /* the driver satisfies the device */
        }
        atomic_fetch_add(&p->taken[intid], 1);
        msr(p->rig, p->index, EOIR1, intid);
    }
    return NULL;
}

/* Gives each CPU's thread an edge or a level and waits until it is taken. */
static void *source_thread(void *opaque)
{
    const Party *p = opaque;
    unsigned first = p->index ? FIRST_LEVEL : FIRST_EDGE;

    for (unsigned i = 0; i < PULSES; i++) {
        unsigned intid = first + i % CPUS, before = atomic_load(&p->taken[intid]);

        rig_input(p->rig, (int)intid, 1);
        if (first == FIRST_EDGE) {
            rig_input(p->rig, (int)intid, 0);
        }
        while (atomic_load(&p->taken[intid]) == before) {
            g_thread_yield();
        }
    }
    return NULL;
}

static void concurrency(void)
{
    static atomic_uint taken[288];
    atomic_bool done = false;
    GThread *cpus[CPUS], *sources[2];
    Party parties[CPUS], makers[2];
    Rig rig;

    memset(taken, 0, sizeof taken);
    open_gic(&rig);
    for (unsigned i = 0; i < CPUS; i++) {
        enable_spi(&rig, FIRST_EDGE + i, i, 0x80, 1);
        enable_spi(&rig, FIRST_LEVEL + i, (i + 1) % CPUS, 0x40, 1);
    }
    rig_write(&rig, 0, DIST, 0xc00 + FIRST_EDGE / 16 * 4, 0xaa, 4);
    for (unsigned i = 0; i < CPUS; i++) {
        parties[i] = (Party){ &rig, i, taken, &done };
        cpus[i] = g_thread_new("cpu", cpu_thread, &parties[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        makers[i] = (Party){ &rig, i, taken, &done };
        sources[i] = g_thread_new("source", source_thread, &makers[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        g_thread_join(sources[i]);
    }
    atomic_store(&done, true);
    for (unsigned i = 0; i < CPUS; i++) {
        g_thread_join(cpus[i]);
        g_assert_cmpuint(atomic_load(&taken[FIRST_EDGE + i]), ==, PULSES / CPUS);
        g_assert_cmpuint(atomic_load(&taken[FIRST_LEVEL + i]), ==, PULSES / CPUS);
        g_assert_cmphex(mrs(&rig, i, RPR), ==, 0xff);
        g_assert_false(irq(&rig, i));
    }
    rig_close(&rig);
}

/* A frame that turns a write into an edge of the interrupt that it names. */
static int v2m_number, v2m_edges;

static void note_edge(void *opaque, int number, int level)
{
    v2m_number = number;
    v2m_edges += level;
}

static void message_frame(void)
{
    Rig rig;

    rig_open(&rig, "arm-gicv2m", (const char *const[]){ "base-spi=48", "num-spi=64", NULL });
    device_connect_irq(rig.device, 0, note_edge, NULL, arm_gic_input_spi(48));
    g_assert_cmphex(rig_read(&rig, 0, 0, 8, 4), ==, 80u << 16 | 64);
    rig_write(&rig, 0, 0, 0x40, 80 + 5, 4);
    g_assert_cmpint(v2m_number, ==, 85);
    g_assert_cmpint(v2m_edges, ==, 1);
    rig_write(&rig, 0, 0, 0x40, 80 + 64, 4);
    rig_write(&rig, 0, 0, 0x40, 79, 4);
    g_assert_cmpint(v2m_edges, ==, 1);
    rig_close(&rig);
}

void test_gicv3(void)
{
    g_test_add_func("/gicv3/identification", identification);
    g_test_add_func("/gicv3/many-cpus", many_cpus);
    g_test_add_func("/gicv3/routing", routing);
    g_test_add_func("/gicv3/nesting", nesting);
    g_test_add_func("/gicv3/split-end", split_end);
    g_test_add_func("/gicv3/sgi", software_interrupts);
    g_test_add_func("/gicv3/group0", group0);
    g_test_add_func("/gicv3/private", private_interrupts);
    g_test_add_func("/gicv3/hammer", hammer);
    g_test_add_func("/gicv3/concurrency", concurrency);
    g_test_add_func("/gicv3/message-frame", message_frame);
}
