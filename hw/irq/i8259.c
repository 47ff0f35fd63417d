/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers 8259A of a PC: two, the second behind input 2 of the first, with the edge/level control
 * registers of the PIIX (Intel 231468, 290550). The 8080's CALL mode is not modelled: vectors are given as in 8086 mode.
 */
#include "base/bits.h"
#include "machine/arch/x86-chips.h"
#include "machine/device.h"
#include "machine/irq-chain.h"
#include "machine/machine.h"

enum {
    ICW1_NEEDS_ICW4 = 1 << 0,
    ICW1_SINGLE = 1 << 1,
    ICW1_LEVEL = 1 << 3,
    ICW1 = 1 << 4,
    ICW4_AUTO_EOI = 1 << 1,
    ICW4_SPECIAL_FULLY_NESTED = 1 << 4,
    OCW3 = 1 << 3,
    OCW3_POLL = 1 << 2,
    CASCADE = 2,
    SPURIOUS = 7,
};

/* What the next write to the data port is. */
typedef enum { EXPECT_MASK, EXPECT_ICW2, EXPECT_ICW3, EXPECT_ICW4 } Expect;

typedef struct {
    uint8_t lines, edges; /* input levels; rising edges that nobody has taken */
    uint8_t imr, isr, elcr;
    uint8_t base;    /* of the vectors */
    uint8_t highest; /* the input with the highest priority */
    uint8_t icw1, icw4, expect;
    uint8_t read_isr, poll, special_mask, rotate;
} Chip;

typedef struct {
    Device device;
    IrqLine out;
    Chip chip[2];
    IrqWatch *watch[16]; /* by input */
} I8259;

static I8259 *i8259(Device *device)
{
    return container_of(device, I8259, device);
}

/* The host's kernel, when these controllers are there. */
static const X86KernelChips *kernel_of(const I8259 *pic)
{
    const X86KernelChips *chips = pic->device.machine->kernel_chips;

    return chips && chips->all ? chips : NULL;
}

static void from_kernel(I8259 *pic)
{
    for (unsigned n = 0; n < 2 && kernel_of(pic); n++) {
        Chip *chip = &pic->chip[n];
        X86PicState s;

        kernel_of(pic)->get_pic(pic->device.machine, n, &s);
        *chip = (Chip){ .lines = s.lines,
                        .edges = s.edges,
                        .imr = s.imr,
                        .isr = s.isr,
                        .elcr = s.elcr,
                        .base = s.base,
                        .highest = s.highest,
                        .icw1 = s.needs_icw4 ? ICW1_NEEDS_ICW4 : 0,
                        .icw4 = (s.auto_eoi ? ICW4_AUTO_EOI : 0) |
                                (s.fully_nested ? ICW4_SPECIAL_FULLY_NESTED : 0),
                        .expect = s.expect,
                        .read_isr = s.read_isr,
                        .poll = s.poll,
                        .special_mask = s.special_mask,
                        .rotate = s.rotate };
    }
}

static void to_kernel(const I8259 *pic)
{
    for (unsigned n = 0; n < 2 && kernel_of(pic); n++) {
        const Chip *chip = &pic->chip[n];
        const X86PicState s = { .lines = chip->lines,
                                .edges = chip->edges,
                                .imr = chip->imr,
                                .isr = chip->isr,
                                .elcr = chip->elcr,
                                .base = chip->base,
                                .highest = chip->highest,
                                .needs_icw4 = chip->icw1 & ICW1_NEEDS_ICW4,
                                .auto_eoi = chip->icw4 & ICW4_AUTO_EOI,
                                .fully_nested = chip->icw4 & ICW4_SPECIAL_FULLY_NESTED,
                                .expect = chip->expect,
                                .read_isr = chip->read_isr,
                                .poll = chip->poll,
                                .special_mask = chip->special_mask,
                                .rotate = chip->rotate };

        kernel_of(pic)->set_pic(pic->device.machine, n, &s);
    }
}

static uint8_t level_triggered(const Chip *chip)
{
    return chip->icw1 & ICW1_LEVEL ? 0xff : chip->elcr;
}

static int pending(const I8259 *pic, unsigned n);

static uint8_t requests(const I8259 *pic, unsigned n)
{
    const Chip *chip = &pic->chip[n];
    uint8_t level = level_triggered(chip), irr = (chip->edges & ~level) | (chip->lines & level);

    if (n == 0 && !(chip->icw1 & ICW1_SINGLE)) {
        irr = bits_deposit(irr, CASCADE, 1, pending(pic, 1) >= 0);
    }
    return irr;
}

/* The input of the highest priority in a set, or -1. */
static int highest_of(const Chip *chip, uint8_t set)
{
    unsigned rotated = (set >> chip->highest | set << (8 - chip->highest)) & 0xff;

    return rotated ? (__builtin_ctz(rotated) + chip->highest) & 7 : -1;
}

