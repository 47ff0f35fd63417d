/* SPDX-License-Identifier: MIT */
/* The PIC, local APICs and the I/O APIC, wired as on a PC. */
#include <string.h>

#include "hw/irq/apic.h"
#include "tests/device/pc-rig.h"

enum { MASTER = 0x20, SLAVE = 0xa0, ELCR = 0x4d0, BASE_1 = 0x30, BASE_2 = 0x38 };

typedef struct {
    PcRig rig;
    Device *pic, *ioapic, *apic[PC_RIG_CPUS];
} Controllers;

static void initialize_pic(PcRig *rig, uint16_t port, uint8_t base, uint8_t icw3, uint8_t icw4)
{
    pc_rig_out(rig, port, 0x11);
    pc_rig_out(rig, port + 1, base);
    pc_rig_out(rig, port + 1, icw3);
    pc_rig_out(rig, port + 1, icw4);
    pc_rig_out(rig, port + 1, 0);
}

static void open_controllers(Controllers *c)
{
    PcRig *rig = &c->rig;

    pc_rig_open(rig);
    c->pic = pc_rig_add(rig, "isa-i8259", NULL);
    device_map_io(c->pic, 0, MASTER);
    device_map_io(c->pic, 1, SLAVE);
    device_map_io(c->pic, 2, ELCR);
    c->ioapic = pc_rig_add(rig, "ioapic", NULL);
    device_map(c->ioapic, 0, PC_IOAPIC_ADDRESS);
    for (unsigned i = 0; i < PC_RIG_CPUS; i++) {
        g_autofree char *cpu = g_strdup_printf("cpu=%u", i);

        c->apic[i] = pc_rig_add(rig, "apic", cpu);
        device_connect_irq(c->apic[i], 0, c->ioapic->type->input, c->ioapic, IOAPIC_INPUT_EOI);
        device_connect_acknowledge(c->apic[i], 0, c->pic);
        vcpu_connect_acknowledge(pc_rig_cpu(rig, i), c->apic[i]);
    }
    device_map(c->apic[0], 0, PC_APIC_ADDRESS);
    device_connect_irq(c->pic, 0, c->apic[0]->type->input, c->apic[0], APIC_INPUT_LINT0);
    initialize_pic(rig, MASTER, BASE_1, 4, 1);
    initialize_pic(rig, SLAVE, BASE_2, 2, 1);
}

static void pin(Device *device, int number, int level)
{
    device->type->input(device, number, level);
}

static void pulse(Device *device, int number)
{
    pin(device, number, 1);
    pin(device, number, 0);
}

static int take(Controllers *c, unsigned cpu)
{
    return vcpu_acknowledge(pc_rig_cpu(&c->rig, cpu));
}

static void end(Controllers *c, unsigned irq)
{
    if (irq >= 8) {
        pc_rig_out(&c->rig, SLAVE, 0x20);
    }
    pc_rig_out(&c->rig, MASTER, 0x20);
}

static uint8_t isr(Controllers *c, uint16_t port)
{
    pc_rig_out(&c->rig, port, 0x0b);
    return pc_rig_in(&c->rig, port);
}

static uint8_t irr(Controllers *c, uint16_t port)
{
    pc_rig_out(&c->rig, port, 0x0a);
    return pc_rig_in(&c->rig, port);
}

/* The APICs as at power-on: the PIC reaches the first CPU. */
static void test_pic_priorities(void)
{
    Controllers c;

    open_controllers(&c);
    pin(c.pic, 4, 1);
    g_assert_true(pc_rig_intr(&c.rig, 0));
    g_assert_false(pc_rig_intr(&c.rig, 1));
    pin(c.pic, 12, 1);
    g_assert_cmpint(irr(&c, MASTER), ==, 0x14);
    g_assert_cmpint(take(&c, 0), ==, BASE_2 + 4);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    pin(c.pic, 1, 1);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 1);
    g_assert_cmpint(isr(&c, MASTER), ==, 0x06);
    g_assert_cmpint(isr(&c, SLAVE), ==, 0x10);
    end(&c, 1);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    end(&c, 12);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 4);
    /* An edge is one interrupt, and a line that stays up no second. */
    end(&c, 4);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    g_assert_cmpint(take(&c, 0), ==, IRQ_NO_VECTOR);
    pc_rig_close(&c.rig);
}

