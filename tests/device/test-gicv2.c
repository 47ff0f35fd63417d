/* SPDX-License-Identifier: MIT */
/* GICv2: what IHI 0048B says of states, priorities, SGIs and groups, seen through the registers. */
#include "machine/arch/arm.h"
#include "tests/device/rig.h"

enum { DIST, CPU };
enum {
    CTLR = 0,
    PMR = 4,
    BPR = 8,
    IAR = 0xc,
    EOIR = 0x10,
    RPR = 0x14,
    HPPIR = 0x18,
    AIAR = 0x20,
    AEOIR = 0x24,
    DEACTIVATE = 0x1000
};
enum { NONE = 1023 };

static const char *const properties[] = { "num-cpu=4", "num-irq=96", NULL };

static void open_gic(Rig *rig)
{
    rig_open(rig, "arm_gic", properties);
    rig_write(rig, 0, DIST, 0, 1, 4);
    for (int cpu = 0; cpu < 4; cpu++) {
        rig_write(rig, cpu, CPU, PMR, 0xff, 4);
        rig_write(rig, cpu, CPU, CTLR, 1, 4);
    }
}

static unsigned iar(Rig *rig, int cpu)
{
    return (unsigned)rig_read(rig, cpu, CPU, IAR, 4);
}

static void eoi(Rig *rig, int cpu, unsigned value)
{
    rig_write(rig, cpu, CPU, EOIR, value, 4);
}

static int irq(const Rig *rig, unsigned cpu)
{
    return rig->levels[cpu * ARM_LINE_COUNT + ARM_LINE_IRQ];
}

static int fiq(const Rig *rig, unsigned cpu)
{
    return rig->levels[cpu * ARM_LINE_COUNT + ARM_LINE_FIQ];
}

/* Enables an SPI for the CPUs of a mask. */
static void enable_spi(Rig *rig, unsigned intid, unsigned targets, unsigned priority, bool edge)
{
    uint64_t config = rig_read(rig, 0, DIST, 0xc00 + intid / 16 * 4, 4);

    rig_write(rig, 0, DIST, 0x800 + intid, targets, 1);
    rig_write(rig, 0, DIST, 0x400 + intid, priority, 1);
    rig_write(rig, 0, DIST, 0xc00 + intid / 16 * 4,
              bits_deposit(config, intid % 16 * 2, 2, edge ? 2 : 0), 4);
    rig_write(rig, 0, DIST, 0x100 + intid / 32 * 4, 1u << intid % 32, 4);
}

static void identification(void)
{
    Rig rig;

    rig_open(&rig, "arm_gic", properties);
    g_assert_cmphex(rig_read(&rig, 0, DIST, 4, 4), ==, 3u << 5 | 2);
    g_assert_cmphex(rig_read(&rig, 0, DIST, 0xfe8, 4), ==, 0x2b);
    g_assert_cmphex(rig_read(&rig, 0, DIST, 0x100, 4), ==, 0xffff); /* SGIs are always enabled */
    g_assert_cmphex(rig_read(&rig, 2, DIST, 0x800, 4), ==, 0x04040404);
    g_assert_cmphex(rig_read(&rig, 2, DIST, 0x802, 1), ==, 0x04);
    g_assert_cmpuint(iar(&rig, 0), ==, NONE);
    g_assert_cmphex(rig_read(&rig, 0, CPU, RPR, 4), ==, 0xff);
    rig_close(&rig);
}

static void level_interrupt(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 40, 1u << 1, 0x80, false);
    rig_input(&rig, 40, 1);
    g_assert_false(irq(&rig, 0));
    g_assert_true(irq(&rig, 1));
    g_assert_cmpuint(iar(&rig, 0), ==, NONE);
    g_assert_cmpuint(iar(&rig, 1), ==, 40);
    g_assert_false(irq(&rig, 1));
    g_assert_cmphex(rig_read(&rig, 1, CPU, RPR, 4), ==, 0x80);
    g_assert_cmphex(rig_read(&rig, 1, DIST, 0x304, 4), ==, 1u << 8); /* active */
    g_assert_cmphex(rig_read(&rig, 1, DIST, 0x204, 4), ==, 1u << 8); /* and pending: still high */
    eoi(&rig, 1, 40);
    g_assert_true(irq(&rig, 1)); /* the level is still there */
    g_assert_cmpuint(iar(&rig, 1), ==, 40);
    rig_input(&rig, 40, 0);
    eoi(&rig, 1, 40);
    g_assert_false(irq(&rig, 1));
    g_assert_cmphex(rig_read(&rig, 1, CPU, RPR, 4), ==, 0xff);
    rig_close(&rig);
}