static unsigned rank(const Chip *chip, int input)
{
    return input < 0 ? 8 : (input - chip->highest) & 7u;
}

/* The input that makes the chip raise INT, or -1. */
static int pending(const I8259 *pic, unsigned n)
{
    const Chip *chip = &pic->chip[n];
    uint8_t in_service = chip->isr;
    int wanted = highest_of(chip, requests(pic, n) & ~chip->imr);

    if (chip->special_mask) {
        in_service &= ~chip->imr;
    }
    /* In this mode further interrupts of the slave pass although one of it is in service. */
    if (n == 0 && chip->icw4 & ICW4_SPECIAL_FULLY_NESTED) {
        in_service &= ~(1 << CASCADE);
    }
    return rank(chip, wanted) < rank(chip, highest_of(chip, in_service)) ? wanted : -1;
}

static void update(I8259 *pic)
{
    int level = pending(pic, 0) >= 0;

    if (level != pic->out.level) {
        irq_set(&pic->out, level);
    }
}

static void take(Chip *chip, int input)
{
    chip->edges &= ~(1 << input);
    if (!(chip->icw4 & ICW4_AUTO_EOI)) {
        chip->isr |= 1 << input;
    } else if (chip->rotate) {
        chip->highest = (input + 1) & 7;
    }
}

static void tell_taken(I8259 *pic, unsigned input)
{
    IrqWatch *watch = irq_watch_take(&pic->watch[input]);

    if (watch) {
        watch->taken(watch->opaque);
    }
}

/* The two INTA cycles. INT falls in between, for those that look at its edges. */
static int acknowledge_locked(I8259 *pic)
{
    Chip *master = &pic->chip[0], *slave = &pic->chip[1];
    int input = pending(pic, 0), vector, second = -1;

    if (input < 0) {
        return master->base | SPURIOUS;
    }
    vector = master->base | input;
    if (input == CASCADE && !(master->icw1 & ICW1_SINGLE)) {
        second = pending(pic, 1);
        vector = slave->base | (second < 0 ? SPURIOUS : second);
        if (second >= 0) {
            take(slave, second);
        }
    }
    take(master, input);
    irq_set(&pic->out, 0);
    update(pic);
    tell_taken(pic, (unsigned)(second >= 0 ? 8 + second : input));
    return vector;
}

static int i8259_acknowledge(void *opaque)
{
    I8259 *pic = i8259(opaque);
    Machine *machine = pic->device.machine;
    bool held = machine_lock_held(machine);
    int vector;

    if (!held) {
        machine_lock(machine);
    }
    vector = acknowledge_locked(pic);
    if (!held) {
        machine_unlock(machine);
    }
    return vector;
}

static void i8259_input(void *opaque, int number, int level)
{
    I8259 *pic = i8259(opaque);
    Chip *chip = &pic->chip[number >> 3 & 1];
    uint8_t bit = 1 << (number & 7);

    if (number > 15 || number == CASCADE) {
        return;
    }
    if (kernel_of(pic)) {
        kernel_of(pic)->set_isa(pic->device.machine, (unsigned)number, level);
        return;
    }
    if (level) {
        chip->edges |= bit & ~chip->lines;
        chip->lines |= bit;
    } else {
        chip->lines &= ~bit;
    }
    update(pic);
}

/* What comes by level is never lost. */
static IrqAnswer i8259_query(void *opaque, int number, IrqWatch *watch)
{
    I8259 *pic = i8259(opaque);
    const Chip *chip = &pic->chip[number >> 3 & 1];
    uint8_t bit = 1 << (number & 7);

    if (kernel_of(pic) || number > 15 || chip->imr & bit ||
        (number > 7 && pic->chip[0].imr & 1 << CASCADE)) {
        return IRQ_NOBODY;
    }
    if (level_triggered(chip) & bit || !(chip->edges & bit)) {
        return IRQ_TAKEN;
    }
    irq_watch_keep(&pic->watch[number], watch);
    return IRQ_WAITS;
}

/* Registers. */

static void begin_initialization(Chip *chip, uint8_t icw1)
{
    chip->icw1 = icw1;
    chip->icw4 = 0;
    chip->expect = EXPECT_ICW2;
    chip->edges = chip->imr = chip->isr = 0;
    chip->highest = 0;
    chip->read_isr = chip->poll = chip->special_mask = chip->rotate = 0;
}

static void write_ocw2(Chip *chip, uint8_t value)
{
    bool specific = value & 0x40, rotate = value & 0x80, eoi = value & 0x20;
    uint8_t served = chip->special_mask ? chip->isr & ~chip->imr : chip->isr;
    int input = specific ? value & 7 : highest_of(chip, served);

    if (!eoi && !specific) {
        chip->rotate = rotate; /* in automatic EOI mode */
        return;
    }
    if (input < 0) {
        return;
    }
    if (eoi) {
        chip->isr &= ~(1 << input);
    }
    if (rotate) {
        chip->highest = (input + 1) & 7;
    }
}

