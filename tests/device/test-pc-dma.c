/* SPDX-License-Identifier: MIT */
/* The DMA controllers of a PC, with a device that has a channel. */
#include <string.h>

#include "machine/isa-dma.h"
#include "tests/device/pc-rig.h"

typedef struct {
    PcRig *rig;
    unsigned channel;
    IsaDmaDirection direction;
    uint8_t buffer[512];
    size_t moved;
    unsigned calls;
    bool ended;
} Client;

static void client_ready(void *opaque)
{
    Client *c = opaque;

    c->calls++;
    c->moved = isa_dma_transfer(c->rig->machine, c->channel, c->direction, c->buffer,
                                sizeof c->buffer, &c->ended);
    isa_dma_request(c->rig->machine, c->channel, false);
}

static Device *open_dma(PcRig *rig, Client *client, unsigned channel, IsaDmaDirection direction)
{
    static const uint16_t ports[] = { 0x00, 0x81, 0x87, 0x89, 0x8f, 0xc0 };
    g_autoptr(GError) error = NULL;
    Device *dma;

    pc_rig_open(rig);
    dma = pc_rig_add(rig, "i8257", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        device_map_io(dma, i, ports[i]);
    }
    *client = (Client){ .rig = rig, .channel = channel, .direction = direction };
    for (unsigned i = 0; i < sizeof client->buffer; i++) {
        client->buffer[i] = (uint8_t)(i * 7 + 1);
    }
    isa_dma_claim(rig->machine, channel, client_ready, client, &error);
    g_assert_no_error(error);
    g_assert_false(isa_dma_claim(rig->machine, channel, client_ready, client, NULL));
    g_assert_false(isa_dma_claim(rig->machine, 4, client_ready, client, NULL));
    pc_rig_out(rig, 0xd6, 0xc0); /* cascade */
    pc_rig_out(rig, 0xd4, 0x00);
    return dma;
}

/* Channel 2, as a BIOS programs it for the floppy disk. */
static void program_floppy(PcRig *rig, uint8_t mode, uint32_t address, uint16_t count)
{
    pc_rig_out(rig, 0x0a, 0x06);
    pc_rig_out(rig, 0x0c, 0);
    pc_rig_out(rig, 0x0b, mode);
    pc_rig_out(rig, 0x04, (uint8_t)address);
    pc_rig_out(rig, 0x04, (uint8_t)(address >> 8));
    pc_rig_out(rig, 0x81, (uint8_t)(address >> 16));
    pc_rig_out(rig, 0x05, (uint8_t)count);
    pc_rig_out(rig, 0x05, (uint8_t)(count >> 8));
}

static void test_dma_to_memory(void)
{
    PcRig rig;
    Client client;
    uint8_t memory[512];

    open_dma(&rig, &client, 2, ISA_DMA_TO_MEMORY);
    program_floppy(&rig, 0x46, 0x12345, 299);
    isa_dma_request(rig.machine, 2, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.calls, ==, 0); /* masked */
    g_assert_cmphex(pc_rig_in(&rig, 0x08), ==, 0x40);
    pc_rig_out(&rig, 0x0a, 0x02);
    g_assert_cmpint(client.calls, ==, 0); /* not inside the guest's access */
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.calls, ==, 1);
    g_assert_cmpint(client.moved, ==, 300);
    g_assert_true(client.ended);
    address_space_read_bytes(&rig.machine->memory_space, 0x12345, memory, sizeof memory,
                             MEMORY_ATTRIBUTES_DMA);
    g_assert_cmpmem(memory, 300, client.buffer, 300);
    g_assert_cmpint(memory[300], ==, 0);
    g_assert_cmphex(pc_rig_in(&rig, 0x08), ==, 0x04);
    g_assert_cmphex(pc_rig_in(&rig, 0x08), ==, 0x00);
    g_assert_cmphex(pc_rig_in(&rig, 0x0f), ==, 0xff); /* masked again */
    pc_rig_out(&rig, 0x0c, 0);
    g_assert_cmphex(pc_rig_in(&rig, 0x04), ==, 0x71);
    g_assert_cmphex(pc_rig_in(&rig, 0x04), ==, 0x24);
    pc_rig_close(&rig);
}