static void edge_interrupt(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 33, 1, 0x80, true);
    rig_input(&rig, 33, 1);
    rig_input(&rig, 33, 0);
    g_assert_true(irq(&rig, 0));
    g_assert_cmpuint(iar(&rig, 0), ==, 33);
    rig_input(&rig, 33, 1); /* another edge while it is active is not lost */
    rig_input(&rig, 33, 0);
    g_assert_false(irq(&rig, 0));
    eoi(&rig, 0, 33);
    g_assert_cmpuint(iar(&rig, 0), ==, 33);
    eoi(&rig, 0, 33);
    g_assert_cmpuint(iar(&rig, 0), ==, NONE);
    rig_close(&rig);
}

static void preemption(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 50, 1, 0x80, true);
    enable_spi(&rig, 51, 1, 0x40, true);
    enable_spi(&rig, 52, 1, 0x80, true);
    rig_input(&rig, 50, 1);
    g_assert_cmpuint(iar(&rig, 0), ==, 50);
    rig_input(&rig, 52, 1);
    g_assert_false(irq(&rig, 0)); /* the same priority does not preempt */
    rig_input(&rig, 51, 1);
    g_assert_true(irq(&rig, 0));
    g_assert_cmpuint(iar(&rig, 0), ==, 51);
    g_assert_cmphex(rig_read(&rig, 0, CPU, RPR, 4), ==, 0x40);
    eoi(&rig, 0, 51);
    g_assert_cmphex(rig_read(&rig, 0, CPU, RPR, 4), ==, 0x80);
    g_assert_false(irq(&rig, 0));
    eoi(&rig, 0, 50);
    g_assert_cmpuint(iar(&rig, 0), ==, 52);
    eoi(&rig, 0, 52);

    /* A binary point of 6 leaves one bit of group priority: 0x40 does not preempt 0x60. */
    rig_write(&rig, 0, CPU, BPR, 6, 4);
    rig_write(&rig, 0, DIST, 0x400 + 50, 0x60, 1);
    rig_input(&rig, 50, 0);
    rig_input(&rig, 50, 1);
    g_assert_cmpuint(iar(&rig, 0), ==, 50);
    rig_input(&rig, 51, 0);
    rig_input(&rig, 51, 1);
    g_assert_false(irq(&rig, 0));
    eoi(&rig, 0, 50);
    g_assert_true(irq(&rig, 0));
    rig_close(&rig);
}

static void mask(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 40, 1, 0x80, false);
    rig_write(&rig, 0, CPU, PMR, 0x80, 4);
    rig_input(&rig, 40, 1);
    g_assert_false(irq(&rig, 0));
    g_assert_cmpuint(iar(&rig, 0), ==, NONE);
    g_assert_cmpuint(rig_read(&rig, 0, CPU, HPPIR, 4), ==, 40);
    rig_write(&rig, 0, CPU, PMR, 0x88, 4);
    g_assert_true(irq(&rig, 0));
    rig_write(&rig, 0, DIST, 0x184, 1u << 8, 4);
    g_assert_false(irq(&rig, 0));
    rig_close(&rig);
}

static void software_interrupts(void)
{
    Rig rig;

    open_gic(&rig);
    rig_write(&rig, 0, DIST, 0xf00, 1u << 17 | 3, 4); /* 0 to 1 */
    rig_write(&rig, 2, DIST, 0xf00, 1u << 17 | 3, 4); /* 2 to 1 */
    g_assert_true(irq(&rig, 1));
    g_assert_cmphex(rig_read(&rig, 1, DIST, 0xf20, 4), ==, 5u << 24);
    g_assert_cmphex(iar(&rig, 1), ==, 0u << 10 | 3);
    eoi(&rig, 1, 3);
    g_assert_cmphex(iar(&rig, 1), ==, 2u << 10 | 3);
    eoi(&rig, 1, 2u << 10 | 3);
    g_assert_cmphex(iar(&rig, 1), ==, NONE);

    rig_write(&rig, 1, DIST, 0xf00, 1u << 24 | 5, 4); /* all but self */
    g_assert_true(irq(&rig, 0) && irq(&rig, 2) && irq(&rig, 3));
    g_assert_false(irq(&rig, 1));
    rig_write(&rig, 3, DIST, 0xf14, 0xff00, 4); /* CPENDSGIR of SGI 5 */
    g_assert_false(irq(&rig, 3));
    rig_write(&rig, 3, DIST, 0xf00, 2u << 24 | 6, 4); /* self */
    g_assert_cmphex(iar(&rig, 3), ==, 3u << 10 | 6);
    rig_close(&rig);
}