static void test_pic_masks(void)
{
    Controllers c;

    open_controllers(&c);
    pc_rig_out(&c.rig, MASTER + 1, 0x08);
    pulse(c.pic, 3);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    g_assert_cmphex(pc_rig_in(&c.rig, MASTER + 1), ==, 0x08);
    pc_rig_out(&c.rig, MASTER + 1, 0);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 3);
    /* Special mask mode: a masked interrupt in service holds nobody up. */
    pulse(c.pic, 5);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    pc_rig_out(&c.rig, MASTER + 1, 0x08);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    pc_rig_out(&c.rig, MASTER, 0x68);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 5);
    pc_rig_out(&c.rig, MASTER, 0x20); /* the non-specific EOI passes the masked one over */
    g_assert_cmphex(isr(&c, MASTER), ==, 0x08);
    pc_rig_out(&c.rig, MASTER, 0x63);
    g_assert_cmphex(isr(&c, MASTER), ==, 0);
    pc_rig_close(&c.rig);
}

static void test_pic_modes(void)
{
    Controllers c;

    open_controllers(&c);
    /* Spurious: the request is masked between INT and INTA. */
    pulse(c.pic, 3);
    pc_rig_out(&c.rig, MASTER + 1, 0xff);
    g_assert_cmpint(c.pic->type->acknowledge(c.pic), ==, BASE_1 + 7);
    g_assert_cmphex(isr(&c, MASTER), ==, 0);
    pc_rig_out(&c.rig, MASTER + 1, 0);
    /* Rotation at EOI makes 3 the lowest. */
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 3);
    pc_rig_out(&c.rig, MASTER, 0xa0);
    pulse(c.pic, 3);
    pulse(c.pic, 4);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 4);
    pc_rig_out(&c.rig, MASTER, 0x64);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 3);
    pc_rig_out(&c.rig, MASTER, 0x63);
    /* Polling acknowledges. */
    pulse(c.pic, 6);
    pc_rig_out(&c.rig, MASTER, 0x0c);
    g_assert_cmphex(pc_rig_in(&c.rig, MASTER), ==, 0x86);
    g_assert_cmphex(isr(&c, MASTER), ==, 0x40);
    pc_rig_out(&c.rig, MASTER, 0x0c);
    g_assert_cmphex(pc_rig_in(&c.rig, MASTER), ==, 0);
    /* Automatic EOI. */
    initialize_pic(&c.rig, MASTER, BASE_1, 4, 3);
    pulse(c.pic, 0);
    g_assert_cmpint(take(&c, 0), ==, BASE_1);
    g_assert_cmphex(isr(&c, MASTER), ==, 0);
    pc_rig_close(&c.rig);
}

static void test_pic_level(void)
{
    Controllers c;

    open_controllers(&c);
    pc_rig_out(&c.rig, ELCR, 0xff);
    pc_rig_out(&c.rig, ELCR + 1, 0xff);
    g_assert_cmphex(pc_rig_in(&c.rig, ELCR), ==, 0xf8);
    g_assert_cmphex(pc_rig_in(&c.rig, ELCR + 1), ==, 0xde);
    pin(c.pic, 11, 1);
    g_assert_cmpint(take(&c, 0), ==, BASE_2 + 3);
    end(&c, 11);
    g_assert_true(pc_rig_intr(&c.rig, 0));
    g_assert_cmpint(take(&c, 0), ==, BASE_2 + 3);
    pin(c.pic, 11, 0);
    end(&c, 11);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    /* Gone before it was taken: spurious, by the slave. */
    pin(c.pic, 10, 1);
    pin(c.pic, 10, 0);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    pc_rig_close(&c.rig);
}

/* APIC */

static uint32_t apic_read(Controllers *c, int cpu, uint32_t offset)
{
    return pc_rig_read(&c->rig, cpu, PC_APIC_ADDRESS + offset);
}

static void apic_write(Controllers *c, int cpu, uint32_t offset, uint32_t value)
{
    pc_rig_write(&c->rig, cpu, PC_APIC_ADDRESS + offset, value);
}

static void enable_apics(Controllers *c)
{
    for (int cpu = 0; cpu < PC_RIG_CPUS; cpu++) {
        apic_write(c, cpu, 0xf0, 0x1ff);
        apic_write(c, cpu, 0xd0, 1u << (24 + cpu));
        apic_write(c, cpu, 0x350, 0x10700);
    }
}

