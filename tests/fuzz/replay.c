/* SPDX-License-Identifier: MIT */
/* replay FOLDER...: a fuzz target without a fuzzer; runs the files of its corpus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static unsigned replay(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    unsigned count = 0;
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL), *data = NULL;
        gsize size;

        if (g_file_get_contents(path, &data, &size, NULL)) {
            /* At the end of what is allocated, so that a sanitizer sees reads beyond. */
            g_autofree uint8_t *exact = g_malloc(MAX(size, 1));

            memcpy(exact, data, size);
            fprintf(stderr, "%s\n", name);
            LLVMFuzzerTestOneInput(exact, size);
            count++;
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    return count;
}

int main(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc; i++) {
        count += replay(argv[i]);
    }
    if (!count) {
        fprintf(stderr, "no inputs\n");
        return 1;
    }
    return 0;
}