static void split_end(void)
{
    Rig rig;

    open_gic(&rig);
    rig_write(&rig, 0, CPU, CTLR, 1 | 1 << 9, 4);
    enable_spi(&rig, 40, 1, 0x80, false);
    rig_input(&rig, 40, 1);
    g_assert_cmpuint(iar(&rig, 0), ==, 40);
    eoi(&rig, 0, 40);
    g_assert_cmphex(rig_read(&rig, 0, CPU, RPR, 4), ==, 0xff);
    g_assert_false(irq(&rig, 0)); /* dropped, but still active */
    rig_write(&rig, 0, CPU, DEACTIVATE, 40, 4);
    g_assert_true(irq(&rig, 0));
    rig_close(&rig);
}

static void groups(void)
{
    Rig rig;

    open_gic(&rig);
    rig_write(&rig, 0, DIST, 0, 3, 4);
    rig_write(&rig, 0, CPU, CTLR, 3 | 1 << 3, 4); /* both groups, Group 0 as FIQ */
    enable_spi(&rig, 40, 1, 0x80, false);
    enable_spi(&rig, 41, 1, 0x40, false);
    rig_write(&rig, 0, DIST, 0x84, 1u << 8, 4); /* 40 is Group 1 */
    rig_input(&rig, 40, 1);
    g_assert_true(irq(&rig, 0));
    g_assert_cmpuint(iar(&rig, 0), ==, 1022);
    rig_input(&rig, 41, 1);
    g_assert_true(fiq(&rig, 0));
    g_assert_false(irq(&rig, 0));
    g_assert_cmpuint(iar(&rig, 0), ==, 41);
    rig_input(&rig, 41, 0);
    eoi(&rig, 0, 41);
    g_assert_cmpuint(rig_read(&rig, 0, CPU, AIAR, 4), ==, 40);
    rig_input(&rig, 40, 0);
    rig_write(&rig, 0, CPU, AEOIR, 40, 4);
    g_assert_cmphex(rig_read(&rig, 0, CPU, RPR, 4), ==, 0xff);
    rig_close(&rig);
}

static void one_of_many(void)
{
    Rig rig;

    open_gic(&rig);
    enable_spi(&rig, 60, 0xf, 0x80, true);
    rig_input(&rig, 60, 1);
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        g_assert_true(irq(&rig, cpu));
    }
    g_assert_cmpuint(iar(&rig, 2), ==, 60);
    for (unsigned cpu = 0; cpu < 4; cpu++) {
        g_assert_false(irq(&rig, cpu));
        g_assert_cmpuint(iar(&rig, (int)cpu), ==, NONE);
    }
    rig_close(&rig);
}

static void private_interrupts(void)
{
    Rig rig;

    open_gic(&rig);
    rig_write(&rig, 1, DIST, 0x100, 1u << 27, 4);
    rig_input(&rig, arm_gic_input_ppi(0, 27), 1);
    g_assert_false(irq(&rig, 0)); /* not enabled there */
    rig_input(&rig, arm_gic_input_ppi(1, 27), 1);
    g_assert_true(irq(&rig, 1));
    g_assert_cmpuint(iar(&rig, 1), ==, 27);
    rig_close(&rig);
}

static void uniprocessor(void)
{
    Rig rig;

    rig_open(&rig, "arm_gic", (const char *const[]){ "num-cpu=1", NULL });
    rig_write(&rig, 0, DIST, 0, 1, 4);
    rig_write(&rig, 0, CPU, PMR, 0xff, 4);
    rig_write(&rig, 0, CPU, CTLR, 1, 4);
    rig_write(&rig, 0, DIST, 0x104, 1, 4); /* no target is needed */
    rig_input(&rig, 32, 1);
    g_assert_true(irq(&rig, 0));
    rig_close(&rig);
}

static void hammer(void)
{
    Rig rig;

    open_gic(&rig);
    rig_hammer(&rig, 4, 100000);
    rig_close(&rig);
}

void test_gicv2(void)
{
    g_test_add_func("/gicv2/identification", identification);
    g_test_add_func("/gicv2/level", level_interrupt);
    g_test_add_func("/gicv2/edge", edge_interrupt);
    g_test_add_func("/gicv2/preemption", preemption);
    g_test_add_func("/gicv2/mask", mask);
    g_test_add_func("/gicv2/sgi", software_interrupts);
    g_test_add_func("/gicv2/split-end", split_end);
    g_test_add_func("/gicv2/groups", groups);
    g_test_add_func("/gicv2/one-of-many", one_of_many);
    g_test_add_func("/gicv2/private", private_interrupts);
    g_test_add_func("/gicv2/uniprocessor", uniprocessor);
    g_test_add_func("/gicv2/hammer", hammer);
}