static void test_apic_ipi(void)
{
    Controllers c;
    uint32_t data;

    open_controllers(&c);
    g_assert_cmphex(apic_read(&c, 0, 0x30), ==, 0x50014);
    g_assert_cmphex(apic_read(&c, 1, 0x20), ==, 0x01000000);
    enable_apics(&c);
    apic_write(&c, 0, 0x310, 1u << 24);
    apic_write(&c, 0, 0x300, 0x45);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    g_assert_true(pc_rig_intr(&c.rig, 1));
    g_assert_cmphex(apic_read(&c, 1, 0x220), ==, 1u << 5);
    apic_write(&c, 0, 0x300, 0x44046); /* self */
    apic_write(&c, 0, 0x300, 0xc4091); /* all but self */
    g_assert_cmpint(take(&c, 0), ==, 0x46);
    g_assert_cmpint(take(&c, 1), ==, 0x91);
    g_assert_cmpint(take(&c, 1), ==, IRQ_NO_VECTOR);
    g_assert_cmphex(apic_read(&c, 1, 0xa0), ==, 0x90);
    apic_write(&c, 1, 0xb0, 0);
    g_assert_cmpint(take(&c, 1), ==, 0x45);
    /* Start-up. */
    apic_write(&c, 0, 0x300, 0x4500);
    apic_write(&c, 0, 0x300, 0x8500); /* the level goes down: nothing */
    apic_write(&c, 0, 0x300, 0x4698);
    g_assert_cmpint(pc_rig_event(&c.rig, 1, NULL), ==, X86_EVENT_INIT);
    g_assert_cmpint(pc_rig_event(&c.rig, 1, &data), ==, X86_EVENT_SIPI);
    g_assert_cmphex(data, ==, 0x98);
    g_assert_cmphex(apic_read(&c, 1, 0xf0), ==, 0xff);
    apic_write(&c, 0, 0x300, 0x80400); /* NMI to all */
    g_assert_cmpint(pc_rig_event(&c.rig, 1, NULL), ==, X86_EVENT_NMI);
    g_assert_cmpint(pc_rig_event(&c.rig, 0, NULL), ==, -1);
    apic_write(&c, 0, 0x300, 0x40400); /* and to itself, by name */
    g_assert_cmpint(pc_rig_event(&c.rig, 0, NULL), ==, X86_EVENT_NMI);
    apic_write(&c, 0, 0x300, 0x40200); /* an SMI */
    g_assert_cmpint(pc_rig_event(&c.rig, 0, NULL), ==, X86_EVENT_SMI);
    /* A vector that cannot be: in the sender's error register. */
    apic_write(&c, 0, 0x300, 0x40008);
    apic_write(&c, 0, 0x280, 0);
    g_assert_cmphex(apic_read(&c, 0, 0x280), ==, 0x20);
    apic_write(&c, 0, 0x280, 0);
    g_assert_cmphex(apic_read(&c, 0, 0x280), ==, 0);
    pc_rig_close(&c.rig);
}

static void test_apic_logical(void)
{
    Controllers c;

    open_controllers(&c);
    enable_apics(&c);
    apic_write(&c, 0, 0x310, 2u << 24);
    apic_write(&c, 0, 0x300, 0x850);
    g_assert_cmpint(take(&c, 1), ==, 0x50);
    apic_write(&c, 1, 0xb0, 0);
    for (int cpu = 0; cpu < 2; cpu++) { /* clusters 1 and 2 */
        apic_write(&c, cpu, 0xe0, 0x0fffffff);
        apic_write(&c, cpu, 0xd0, cpu ? 0x21000000 : 0x12000000);
    }
    apic_write(&c, 1, 0x310, 0x13u << 24);
    apic_write(&c, 1, 0x300, 0x851);
    g_assert_cmpint(take(&c, 0), ==, 0x51);
    g_assert_cmpint(take(&c, 1), ==, IRQ_NO_VECTOR);
    apic_write(&c, 0, 0xb0, 0);
    /* Lowest priority: the one whose task is less important, then in turn. */
    apic_write(&c, 0, 0x80, 0x20);
    apic_write(&c, 0, 0x310, 0xffu << 24);
    apic_write(&c, 0, 0x300, 0x960);
    g_assert_cmpint(take(&c, 1), ==, 0x60);
    apic_write(&c, 1, 0xb0, 0);
    apic_write(&c, 0, 0x80, 0);
    apic_write(&c, 0, 0x300, 0x961);
    g_assert_cmpint(take(&c, 0), ==, 0x61);
    pc_rig_close(&c.rig);
}

static bool msr_read(Controllers *c, unsigned cpu, uint32_t msr, uint64_t *value)
{
    void *opaque;
    const ExternalRegister *reg = machine_find_external_register(c->rig.machine, msr, &opaque);

    return reg && reg->read(opaque, pc_rig_cpu(&c->rig, cpu), msr, value);
}

static bool msr_write(Controllers *c, unsigned cpu, uint32_t msr, uint64_t value)
{
    void *opaque;
    const ExternalRegister *reg = machine_find_external_register(c->rig.machine, msr, &opaque);

    return reg && reg->write(opaque, pc_rig_cpu(&c->rig, cpu), msr, value);
}