static void test_dma_modes(void)
{
    PcRig rig;
    Client client;
    uint8_t memory[4] = { 1, 2, 3, 4 };

    open_dma(&rig, &client, 2, ISA_DMA_FROM_MEMORY);
    address_space_write_bytes(&rig.machine->memory_space, 0x1fffe, memory, 4,
                              MEMORY_ATTRIBUTES_DMA);
    address_space_write_bytes(&rig.machine->memory_space, 0x10000, "\x05\x06", 2,
                              MEMORY_ATTRIBUTES_DMA);
    program_floppy(&rig, 0x5a, 0x1fffe, 3); /* again and again, around the end of the page */
    pc_rig_out(&rig, 0x0a, 0x02);
    isa_dma_request(rig.machine, 2, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.moved, ==, 4);
    g_assert_true(client.ended);
    g_assert_cmpmem(client.buffer, 4, "\x01\x02\x05\x06", 4);
    isa_dma_request(rig.machine, 2, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.moved, ==, 4);
    program_floppy(&rig, 0x6a, 0x20001, 3); /* downwards */
    pc_rig_out(&rig, 0x0a, 0x02);
    isa_dma_request(rig.machine, 2, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpmem(client.buffer, 2, "\x04\x03", 2);
    program_floppy(&rig, 0x46, 0x20000, 3); /* the other direction: nothing moves */
    pc_rig_out(&rig, 0x0a, 0x02);
    isa_dma_request(rig.machine, 2, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.moved, ==, 0);
    isa_dma_release(rig.machine, 2);
    isa_dma_request(rig.machine, 2, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.calls, ==, 4);
    pc_rig_close(&rig);
}

/* Channel 5: words, in pages of 128 KiB. */
static void test_dma_words(void)
{
    PcRig rig;
    Client client;
    uint8_t memory[8];

    open_dma(&rig, &client, 5, ISA_DMA_TO_MEMORY);
    pc_rig_out(&rig, 0xd6, 0x45);
    pc_rig_out(&rig, 0xc4, 0x00);
    pc_rig_out(&rig, 0xc4, 0x80);
    pc_rig_out(&rig, 0x8b, 0x03); /* bit 0 is the address's */
    pc_rig_out(&rig, 0xc6, 3);
    pc_rig_out(&rig, 0xc6, 0);
    pc_rig_out(&rig, 0xd4, 0x01);
    isa_dma_request(rig.machine, 5, true);
    pc_rig_advance(&rig, 1000);
    g_assert_cmpint(client.moved, ==, 8);
    address_space_read_bytes(&rig.machine->memory_space, 0x30000, memory, 8, MEMORY_ATTRIBUTES_DMA);
    g_assert_cmpmem(memory, 8, client.buffer, 8);
    pc_rig_close(&rig);
}

/* The second chip's registers are at the odd ports, too. */
static void test_dma_odd_ports(void)
{
    PcRig rig;
    Client client;

    open_dma(&rig, &client, 5, ISA_DMA_TO_MEMORY);
    pc_rig_out(&rig, 0xd9, 0);
    pc_rig_out(&rig, 0xc5, 0x12);
    pc_rig_out(&rig, 0xc4, 0x34);
    pc_rig_out(&rig, 0xd8, 0);
    g_assert_cmphex(pc_rig_in(&rig, 0xc4), ==, 0x12);
    g_assert_cmphex(pc_rig_in(&rig, 0xc5), ==, 0x34);
    pc_rig_out(&rig, 0xdf, 0x05);
    g_assert_cmphex(pc_rig_in(&rig, 0xde), ==, 0xf5);
    pc_rig_close(&rig);
}

void test_pc_dma(void)
{
    g_test_add_func("/pc-dma/to-memory", test_dma_to_memory);
    g_test_add_func("/pc-dma/modes", test_dma_modes);
    g_test_add_func("/pc-dma/words", test_dma_words);
    g_test_add_func("/pc-dma/odd-ports", test_dma_odd_ports);
}
