/* SPDX-License-Identifier: MIT */
/*
 * DMA controllers of a PC: two 8237A in cascade (Intel 231466) with the page registers of the PC/AT. Channels 0 to 3
 * move bytes, 5 to 7 words. Not modelled: transfers from memory to memory, and requests by software, which no PC uses.
 */
#include <string.h>

#include "base/bits.h"
#include "machine/device.h"
#include "machine/isa-dma.h"
#include "machine/machine.h"

enum { CHIPS = 2, PER_CHIP = 4 };
enum { MODE_AUTO = 0x10, MODE_DOWN = 0x20, MODE_TYPE = 0xc0, MODE_CASCADE = 0xc0 };
enum { TRANSFER_VERIFY, TRANSFER_TO_MEMORY, TRANSFER_FROM_MEMORY };
enum { COMMAND_MEMORY_TO_MEMORY = 0x01, COMMAND_DISABLE = 0x04 };

typedef struct {
    uint16_t base_address, base_count;
    uint16_t address, count; /* the transfer ends when the count goes below 0 */
    uint8_t mode, page;
} Channel;

typedef struct {
    Channel channel[PER_CHIP];
    uint8_t high; /* the next byte of an address or a count is its upper one */
    uint8_t command;
    uint8_t mask;  /* bit per channel that may not move */
    uint8_t ended; /* bit per channel whose count has run out, until the status is read */
    uint8_t requests;
} Chip;

typedef struct {
    Device device;
    Chip chip[CHIPS];
} I8257;

static I8257 *i8257(Device *device)
{
    return container_of(device, I8257, device);
}

/* Whether a channel would move data now. The second chip's first channel is the way of the first one. */
static bool can_move(const I8257 *dma, unsigned number)
{
    const Chip *chip = &dma->chip[number / PER_CHIP];
    unsigned n = number % PER_CHIP;

    if (number == 4 || chip->command & COMMAND_DISABLE || chip->mask >> n & 1 ||
        (chip->channel[n].mode & MODE_TYPE) == MODE_CASCADE) {
        return false;
    }
    return number / PER_CHIP == 1 ||
           (!(dma->chip[1].command & COMMAND_DISABLE) && !(dma->chip[1].mask & 1));
}

/* Something was programmed: those that wait for it go on. */
static void wake_channels(I8257 *dma)
{
    for (unsigned i = 0; i < CHIPS * PER_CHIP; i++) {
        if (dma->chip[i / PER_CHIP].requests >> i % PER_CHIP & 1 && can_move(dma, i)) {
            isa_dma_ready(dma->device.machine, i);
        }
    }
}

static void dma_request(void *opaque, unsigned number, bool level)
{
    I8257 *dma = opaque;
    Chip *chip = &dma->chip[number / PER_CHIP];
    uint8_t bit = 1 << number % PER_CHIP;
    bool rises = level && !(chip->requests & bit);

    chip->requests = level ? chip->requests | bit : chip->requests & ~bit;
    if (rises && can_move(dma, number)) {
        isa_dma_ready(dma->device.machine, number);
    }
}

/* Bytes on ISA's 24-bit addresses, none of which crosses the end of the page. */
static void move(I8257 *dma, const Channel *c, unsigned word, IsaDmaDirection direction,
                 uint8_t *buffer, size_t units)
{
    AddressSpace *space = &dma->device.machine->memory_space;
    uint64_t page = (uint64_t)(word == 2 ? c->page & 0xfe : c->page) << 16;
    uint64_t address = page + (uint64_t)c->address * word;

    if (direction == ISA_DMA_TO_MEMORY) {
        address_space_write_bytes(space, address, buffer, units * word,
                                  MEMORY_ATTRIBUTES_OF(&dma->device));
    } else {
        address_space_read_bytes(space, address, buffer, units * word,
                                 MEMORY_ATTRIBUTES_OF(&dma->device));
    }
}