static void test_apic_x2apic(void)
{
    Controllers c;
    uint64_t value;

    open_controllers(&c);
    enable_apics(&c);
    g_assert_true(msr_read(&c, 0, 0x1b, &value));
    g_assert_cmphex(value, ==, 0xfee00900);
    g_assert_false(msr_read(&c, 0, 0x802, &value));
    g_assert_true(msr_write(&c, 0, 0x1b, 0xfee00d00));
    g_assert_true(msr_write(&c, 1, 0x1b, 0xfee00c00));
    g_assert_false(msr_write(&c, 1, 0x1b, 0xfee00800)); /* not back to xAPIC */
    g_assert_false(msr_write(&c, 1, 0x1b, 0xfee00400));
    g_assert_true(msr_read(&c, 1, 0x802, &value));
    g_assert_cmphex(value, ==, 1);
    g_assert_true(msr_read(&c, 1, 0x80d, &value));
    g_assert_cmphex(value, ==, 2);
    g_assert_true(msr_write(&c, 0, 0x830, UINT64_C(0x200000870)));
    g_assert_cmpint(take(&c, 1), ==, 0x70);
    g_assert_false(msr_write(&c, 1, 0x80b, 1));
    g_assert_true(msr_write(&c, 1, 0x80b, 0));
    g_assert_true(msr_write(&c, 1, 0x83f, 0x71));
    g_assert_true(msr_write(&c, 1, X86_REGISTER_CR8, 7));
    g_assert_cmpint(take(&c, 1), ==, IRQ_NO_VECTOR);
    g_assert_true(msr_read(&c, 1, 0x808, &value));
    g_assert_cmphex(value, ==, 0x70);
    g_assert_false(msr_write(&c, 1, X86_REGISTER_CR8, 16));
    g_assert_true(msr_write(&c, 1, X86_REGISTER_CR8, 6));
    g_assert_cmpint(take(&c, 1), ==, 0x71);
    g_assert_false(msr_read(&c, 1, 0x80e, &value)); /* no DFR */
    pc_rig_close(&c.rig);
}

static void test_apic_timer(void)
{
    Controllers c;
    uint64_t value;

    open_controllers(&c);
    enable_apics(&c);
    apic_write(&c, 0, 0x3e0, 3); /* by 16 */
    apic_write(&c, 0, 0x320, 0xec);
    apic_write(&c, 0, 0x380, 1000);
    pc_rig_advance(&c.rig, 8000);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 500);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    pc_rig_advance(&c.rig, 8000);
    g_assert_cmpint(take(&c, 0), ==, 0xec);
    apic_write(&c, 0, 0xb0, 0);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 0);
    pc_rig_advance(&c.rig, 100000);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    apic_write(&c, 0, 0x320, 0x200ed); /* periodic */
    apic_write(&c, 0, 0x380, 100000);
    for (int i = 0; i < 5; i++) {
        pc_rig_advance(&c.rig, 1600000);
        g_assert_cmpint(take(&c, 0), ==, 0xed);
        apic_write(&c, 0, 0xb0, 0);
    }
    apic_write(&c, 0, 0x380, 1); /* a storm ends where its master stops it */
    pc_rig_advance(&c.rig, 1000000);
    g_assert_cmpint(take(&c, 0), ==, 0xed);
    apic_write(&c, 0, 0xb0, 0);
    apic_write(&c, 0, 0x320, 0x400ee);
    g_assert_true(
        msr_write(&c, 0, X86_REGISTER_TSC_DEADLINE, (uint64_t)clock_now_ns(c.rig.machine) + 5000));
    pc_rig_advance(&c.rig, 4999);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    pc_rig_advance(&c.rig, 1);
    g_assert_cmpint(take(&c, 0), ==, 0xee);
    g_assert_true(msr_read(&c, 0, X86_REGISTER_TSC_DEADLINE, &value));
    g_assert_cmpuint(value, ==, 0);
    /* A deadline that is past interrupts before the write has ended. */
    apic_write(&c, 0, 0xb0, 0);
    g_assert_true(
        msr_write(&c, 0, X86_REGISTER_TSC_DEADLINE, (uint64_t)clock_now_ns(c.rig.machine)));
    g_assert_cmpint(take(&c, 0), ==, 0xee);
    g_assert_true(msr_read(&c, 0, X86_REGISTER_TSC_DEADLINE, &value));
    g_assert_cmpuint(value, ==, 0);
    pc_rig_close(&c.rig);
}

