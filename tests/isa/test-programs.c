/* SPDX-License-Identifier: MIT */
/*
 * Runs the programs of tests/isa/programs on interpreter and translator: test-programs [CPU:]PROGRAM….
 * LOG=items logs as -d does.
 */
#include <elf.h>
#include <glib.h>
#include <stdio.h>

#include "tests/isa/rig.h"

static void load(IsaRig *rig, const char *bytes, gsize length)
{
    const Elf64_Ehdr *header = (const void *)bytes;
    const Elf64_Phdr *segments = (const void *)(bytes + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *s = &segments[i];

        if (s->p_type == PT_LOAD) {
            g_assert_cmpuint(s->p_offset + s->p_filesz, <=, length);
            g_assert_cmpuint(s->p_vaddr - RIG_RAM + s->p_memsz, <=, RIG_RAM_BYTES);
            memcpy(rig->ram + (s->p_vaddr - RIG_RAM), bytes + s->p_offset, s->p_filesz);
        }
    }
}

static bool run(const char *path, const char *cpu, bool interp)
{
    g_autofree char *bytes = NULL;
    gsize length;
    IsaRig rig;
    uint64_t line;

    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    if (!isa_rig_open(&rig, cpu, 4, interp)) {
        return true;
    }
    load(&rig, bytes, length);
    isa_rig_run_bare(&rig);
    line = rig.cpu->x[1];
    if (line) {
        printf("%s on %s on the %s: line %" PRIu64 ": %#" PRIx64 " is not %#" PRIx64
               " (esr %#" PRIx64 " elr %#" PRIx64 " far %#" PRIx64 ")\n",
               path, cpu, interp ? "interpreter" : "translator", line, rig.cpu->x[2], rig.cpu->x[3],
               rig.cpu->x[25], rig.cpu->x[26], rig.cpu->x[27]);
    }
    isa_rig_close(&rig);
    return !line;
}

int main(int argc, char **argv)
{
    const char *items = g_getenv("LOG");
    bool good = true;

    if (items) {
        log_set_items(items, NULL);
    }
    for (int i = 1; i < argc; i++) {
        const char *colon = strchr(argv[i], ':');
        g_autofree char *cpu =
            colon ? g_strndup(argv[i], (gsize)(colon - argv[i])) : g_strdup("max");
        const char *path = colon ? colon + 1 : argv[i];

        good &= run(path, cpu, true);
        good &= run(path, cpu, false);
    }
    return !good;
}