static void write_ocw3(Chip *chip, uint8_t value)
{
    chip->poll = (value & OCW3_POLL) != 0;
    if (value & 2) {
        chip->read_isr = value & 1;
    }
    if (value & 0x40) {
        chip->special_mask = value >> 5 & 1;
    }
}

static void write_command(I8259 *pic, unsigned n, uint8_t value)
{
    if (value & ICW1) {
        begin_initialization(&pic->chip[n], value);
    } else if (value & OCW3) {
        write_ocw3(&pic->chip[n], value);
    } else {
        write_ocw2(&pic->chip[n], value);
    }
    update(pic);
}

static void write_data(I8259 *pic, unsigned n, uint8_t value)
{
    Chip *chip = &pic->chip[n];
    Expect after_icw3 = chip->icw1 & ICW1_NEEDS_ICW4 ? EXPECT_ICW4 : EXPECT_MASK;

    switch (chip->expect) {
    case EXPECT_ICW2:
        chip->base = value & 0xf8;
        chip->expect = chip->icw1 & ICW1_SINGLE ? after_icw3 : EXPECT_ICW3;
        break;
    case EXPECT_ICW3: /* the cascade is soldered */
        chip->expect = after_icw3;
        break;
    case EXPECT_ICW4:
        chip->icw4 = value;
        chip->expect = EXPECT_MASK;
        break;
    default:
        chip->imr = value;
    }
    update(pic);
}

static uint8_t poll(I8259 *pic, unsigned n)
{
    Chip *chip = &pic->chip[n];
    int input = pending(pic, n);

    chip->poll = 0;
    if (input < 0) {
        return 0;
    }
    take(chip, input);
    update(pic);
    tell_taken(pic, n * 8 + (unsigned)input);
    return 0x80 | input;
}

static uint64_t read_port(I8259 *pic, unsigned n, bool data)
{
    Chip *chip = &pic->chip[n];

    if (chip->poll) {
        return poll(pic, n);
    }
    return data ? chip->imr : chip->read_isr ? chip->isr : requests(pic, n);
}

static uint64_t master_command_read(Device *device, unsigned index)
{
    return read_port(i8259(device), 0, false);
}

static void master_command_write(Device *device, unsigned index, uint64_t value)
{
    write_command(i8259(device), 0, value);
}

static uint64_t master_data_read(Device *device, unsigned index)
{
    return read_port(i8259(device), 0, true);
}

static void master_data_write(Device *device, unsigned index, uint64_t value)
{
    write_data(i8259(device), 0, value);
}

static uint64_t slave_command_read(Device *device, unsigned index)
{
    return read_port(i8259(device), 1, false);
}

static void slave_command_write(Device *device, unsigned index, uint64_t value)
{
    write_command(i8259(device), 1, value);
}

static uint64_t slave_data_read(Device *device, unsigned index)
{
    return read_port(i8259(device), 1, true);
}

static void slave_data_write(Device *device, unsigned index, uint64_t value)
{
    write_data(i8259(device), 1, value);
}

static uint64_t elcr_read(Device *device, unsigned index)
{
    return i8259(device)->chip[index].elcr;
}

static void elcr_write(Device *device, unsigned index, uint64_t value)
{
    /* Timer, keyboard, cascade, clock and FPU are edges. */
    static const uint8_t writable[] = { 0xf8, 0xde };

    i8259(device)->chip[index].elcr = value & writable[index];
    update(i8259(device));
}

/* clang-format off */
static const Register master_registers[] = {
    { "ICW1/OCW2/OCW3", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = master_command_read, .write = master_command_write },
    { "IMR", 1, 1, REGISTER_RW, .field = offsetof(I8259, chip[0].imr), .read = master_data_read, .write = master_data_write },
    { 0 },
};
static const Register slave_registers[] = {
    { "ICW1/OCW2/OCW3", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = slave_command_read, .write = slave_command_write },
    { "IMR", 1, 1, REGISTER_RW, .field = offsetof(I8259, chip[1].imr), .read = slave_data_read, .write = slave_data_write },
    { 0 },
};
static const Register elcr_registers[] = {
    { "ELCR", 0, 1, REGISTER_RW, .count = 2, .field = REGISTER_NO_FIELD, .read = elcr_read, .write = elcr_write },
    { 0 },
};
/* clang-format on */

static bool i8259_realize(Device *device, GError **error)
{
    device_add_irq(device, &i8259(device)->out);
    return true;
}