/* The count goes on through changes between one-shot and periodic, and one that has ended does not begin again. */
static void test_apic_timer_modes(void)
{
    Controllers c;

    open_controllers(&c);
    enable_apics(&c);
    apic_write(&c, 0, 0x3e0, 0xb); /* by 1 */
    apic_write(&c, 0, 0x320, 0xec);
    apic_write(&c, 0, 0x380, 100000);
    pc_rig_advance(&c.rig, 60000);
    apic_write(&c, 0, 0x320, 0x200ec);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 40000);
    pc_rig_advance(&c.rig, 40000);
    g_assert_cmpint(take(&c, 0), ==, 0xec);
    apic_write(&c, 0, 0xb0, 0);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 100000);
    pc_rig_advance(&c.rig, 70000);
    apic_write(&c, 0, 0x320, 0xec);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 30000);
    pc_rig_advance(&c.rig, 30000);
    g_assert_cmpint(take(&c, 0), ==, 0xec);
    apic_write(&c, 0, 0xb0, 0);
    apic_write(&c, 0, 0x320, 0x200ec);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 0);
    pc_rig_advance(&c.rig, 200000);
    g_assert_cmpuint(apic_read(&c, 0, 0x390), ==, 0);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    apic_write(&c, 0, 0x380, 100000);
    pc_rig_advance(&c.rig, 100000);
    g_assert_cmpint(take(&c, 0), ==, 0xec);
    pc_rig_close(&c.rig);
}

/* I/O APIC */

static void ioapic_write(Controllers *c, uint32_t index, uint32_t value)
{
    pc_rig_write(&c->rig, 0, PC_IOAPIC_ADDRESS, index);
    pc_rig_write(&c->rig, 0, PC_IOAPIC_ADDRESS + 0x10, value);
}

static uint32_t ioapic_read(Controllers *c, uint32_t index)
{
    pc_rig_write(&c->rig, 0, PC_IOAPIC_ADDRESS, index);
    return pc_rig_read(&c->rig, 0, PC_IOAPIC_ADDRESS + 0x10);
}

static void test_ioapic(void)
{
    Controllers c;

    open_controllers(&c);
    enable_apics(&c);
    g_assert_cmphex(ioapic_read(&c, 1), ==, 0x00170020);
    g_assert_cmphex(ioapic_read(&c, 0x3e), ==, 0x10000);
    ioapic_write(&c, 0x11 + 2 * 4, 1u << 24);
    pulse(c.ioapic, 4); /* masked: lost */
    ioapic_write(&c, 0x10 + 2 * 4, 0x25);
    g_assert_false(pc_rig_intr(&c.rig, 1));
    pulse(c.ioapic, 4);
    g_assert_cmpint(take(&c, 1), ==, 0x25);
    apic_write(&c, 1, 0xb0, 0);
    /* By level: again after the EOI, until the pin goes down. */
    ioapic_write(&c, 0x11 + 2 * 9, 1u << 24);
    ioapic_write(&c, 0x10 + 2 * 9, 0x8821);
    pin(c.ioapic, 9, 1);
    g_assert_cmphex(ioapic_read(&c, 0x10 + 2 * 9), ==, 0xc821);
    g_assert_cmpint(take(&c, 0), ==, 0x21);
    g_assert_cmphex(apic_read(&c, 0, 0x190), ==, 2);
    apic_write(&c, 0, 0xb0, 0);
    g_assert_cmpint(take(&c, 0), ==, 0x21);
    pin(c.ioapic, 9, 0);
    apic_write(&c, 0, 0xb0, 0);
    g_assert_false(pc_rig_intr(&c.rig, 0));
    g_assert_cmphex(ioapic_read(&c, 0x10 + 2 * 9), ==, 0x8821);
    /* The EOI register does the same. */
    pin(c.ioapic, 9, 1);
    g_assert_cmpint(take(&c, 0), ==, 0x21);
    pin(c.ioapic, 9, 0);
    pc_rig_write(&c.rig, 0, PC_IOAPIC_ADDRESS + 0x40, 0x21);
    g_assert_cmphex(ioapic_read(&c, 0x10 + 2 * 9), ==, 0x8821);
    /* MSI by DMA. */
    apic_write(&c, 0, 0xb0, 0);
    pc_rig_write(&c.rig, -1, PC_APIC_ADDRESS + 0x1000, 0x4055);
    g_assert_cmpint(take(&c, 1), ==, 0x55);
    pc_rig_close(&c.rig);
}

