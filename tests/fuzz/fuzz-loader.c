/* SPDX-License-Identifier: MIT */
/* Files that boards load: kernels in all formats and containers, device trees, and guesses at what a file is. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "hw/board/arm-boot.h"
#include "hw/board/arm-image.h"
#include "hw/board/image-guess.h"
#include "tests/fuzz/fuzz.h"

enum { SPARE = 4096 };
#define BASE  UINT64_C(0x40000000)
#define LIMIT MIB(16)

static void load_kernel(GBytes *file)
{
    for (int zboot = 0; zboot < 2; zboot++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) content = arm_image_unpack("fuzz", file, zboot, LIMIT, &error);
        ArmImage image = { 0 };

        g_assert_true(!content == !!error);
        if (!content) {
            continue;
        }
        g_assert_cmpuint(g_bytes_get_size(content), <=, MAX(LIMIT, g_bytes_get_size(file)));
        if (arm_image_parse(&image, "fuzz", content, BASE, LIMIT, &error)) {
            for (unsigned i = 0; i < image.segments->len; i++) {
                const ArmImageSegment *segment = &g_array_index(image.segments, ArmImageSegment, i);

                g_assert_cmpuint(g_bytes_get_size(segment->content), <=, segment->memory_bytes);
            }
            arm_image_clear(&image);
        } else {
            g_assert_true(error && error->message[0]);
        }
    }
}

static void load_tree(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GError) error = NULL;
    g_autofree void *fdt = NULL;

    if (write(fd, data, size) == (ssize_t)size) {
        MachineConfig config = { .ram_bytes = MIB(64) };
        Machine machine = { .config = config };
        ArmBoot boot = { .machine = &machine,
                         .ram_base = BASE,
                         .ram_bytes = MIB(64),
                         .initrd_start = BASE,
                         .initrd_end = BASE + 1 };

        machine.config.append = (char *)"console=ttyAMA0";
        fdt = arm_boot_read_dtb(path, SPARE, &error);
        g_assert_true(!fdt == !!error);
        if (fdt) {
            arm_boot_amend_dtb(&boot, fdt, &error);
        }
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) file = g_bytes_new(data, size);

    image_guess(data, size);
    load_kernel(file);
    load_tree(data, size);
    return 0;
}