static void i8259_reset(Device *device)
{
    I8259 *pic = i8259(device);

    for (unsigned n = 0; n < 2; n++) {
        begin_initialization(&pic->chip[n], 0);
        pic->chip[n].expect = EXPECT_MASK;
        pic->chip[n].base = pic->chip[n].elcr = pic->chip[n].lines = 0;
    }
    for (unsigned input = 0; input < G_N_ELEMENTS(pic->watch); input++) {
        irq_watch_take(&pic->watch[input]);
    }
    if (kernel_of(pic)) {
        to_kernel(pic);
    } else {
        update(pic);
    }
}

static void i8259_state_saving(Device *device)
{
    from_kernel(i8259(device));
}

static void i8259_state_loaded(Device *device)
{
    if (kernel_of(i8259(device))) {
        to_kernel(i8259(device));
        return;
    }
    irq_set(&i8259(device)->out, pending(i8259(device), 0) >= 0);
}

/* Why an input of the machine's 16 gets through or not. */
static void i8259_explain_interrupt(Device *device, unsigned number, IrqChain *chain)
{
    I8259 *pic = i8259(device);
    unsigned n = number / 8, bit = 1u << number % 8;
    const Chip *c = &pic->chip[n];

    if (number >= 16 || chain->of_cpus) {
        return;
    }
    from_kernel(pic);
    irq_chain_add(chain, "i8259", !(requests(pic, n) & bit),
                  "IRQ %u: its input is %s, %s-triggered; %s", number,
                  c->lines & bit ? "asserted" : "not asserted",
                  level_triggered(c) & bit ? "level" : "edge",
                  requests(pic, n) & bit ? "it is requested" : "nothing asks for it");
    irq_chain_add(chain, "i8259", c->imr & bit, "the interrupt is %s",
                  c->imr & bit ? "masked (IMR)" : "not masked");
    if (n) {
        irq_chain_add(chain, "i8259", pic->chip[0].imr & 1 << CASCADE,
                      "the first chip has the second %s",
                      pic->chip[0].imr & 1 << CASCADE ? "masked (IMR bit 2)" : "unmasked");
    }
    if (c->isr) {
        irq_chain_add(
            chain, "i8259", rank(c, (int)(number % 8)) >= rank(c, highest_of(c, c->isr)),
            "interrupts in service (ISR): %#x; those of the same or a lower priority wait for EOI",
            c->isr);
    }
    irq_chain_add(chain, "i8259", false, "its vector is %#x; INT is %s", c->base + number % 8,
                  pending(pic, 0) >= 0 ? "asserted" : "not asserted");
}

static void i8259_describe_interrupts(Device *device, const Vcpu *vcpu, GString *out)
{
    if (!vcpu) {
        from_kernel(i8259(device));
    }
    for (unsigned n = 0; !vcpu && n < 2; n++) {
        const Chip *c = &i8259(device)->chip[n];

        g_string_append_printf(out,
                               "pic%u: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%u "
                               "elcr=%02x fnm=%u\n",
                               n, requests(i8259(device), n), c->imr, c->isr, c->highest, c->base,
                               c->read_isr, c->elcr, c->icw4 & ICW4_SPECIAL_FULLY_NESTED ? 1 : 0);
    }
}

static const StateField chip_state[] = {
    STATE(Chip, lines),
    STATE(Chip, edges),
    STATE(Chip, imr),
    STATE(Chip, isr),
    STATE(Chip, elcr),
    STATE(Chip, base),
    STATE_MOST(Chip, highest, 7),
    STATE(Chip, icw1),
    STATE(Chip, icw4),
    STATE_MOST(Chip, expect, EXPECT_ICW4),
    STATE(Chip, read_isr),
    STATE(Chip, poll),
    STATE(Chip, special_mask),
    STATE(Chip, rotate),
    { 0 },
};

static const DeviceType i8259_type = {
    .name = "isa-i8259",
    .summary = "PC interrupt controllers, two 8259A in cascade",
    .board_only = true,
    .instance_size = sizeof(I8259),
    .banks =
        (const RegisterBank[]){
            { .name = "pic", .size = 2, .registers = master_registers, .ports = true },
            { .name = "pic", .size = 2, .registers = slave_registers, .ports = true },
            { .name = "elcr", .size = 2, .registers = elcr_registers, .ports = true },
            { 0 } },
    .state = (const StateField[]){ STATE_STRUCTS(I8259, chip, chip_state), { 0 } },
    .input = i8259_input,
    .query = i8259_query,
    .acknowledge = i8259_acknowledge,
    .describe_interrupts = i8259_describe_interrupts,
    .explain_interrupt = i8259_explain_interrupt,
    .realize = i8259_realize,
    .reset = i8259_reset,
    .state_saving = i8259_state_saving,
    .state_loaded = i8259_state_loaded,
};
DEVICE_TYPE(i8259_type);
