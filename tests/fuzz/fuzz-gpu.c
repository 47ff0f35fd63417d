/* SPDX-License-Identifier: MIT */
/*
 * The virtio GPU: the input is a row of commands. Of each the first byte says the queue and how many 32-bit words follow, which are the
 * command from its type on (the rest of the header is zero).
 */
#include "base/bits.h"
#include "machine/display.h"
#include "tests/device/bench.h"
#include "tests/fuzz/fuzz.h"

enum {
    COMMAND = DRIVER_DATA,
    ANSWER = DRIVER_DATA + 0x1000,
    HEADER = 24,
    WORDS = 32,
    STEPS = 256,
    CURSOR = 0x80
};

static void run_command(Driver *driver, const uint8_t *words, unsigned count, unsigned queue)
{
    uint8_t *out = bench_ram(driver->bench, COMMAND);
    const Buffer buffers[] = { { COMMAND, HEADER + 4 * WORDS, false }, { ANSWER, 2048, true } };

    memset(out, 0, HEADER + 4 * WORDS);
    memcpy(out, words, MIN(4 * count, 4));
    if (count > 1) {
        memcpy(out + HEADER, words + 4, 4 * (count - 1));
    }
    driver_do(driver, queue, buffers, 2);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Driver *driver = driver_new(NULL, DRIVE_MMIO, "virtio-gpu", "max_outputs", "2", "max_hostmem",
                                "4194304", NULL);
    size_t at = 0;

    driver_start(driver, 2, 2);
    for (unsigned step = 0; step < STEPS && at < size; step++) {
        unsigned queue = data[at] & CURSOR ? 1 : 0, count = data[at] % WORDS;

        at++;
        if (at + 4 * count > size) {
            break;
        }
        run_command(driver, data + at, count, queue);
        at += 4 * count;
    }
    for (unsigned head = 0; head < 2; head++) {
        pixman_image_unref(display_look(display_find(driver->bench->machine, "dev0", head, NULL)));
    }
    driver_free(driver);
    return 0;
}