/* The PIC behind LINT0, and behind a pin of the I/O APIC. */
static void test_virtual_wire(void)
{
    Controllers c;

    open_controllers(&c);
    enable_apics(&c);
    pin(c.pic, 4, 1);
    g_assert_false(pc_rig_intr(&c.rig, 0)); /* LINT0 is masked */
    apic_write(&c, 0, 0x350, 0x700);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 4);
    end(&c, 4);
    apic_write(&c, 0, 0x350, 0x10700);
    ioapic_write(&c, 0x11, 1u << 24);
    ioapic_write(&c, 0x10, 0x700);
    device_connect_irq(c.pic, 0, c.ioapic->type->input, c.ioapic, 0);
    pulse(c.pic, 5);
    pulse(c.pic, 3);
    g_assert_true(pc_rig_intr(&c.rig, 1));
    g_assert_cmpint(take(&c, 1), ==, BASE_1 + 3);
    end(&c, 3);
    g_assert_cmpint(take(&c, 1), ==, BASE_1 + 5);
    g_assert_false(pc_rig_intr(&c.rig, 1));
    /* LINT1 is NMI. */
    apic_write(&c, 0, 0x360, 0x400);
    pulse(c.apic[0], APIC_INPUT_LINT1);
    g_assert_cmpint(pc_rig_event(&c.rig, 0, NULL), ==, X86_EVENT_NMI);
    pc_rig_close(&c.rig);
}

/* How often a vector comes one after the other, each ended. pic: at the PIC, too. */
static unsigned take_all(Controllers *c, int vector, bool pic)
{
    unsigned count = 0;

    while (pc_rig_intr(&c->rig, 0)) {
        g_assert_cmpint(take(c, 0), ==, vector);
        if (pic) {
            end(c, 0);
        } else {
            apic_write(c, 0, 0xb0, 0);
        }
        g_assert_cmpuint(++count, <, 1000);
    }
    return count;
}

/* 100 Hz. */
static void start_pit(Controllers *c, const char *property, Device *leads_to, int number)
{
    Device *pit = pc_rig_add(&c->rig, "isa-pit", property);

    device_map_io(pit, 0, 0x40);
    device_connect_irq_query(pit, 0, leads_to->type->input, leads_to->type->query, leads_to,
                             number);
    pc_rig_out(&c->rig, 0x43, 0x34);
    take_all(c, BASE_1, true); /* the output rose with its mode */
    pc_rig_out(&c->rig, 0x40, 11932 & 0xff);
    pc_rig_out(&c->rig, 0x40, 11932 >> 8);
}

/* Ticks that find the one before still waiting come when it has been taken. */
static void test_ticks_pic(void)
{
    Controllers c;

    open_controllers(&c);
    start_pit(&c, NULL, c.pic, 0);
    pc_rig_advance(&c.rig, 105000000);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 10);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 0);
    pc_rig_advance(&c.rig, 10000000);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 1);
    /* So many in a row, then the guest gets on until the next one. */
    pc_rig_advance(&c.rig, 500000000);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 21);
    pc_rig_advance(&c.rig, 10000000);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 21);
    pc_rig_advance(&c.rig, 10000000);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 10);
    /* Nobody is owed more than a second. */
    pc_rig_advance(&c.rig, INT64_C(60000000000));
    for (unsigned sum = 0, i = 0; i < 10; i++) {
        sum += take_all(&c, BASE_1, true);
        g_assert_cmpuint(sum, <=, 111);
        pc_rig_advance(&c.rig, 10000000);
    }
    take_all(&c, BASE_1, true);
    pc_rig_out(&c.rig, MASTER + 1, 1); /* masked: nobody waits, and none is owed */
    pc_rig_advance(&c.rig, 200000000);
    pc_rig_out(&c.rig, MASTER + 1, 0);
    g_assert_cmpuint(take_all(&c, BASE_1, true), <=, 11);
    pc_rig_close(&c.rig);
    open_controllers(&c);
    start_pit(&c, "lost_tick_policy=discard", c.pic, 0);
    pc_rig_advance(&c.rig, 105000000);
    g_assert_cmpuint(take_all(&c, BASE_1, true), ==, 1);
    pc_rig_close(&c.rig);
}

