/* SPDX-License-Identifier: MIT */
#include "tests/device/ide-bench.h"

#include "base/bits.h"
#include "tests/device/image.h"
#include "tests/patience.h"

static void set_irq(void *opaque, int number, int level)
{
    IdeBench *b = opaque;

    b->rises[number] += level && !b->irq[number];
    b->irq[number] = level;
}

IdeBench *ide_bench_new(void)
{
    IdeBench *b = g_new0(IdeBench, 1);

    b->bench = bench_new(false);
    b->graph = block_graph_new(NULL);
    b->blocks = g_ptr_array_new();
    b->controller = bench_device(b->bench, "piix3-ide", "ide", "addr", "1", NULL);
    for (unsigned i = 0; i < 2; i++) {
        device_connect_irq(b->controller, i, set_irq, b, i);
    }
    return b;
}

void ide_bench_free(IdeBench *b)
{
    bench_free(b->bench);
    for (unsigned i = 0; i < b->blocks->len; i++) {
        block_close(b->blocks->pdata[i]);
    }
    block_graph_free(b->graph);
    g_ptr_array_unref(b->blocks);
    g_free(b);
}

BlockBackend *ide_bench_image(IdeBench *b, uint64_t bytes, char **id)
{
    BlockBackend *block;

    *id = g_strdup_printf("disk%u", b->blocks->len);
    block = image_open(b->bench->machine, b->graph, *id, bytes, false, NULL);
    g_ptr_array_add(b->blocks, block);
    return block;
}

Device *ide_bench_add(IdeBench *b, const char *type, unsigned channel, unsigned unit,
                      uint64_t bytes, const char *const *properties)
{
    g_autofree char *id = NULL;
    g_autofree char *number = g_strdup_printf("%u", unit);
    Bus *bus = bus_find(b->bench->machine, channel ? "ide.1" : "ide.0");
    GError *error = NULL;
    Device *device = device_create(b->bench->machine, NULL, type, bus, NULL, &error);

    g_assert_no_error(error);
    g_assert_true(device_set(device, "unit", number, NULL));
    if (bytes) {
        ide_bench_image(b, bytes, &id);
        g_assert_true(device_set(device, "drive", id, NULL));
    }
    for (; properties && *properties; properties += 2) {
        g_assert_true(device_set(device, properties[0], properties[1], NULL));
    }
    device_realize(device, &error);
    g_assert_no_error(error);
    device_reset_tree(b->bench->machine->root);
    bench_config_write(b->bench, b->controller ? pci_device(b->controller)->devfn : 0,
                       PCI_BASE_ADDRESS_0 + 16, IDE_TEST_ENGINE, 4);
    bench_config_write(b->bench, pci_device(b->controller)->devfn, PCI_COMMAND,
                       PCI_COMMAND_IO | PCI_COMMAND_BUS_MASTER, 2);
    return device;
}

static uint64_t port(const IdeBench *b, unsigned offset)
{
    return IDE_TEST_PORTS + (b->channel ? 0x170 : 0x1f0) + offset;
}

uint8_t ide_in(IdeBench *b, unsigned offset)
{
    return bench_read(b->bench, port(b, offset), 1);
}

void ide_out(IdeBench *b, unsigned offset, uint8_t value)
{
    bench_write(b->bench, port(b, offset), value, 1);
}

uint16_t ide_in_word(IdeBench *b)
{
    return bench_read(b->bench, port(b, 0), 2);
}

void ide_out_word(IdeBench *b, uint16_t value)
{
    bench_write(b->bench, port(b, 0), value, 2);
}

uint8_t ide_alternate(IdeBench *b)
{
    return bench_read(b->bench, port(b, 0x206), 1);
}

void ide_out_control(IdeBench *b, uint8_t value)
{
    bench_write(b->bench, port(b, 0x206), value, 1);
}

uint8_t ide_wait(IdeBench *b)
{
    int64_t end = patience_end(20);

    while (ide_alternate(b) & 0x80) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        bench_run_main_loop(b->bench);
    }
    return ide_alternate(b);
}

void ide_command28(IdeBench *b, uint8_t command, uint32_t lba, unsigned count)
{
    ide_out(b, 2, count);
    ide_out(b, 3, lba);
    ide_out(b, 4, lba >> 8);
    ide_out(b, 5, lba >> 16);
    ide_out(b, 6, (ide_in(b, 6) & 0x10) | 0x40 | (lba >> 24 & 15));
    ide_out(b, 7, command);
}

void ide_command48(IdeBench *b, uint8_t command, uint64_t lba, unsigned count)
{
    ide_out(b, 2, count >> 8);
    ide_out(b, 3, lba >> 24);
    ide_out(b, 4, lba >> 32);
    ide_out(b, 5, lba >> 40);
    ide_out(b, 2, count);
    ide_out(b, 3, lba);
    ide_out(b, 4, lba >> 8);
    ide_out(b, 5, lba >> 16);
    ide_out(b, 6, (ide_in(b, 6) & 0x10) | 0x40);
    ide_out(b, 7, command);
}

void ide_read_words(IdeBench *b, void *data, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2) {
        store_le16((uint8_t *)data + i, ide_in_word(b));
    }
}

void ide_write_words(IdeBench *b, const void *data, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i += 2) {
        ide_out_word(b, load_le16((const uint8_t *)data + i));
    }
}

void ide_set_table(IdeBench *b, const uint32_t (*regions)[2], unsigned count, bool open)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *prd = bench_ram(b->bench, IDE_TEST_TABLE + i * 8);

        store_le32(prd, regions[i][0]);
        store_le32(prd + 4, (regions[i][1] & 0xffff) | (i + 1 == count && !open ? 1u << 31 : 0));
    }
    bench_write(b->bench, IDE_TEST_PORTS + IDE_TEST_ENGINE + b->channel * 8 + 4, IDE_TEST_TABLE, 4);
}

void ide_engine(IdeBench *b, unsigned offset, uint8_t value)
{
    bench_write(b->bench, IDE_TEST_PORTS + IDE_TEST_ENGINE + b->channel * 8 + offset, value, 1);
}

uint8_t ide_engine_status(IdeBench *b)
{
    return bench_read(b->bench, IDE_TEST_PORTS + IDE_TEST_ENGINE + b->channel * 8 + 2, 1);
}

bool ide_interrupted(IdeBench *b)
{
    return b->irq[b->channel];
}