/* Moves what can be moved at once: downwards one unit, else up to the end of the page. */
static size_t step(I8257 *dma, Channel *c, unsigned word, IsaDmaDirection direction,
                   uint8_t *buffer, size_t units)
{
    unsigned type = c->mode >> 2 & 3;
    bool down = c->mode & MODE_DOWN;

    units = MIN(units, MIN((size_t)c->count + 1, (size_t)0x10000 - c->address));
    if (down) {
        units = 1;
    }
    if (type != TRANSFER_VERIFY) {
        move(dma, c, word, direction, buffer, units);
    } else if (direction == ISA_DMA_FROM_MEMORY) {
        memset(buffer, 0, units * word);
    }
    c->address = (uint16_t)(down ? c->address - 1u : c->address + units);
    c->count = (uint16_t)(c->count - units);
    return units;
}

/* The count went below 0. */
static void finish(Chip *chip, unsigned n)
{
    Channel *c = &chip->channel[n];

    chip->ended |= 1u << n;
    if (c->mode & MODE_AUTO) {
        c->address = c->base_address;
        c->count = c->base_count;
    } else {
        chip->mask |= 1u << n;
    }
}

static size_t dma_transfer(void *opaque, unsigned number, IsaDmaDirection direction, void *buffer,
                           size_t size, bool *end)
{
    I8257 *dma = opaque;
    Chip *chip = &dma->chip[number / PER_CHIP];
    Channel *c = &chip->channel[number % PER_CHIP];
    unsigned word = number / PER_CHIP + 1, type = c->mode >> 2 & 3;
    size_t units = size / word, done = 0;

    if (!can_move(dma, number) ||
        (type != TRANSFER_VERIFY &&
         type != (direction == ISA_DMA_TO_MEMORY ? TRANSFER_TO_MEMORY : TRANSFER_FROM_MEMORY))) {
        return 0;
    }
    while (done < units && !*end) {
        done += step(dma, c, word, direction, (uint8_t *)buffer + done * word, units - done);
        *end = c->count == UINT16_MAX;
    }
    if (*end) {
        finish(chip, number % PER_CHIP);
    }
    return done * word;
}

static const IsaDmaController dma_controller = { .request = dma_request, .transfer = dma_transfer };

/* Registers of a chip, by number: 0 to 7 address and count of each channel, then control. */

static uint8_t read_pair(Chip *chip, uint16_t value)
{
    chip->high ^= 1;
    return chip->high ? value & 0xff : value >> 8;
}

static uint8_t chip_read(Chip *chip, unsigned n)
{
    uint8_t status;

    if (n < 2 * PER_CHIP) {
        const Channel *c = &chip->channel[n / 2];

        return read_pair(chip, n & 1 ? c->count : c->address);
    }
    switch (n) {
    case 8:
        status = chip->requests << 4 | chip->ended;
        chip->ended = 0;
        return status;
    case 15:
        return chip->mask | 0xf0;
    default:
        return 0; /* the temporary register */
    }
}

static void write_pair(Chip *chip, uint16_t *base, uint16_t *current, uint8_t value)
{
    *base = (uint16_t)bits_deposit(*base, chip->high * 8, 8, value);
    *current = *base;
    chip->high ^= 1;
}

static void clear_chip(Chip *chip)
{
    chip->high = chip->command = chip->ended = 0;
    chip->mask = 0xf;
}

static void chip_write(Chip *chip, unsigned n, uint8_t value)
{
    Channel *c = &chip->channel[n / 2 % PER_CHIP];

    if (n < 2 * PER_CHIP) {
        write_pair(chip, n & 1 ? &c->base_count : &c->base_address, n & 1 ? &c->count : &c->address,
                   value);
        return;
    }
    switch (n) {
    case 8:
        chip->command = value;
        if (value & COMMAND_MEMORY_TO_MEMORY) {
            log_unimplemented("i8257", "transfers from memory to memory");
        }
        break;
    case 9:
        if (value & 4) {
            log_unimplemented("i8257", "requests by software");
        }
        break;
    case 10:
        chip->mask = (uint8_t)bits_deposit(chip->mask, value & 3, 1, value >> 2 & 1);
        break;
    case 11:
        chip->channel[value & 3].mode = value & 0xfc;
        break;
    case 12:
        chip->high = 0;
        break;
    case 13:
        clear_chip(chip);
        break;
    case 14:
        chip->mask = 0;
        break;
    default:
        chip->mask = value & 0xf;
    }
}