static void test_ticks_ioapic(void)
{
    Controllers c;
    Device *hpet;

    open_controllers(&c);
    enable_apics(&c);
    hpet = pc_rig_add(&c.rig, "hpet", NULL);
    device_map(hpet, 0, PC_HPET_ADDRESS);
    device_connect_irq_query(hpet, 2, c.ioapic->type->input, c.ioapic->type->query, c.ioapic, 2);
    ioapic_write(&c, 0x10 + 2 * 2, 0x45);
    pc_rig_write(&c.rig, 0, PC_HPET_ADDRESS + 0x100, 2 << 9 | 1 << 8 | 1 << 6 | 1 << 3 | 1 << 2);
    pc_rig_write(&c.rig, 0, PC_HPET_ADDRESS + 0x108, 400000);
    pc_rig_write(&c.rig, 0, PC_HPET_ADDRESS + 0x108, 400000); /* 250 Hz */
    pc_rig_write(&c.rig, 0, PC_HPET_ADDRESS + 0x10, 1);
    pc_rig_advance(&c.rig, 42000000);
    g_assert_cmpuint(take_all(&c, 0x45, false), ==, 10);
    pc_rig_jump(&c.rig, 40000000); /* the host gave nobody time */
    g_assert_cmpuint(take_all(&c, 0x45, false), ==, 10);
    pc_rig_advance(&c.rig, 4000000);
    g_assert_cmpuint(take_all(&c, 0x45, false), ==, 1);
    /* With a new comparator, nothing is owed. */
    pc_rig_advance(&c.rig, 40000000);
    pc_rig_write(&c.rig, 0, PC_HPET_ADDRESS + 0x100, 2 << 9 | 1 << 8 | 1 << 2);
    g_assert_cmpuint(take_all(&c, 0x45, false), ==, 1);
    pc_rig_close(&c.rig);
}

static void test_ticks_apic(void)
{
    Controllers c;

    open_controllers(&c);
    enable_apics(&c);
    apic_write(&c, 0, 0x3e0, 3); /* by 16 */
    apic_write(&c, 0, 0x320, 0x200ed);
    apic_write(&c, 0, 0x380, 100000);
    pc_rig_advance(&c.rig, 16000000);
    g_assert_cmpuint(take_all(&c, 0xed, false), ==, 10);
    pc_rig_jump(&c.rig, 16000000);
    g_assert_cmpuint(take_all(&c, 0xed, false), ==, 10);
    pc_rig_advance(&c.rig, 16000000);
    apic_write(&c, 0, 0x380, 100000); /* starts again, and owes nothing */
    g_assert_cmpuint(take_all(&c, 0xed, false), ==, 1);
    pc_rig_close(&c.rig);
}

static uint64_t cpu_read(Controllers *c, unsigned cpu, uint64_t address)
{
    MemoryAttributes attributes = { .vcpu = (int16_t)cpu };
    uint64_t value = 0;

    address_space_read(pc_rig_cpu(&c->rig, cpu)->memory, address, &value, 4, attributes);
    return value;
}

/* IA32_APIC_BASE moves the page in the CPU's own view, in front of what is there for others. */
static void test_apic_base(void)
{
    enum { VERSION = 0x50014, ELSEWHERE = 0xfed40000u, RAM = 0x5000 };
    const MemoryAttributes dma = MEMORY_ATTRIBUTES_DMA;
    Controllers c;
    uint64_t value;

    open_controllers(&c);
    pc_rig_write(&c.rig, 0, RAM + 0x30, 0x12345678);
    g_assert_cmphex(cpu_read(&c, 0, PC_APIC_ADDRESS + 0x30), ==, VERSION);
    g_assert_true(msr_write(&c, 0, 0x1b, ELSEWHERE | 0x900));
    g_assert_cmphex(cpu_read(&c, 0, ELSEWHERE + 0x30), ==, VERSION);
    g_assert_cmphex(cpu_read(&c, 0, PC_APIC_ADDRESS + 0x30), ==, 0xffffffff);
    g_assert_true(msr_write(&c, 1, 0x1b, RAM | 0x800));
    g_assert_cmphex(cpu_read(&c, 1, RAM + 0x30), ==, VERSION);
    g_assert_cmphex(cpu_read(&c, 0, RAM + 0x30), ==, 0x12345678);
    g_assert_cmphex(cpu_read(&c, 1, ELSEWHERE + 0x30), !=, VERSION);
    address_space_read(&c.rig.machine->memory_space, RAM + 0x30, &value, 4, dma);
    g_assert_cmphex(value, ==, 0x12345678);
    /* Again elsewhere, and back. */
    g_assert_true(msr_write(&c, 1, 0x1b, (RAM + 0x1000) | 0x800));
    g_assert_cmphex(cpu_read(&c, 1, RAM + 0x1030), ==, VERSION);
    g_assert_cmphex(cpu_read(&c, 1, RAM + 0x30), ==, 0x12345678);
    g_assert_true(msr_write(&c, 1, 0x1b, PC_APIC_ADDRESS | 0x800));
    g_assert_cmphex(cpu_read(&c, 1, PC_APIC_ADDRESS + 0x30), ==, VERSION);
    g_assert_cmphex(cpu_read(&c, 1, RAM + 0x1030), !=, VERSION);
    g_assert_true(pc_rig_cpu(&c.rig, 1)->memory == &c.rig.machine->memory_space);
    /* Disabled: the PIC's line is the CPU's. */
    g_assert_true(msr_write(&c, 0, 0x1b, ELSEWHERE | 0x100));
    g_assert_cmphex(cpu_read(&c, 0, ELSEWHERE + 0x30), !=, VERSION);
    pin(c.pic, 1, 1);
    g_assert_cmpint(take(&c, 0), ==, BASE_1 + 1);
    /* A reset moves it back; a loaded state elsewhere. */
    g_assert_true(msr_write(&c, 1, 0x1b, RAM | 0x800));
    device_reset_tree(c.apic[1]);
    g_assert_cmphex(cpu_read(&c, 1, PC_APIC_ADDRESS + 0x30), ==, VERSION);
    g_assert_cmphex(cpu_read(&c, 1, RAM + 0x30), ==, 0x12345678);
    container_of(c.apic[1], Apic, device)->base = RAM | 0x800;
    c.apic[1]->type->state_loaded(c.apic[1]);
    g_assert_cmphex(cpu_read(&c, 1, RAM + 0x30), ==, VERSION);
    pc_rig_close(&c.rig);
}

