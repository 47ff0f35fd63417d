/* SPDX-License-Identifier: MIT */
/* A small driver for drives on piix3-ide: a bench with the controller and images of known contents. */
#ifndef TESTS_DEVICE_IDE_BENCH_H
#define TESTS_DEVICE_IDE_BENCH_H

#include "block/block.h"
#include "tests/device/bench.h"

enum {
    IDE_TEST_PORTS = BENCH_IO_WINDOW,
    IDE_TEST_ENGINE = 0xc000, /* where the bus master's registers are put */
    IDE_TEST_TABLE = BENCH_RAM + 0x10000,
    IDE_TEST_DATA = BENCH_RAM + 0x100000,
    IDE_TEST_SECTORS = 4096,
};

typedef struct {
    Bench *bench;
    Device *controller;
    BlockGraph *graph;
    GPtrArray *blocks; /* BlockBackend */
    int irq[2];
    unsigned rises[2];
    unsigned channel; /* that the functions below use */
} IdeBench;

IdeBench *ide_bench_new(void);
void ide_bench_free(IdeBench *b);
/* A drive of a type at a place; bytes: of its image, in which each 512 have their number in front; 0: no image. */
Device *ide_bench_add(IdeBench *b, const char *type, unsigned channel, unsigned unit,
                      uint64_t bytes, const char *const *properties);
/* An image alone: drive's id is "disk<N>". */
BlockBackend *ide_bench_image(IdeBench *b, uint64_t bytes, char **id);

uint8_t ide_in(IdeBench *b, unsigned offset);
void ide_out(IdeBench *b, unsigned offset, uint8_t value);
uint16_t ide_in_word(IdeBench *b);
void ide_out_word(IdeBench *b, uint16_t value);
uint8_t ide_alternate(IdeBench *b);
void ide_out_control(IdeBench *b, uint8_t value);
/* Runs the main loop until BSY is clear (and DRQ set, when wanted); returns the alternate status. */
uint8_t ide_wait(IdeBench *b);
void ide_command28(IdeBench *b, uint8_t command, uint32_t lba, unsigned count);
void ide_command48(IdeBench *b, uint8_t command, uint64_t lba, unsigned count);
void ide_read_words(IdeBench *b, void *data, unsigned bytes);
void ide_write_words(IdeBench *b, const void *data, unsigned bytes);
/* Bus master. regions: address, bytes pairs; the last gets the end mark unless open. */
void ide_set_table(IdeBench *b, const uint32_t (*regions)[2], unsigned count, bool open);
void ide_engine(IdeBench *b, unsigned offset, uint8_t value);
uint8_t ide_engine_status(IdeBench *b);
bool ide_interrupted(IdeBench *b);

#endif