static uint64_t first_read(Device *device, unsigned index)
{
    return chip_read(&i8257(device)->chip[0], index);
}

static void first_write(Device *device, unsigned index, uint64_t value)
{
    chip_write(&i8257(device)->chip[0], index, (uint8_t)value);
    wake_channels(i8257(device));
}

static uint64_t second_read(Device *device, unsigned index)
{
    return chip_read(&i8257(device)->chip[1], index);
}

static void second_write(Device *device, unsigned index, uint64_t value)
{
    chip_write(&i8257(device)->chip[1], index, (uint8_t)value);
    wake_channels(i8257(device));
}

/* clang-format off */
static const Register first_registers[] = {
    { "DMA1", 0, 1, REGISTER_RW, .count = 16, .field = REGISTER_NO_FIELD, .read = first_read, .write = first_write },
    { 0 },
};
static const Register second_registers[] = {
    { "DMA2", 0, 1, REGISTER_RW, .count = 16, .stride = 2, .field = REGISTER_NO_FIELD, .read = second_read, .write = second_write },
    { "DMA2_ALIAS", 1, 1, REGISTER_RW, .count = 16, .stride = 2, .field = REGISTER_NO_FIELD, .read = second_read, .write = second_write,
      .summary = "the address bus of the second chip is shifted by one: the lowest bit is not looked at" },
    { 0 },
};
#define PAGE(at, c, n) { "PAGE", at, 1, REGISTER_RW, .field = offsetof(I8257, chip[c].channel[n].page) }
static const Register pages_81[] = { PAGE(0, 0, 2), PAGE(1, 0, 3), PAGE(2, 0, 1), { 0 } };
static const Register pages_87[] = { PAGE(0, 0, 0), { 0 } };
static const Register pages_89[] = { PAGE(0, 1, 2), PAGE(1, 1, 3), PAGE(2, 1, 1), { 0 } };
static const Register pages_8f[] = { PAGE(0, 1, 0), { 0 } };
/* clang-format on */

static bool i8257_realize(Device *device, GError **error)
{
    isa_dma_set_controller(device->machine, &dma_controller, i8257(device));
    return true;
}

static void i8257_unrealize(Device *device)
{
    isa_dma_set_controller(device->machine, NULL, NULL);
}

static void i8257_reset(Device *device)
{
    I8257 *dma = i8257(device);

    memset(dma->chip, 0, sizeof dma->chip);
    clear_chip(&dma->chip[0]);
    clear_chip(&dma->chip[1]);
}

static void i8257_state_loaded(Device *device)
{
    wake_channels(i8257(device));
}

static const StateField channel_state[] = {
    STATE(Channel, base_address),
    STATE(Channel, base_count),
    STATE(Channel, address),
    STATE(Channel, count),
    STATE(Channel, mode),
    STATE(Channel, page),
    { 0 },
};

static const StateField chip_state[] = {
    STATE_STRUCTS(Chip, channel, channel_state),
    STATE_MOST(Chip, high, 1),
    STATE(Chip, command),
    STATE(Chip, mask),
    STATE(Chip, ended),
    STATE(Chip, requests),
    { 0 },
};

static const DeviceType i8257_type = {
    .name = "i8257",
    .summary = "PC DMA controllers, two 8237A with page registers",
    .board_only = true,
    .instance_size = sizeof(I8257),
    .banks =
        (const RegisterBank[]){
            { .name = "dma-chan", .size = 16, .registers = first_registers, .ports = true },
            { .name = "dma-page", .size = 3, .registers = pages_81, .ports = true },
            { .name = "dma-page", .size = 1, .registers = pages_87, .ports = true },
            { .name = "dma-page", .size = 3, .registers = pages_89, .ports = true },
            { .name = "dma-page", .size = 1, .registers = pages_8f, .ports = true },
            { .name = "dma-chan", .size = 32, .registers = second_registers, .ports = true },
            { 0 } },
    .state = (const StateField[]){ STATE_STRUCTS(I8257, chip, chip_state), { 0 } },
    .realize = i8257_realize,
    .unrealize = i8257_unrealize,
    .reset = i8257_reset,
    .state_loaded = i8257_state_loaded,
};
DEVICE_TYPE(i8257_type);