static char *describe(Device *device, const Vcpu *vcpu)
{
    GString *out = g_string_new(NULL);

    device->type->describe_interrupts(device, vcpu, out);
    return g_string_free(out, FALSE);
}

/* `info pic` and `info lapic`, as scripts read them. */
static void test_descriptions(void)
{
    Controllers c;
    g_autofree char *pic = NULL, *ioapic = NULL, *apic = NULL, *other = NULL;

    open_controllers(&c);
    enable_apics(&c);
    pc_rig_out(&c.rig, MASTER + 1, 0xfb);
    pin(c.pic, 1, 1);
    ioapic_write(&c, 0x11 + 2 * 9, 1u << 24);
    ioapic_write(&c, 0x10 + 2 * 9, 0x8821);
    pin(c.ioapic, 9, 1);
    pic = describe(c.pic, NULL);
    g_assert_true(g_str_has_prefix(
        pic, "pic0: irr=02 imr=fb isr=00 hprio=0 irq_base=30 rr_sel=0 elcr=00 fnm=0\npic1: "));
    ioapic = describe(c.ioapic, NULL);
    g_assert_nonnull(strstr(ioapic, "ioapic0: ver=0x20 id=0x00 sel=0x22"));
    g_assert_nonnull(strstr(ioapic, "  pin 9  0x010000000000c821 dest=1 vec=33  active-hi level"));
    g_assert_nonnull(strstr(ioapic, "Remote IRR 9 \n"));
    apic = describe(c.apic[0], pc_rig_cpu(&c.rig, 0));
    g_assert_nonnull(strstr(apic, "dumping local APIC state for CPU 0"));
    g_assert_nonnull(strstr(apic, "LVT0\t 0x00010700 active-hi edge  masked"));
    g_assert_nonnull(strstr(apic, "SPIV\t 0x000001ff APIC enabled, focus=off, spurious vec 255"));
    g_assert_nonnull(strstr(apic, "IRR\t 33 \n"));
    other = describe(c.apic[1], pc_rig_cpu(&c.rig, 0));
    g_assert_cmpstr(other, ==, "");
    pc_rig_close(&c.rig);
}

void test_pc_interrupts(void)
{
    g_test_add_func("/pc-interrupts/pic-priorities", test_pic_priorities);
    g_test_add_func("/pc-interrupts/pic-masks", test_pic_masks);
    g_test_add_func("/pc-interrupts/pic-modes", test_pic_modes);
    g_test_add_func("/pc-interrupts/pic-level", test_pic_level);
    g_test_add_func("/pc-interrupts/apic-ipi", test_apic_ipi);
    g_test_add_func("/pc-interrupts/apic-logical", test_apic_logical);
    g_test_add_func("/pc-interrupts/apic-x2apic", test_apic_x2apic);
    g_test_add_func("/pc-interrupts/apic-timer", test_apic_timer);
    g_test_add_func("/pc-interrupts/apic-timer-modes", test_apic_timer_modes);
    g_test_add_func("/pc-interrupts/apic-base", test_apic_base);
    g_test_add_func("/pc-interrupts/ioapic", test_ioapic);
    g_test_add_func("/pc-interrupts/virtual-wire", test_virtual_wire);
    g_test_add_func("/pc-interrupts/ticks-pic", test_ticks_pic);
    g_test_add_func("/pc-interrupts/ticks-ioapic", test_ticks_ioapic);
    g_test_add_func("/pc-interrupts/ticks-apic", test_ticks_apic);
    g_test_add_func("/pc-interrupts/descriptions", test_descriptions);
}
